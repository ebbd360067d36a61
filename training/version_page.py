"""The page of one version: what it promises, what it does, what it was fitted to and is not for.

Made from the manifest alone and from what a registry says of the version, so that anybody can make
it again. Whatever a manifest lacks is left out. Holds no comment but our own texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from model.comparison import Comparison, Figure
from model.manifest import Manifest
from model.outcome import OFF, Head
from model.policy import Policy
from model.promise import ANY
from model.promotion import promotable
from training.card import folds_held, is_research_only
from training.comparison_page import WITHOUT_SHADOW
from training.flips import plain_name
from training.page import of_1000, rendered
from training.saying import slice_name
from training.version_drawings import (
    BAD,
    GOOD,
    calibration_drawn,
    curves_drawn,
    scores_drawn,
)
from training.wording import Words, words_in

MOST_PARTS = 16
"""Languages, or sources, that stand on the page: those with most comments."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a registry says of a version: what it is called, how it was compared and moved."""

    names: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    moves: tuple[Mapping[str, Any], ...] = ()


def version_page(manifest: Manifest, language: str = "en", standing: Standing | None = None) -> str:
    """The page. Raises KeyError for a language that it has no words for."""
    words, standing = words_in(language), standing or Standing()
    heads = [(Head(name), task) for name, task in sorted(_tasks(manifest).items())]
    rows = sum(int(task["all"]["rows"]) for _, task in heads)
    newest = _newest(standing)
    told = dict(
        version=manifest.version,
        names=", ".join(standing.names),
        parent=str(manifest.recipe.get("parent", "")),
        research=is_research_only(manifest),
        answer=_answer(manifest, words),
        lede=words("version.lede", rows=words.number(rows)) if rows else "",
        tiles=[tile for head, task in heads for tile in _tiles(head, task, words)],
        promise=list(_promise(manifest, words)),
        heads=[_head(head, task, words) for head, task in heads],
        scores=list(scores_drawn(manifest, words)),
        curves=list(curves_drawn(manifest, words)),
        calibration=list(calibration_drawn(manifest, words)),
        parts=list(_beside(newest, words)),
        disguised=list(_disguised(newest, words)),
        beside=words("version.beside", champion=newest.champion) if newest is not None else "",
        data=[_source(source, words) for source in manifest.data],
        erased=_erased(manifest, words),
        failures=list(_failures(manifest, words)),
        comparisons=[_compared(c, words) for c in standing.comparisons],
        moves=[_move(move, words) for move in standing.moves],
        made=list(_made(manifest, words)),
    )
    return rendered("version.html", words, told)


def _tasks(manifest: Manifest) -> dict[str, Mapping[str, Any]]:
    tasks = manifest.evaluation.get("tasks", {})
    known = {head.value for head in Head}
    return {name: task for name, task in tasks.items() if name in known}


def _answer(manifest: Manifest, words: Words) -> str:
    usual = Policy()
    promised = [
        tag
        for tag in sorted(manifest.promise.languages)
        if tag != ANY
        and not manifest.promise.missing(tag, usual.queue_risk)
        and _thresholds(manifest, tag)[0] < OFF
    ]
    if not promised:
        return words("version.answer.none")
    return words(
        "version.answer.promise",
        reject=words.risk(usual.reject_risk),
        queue=words.risk(usual.queue_risk),
        languages=", ".join(_language(tag, words) for tag in promised),
    )


def _tiles(head: Head, task: Mapping[str, Any], words: Words) -> Iterator[dict[str, str]]:
    outcomes = task["all"]["outcomes"]
    good, bad = outcomes.get(GOOD[head], {}), outcomes.get(BAD[head], {})
    if head is Head.SPAM and good:
        yield _tile("rejected", good["reject_share"], words)
    for word, became in ((GOOD[head], good), (BAD[head], bad)):
        if became:
            yield _tile(word, _less(became["accept_share"]), words)


def _tile(key: str, estimate: Mapping[str, Any], words: Words) -> dict[str, str]:
    value, low, high = (estimate[end] for end in ("value", "low", "high"))
    span = ""
    if low is not None and high is not None:
        span = words("version.range", low=of_1000(low, words), high=of_1000(high, words))
    amount = "–" if value is None else of_1000(value, words)
    return {"key": key, "amount": amount, "what": words(f"version.tile.{key}"), "range": span}


def _less(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of 1."""
    ends = {"value": "value", "low": "high", "high": "low"}
    return {k: None if estimate[of] is None else 1 - estimate[of] for k, of in ends.items()}


def _thresholds(manifest: Manifest, tag: str) -> tuple[float, float]:
    usual = Policy()
    at = manifest.promise.thresholds(
        tag, reject_risk=usual.reject_risk, queue_risk=usual.queue_risk
    ).spam
    return at.queue_at, at.reject_at


def _promise(manifest: Manifest, words: Words) -> Iterator[dict[str, str]]:
    found = {
        row["language"]: row
        for row in _tasks(manifest).get(Head.SPAM.value, {}).get("promise", ())
        if row["outcome"] == "queue" and row["risk"] == Policy().queue_risk
    }
    for tag, kept in sorted(manifest.promise.languages.items()):
        if tag == ANY:
            continue
        holds, rejects = _thresholds(manifest, tag)
        yield {
            "language": _language(tag, words),
            "genuine": words.number(kept.comments),
            "groups": words.number(kept.groups),
            "rejects": _threshold(rejects, words),
            "holds": _threshold(holds, words),
            "found": words.percent(found[tag]["recall"]) if tag in found else "–",
        }


def _threshold(at: float, words: Words) -> str:
    return words.number(at, 3) if at <= 1 else words("promise.never")


def _head(head: Head, task: Mapping[str, Any], words: Words) -> dict[str, object]:
    metrics = [
        {
            "name": words(f"metric.{name}"),
            "value": "–" if e["value"] is None else words.number(e["value"], 3),
            "range": _range(e, words),
        }
        for name, e in task["all"]["metrics"].items()
        if f"metric.{name}" in words.texts
    ]
    parts = [
        (words(f"slice.{kind}"), list(_parts(head, task[f"{kind}s"], kind, words)))
        for kind in ("language", "source")
    ]
    return {
        "title": words(f"head.{head}"),
        "bad": words(f"version.bad.{head}"),
        "good": words(f"version.good.{head}"),
        "metrics": metrics,
        "parts": parts,
    }


def _parts(
    head: Head, parts: Mapping[str, Any], kind: str, words: Words
) -> Iterator[dict[str, str]]:
    largest = sorted(parts.items(), key=lambda part: (-int(part[1]["rows"]), part[0]))
    for name, part in largest[:MOST_PARTS]:
        outcomes, ranking = part["outcomes"], part["metrics"]["roc_auc"]
        good, bad = outcomes.get(GOOD[head], {}), outcomes.get(BAD[head], {})
        yield {
            "name": _language(name, words) if kind == "language" else plain_name(name),
            "bad": words.number(part["positives"]),
            "good": words.number(part["negatives"]),
            "held": _share(good, words),
            "caught": _share(bad, words),
            "ranking": "–" if ranking["value"] is None else words.number(ranking["value"], 3),
        }


def _share(became: Mapping[str, Any], words: Words) -> str:
    return words.percent(_less(became["accept_share"])["value"]) if became else "–"


def _range(estimate: Mapping[str, Any], words: Words) -> str:
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return ""
    return f"{words.number(low, 3)} … {words.number(high, 3)}"


def _newest(standing: Standing) -> Comparison | None:
    """The last comparison, which says of parts and disguises what a manifest does not."""
    return max(standing.comparisons, key=lambda found: found.at, default=None)


def _beside(found: Comparison | None, words: Words) -> Iterator[dict[str, str]]:
    """The parts of a comparison that a manifest does not tell: sites, lengths, new authors."""
    before = ""
    for part in found.slices if found is not None else ():
        if part.kind in ("language", "source"):
            continue
        yield {
            "heading": words.known(f"slice.{part.kind}", part.kind) if part.kind != before else "",
            "name": slice_name(part.kind, part.name, words),
            "rows": words.number(part.rows),
            **{name: _value(part.figure(name), words) for name in ("genuine_held", "spam_caught")},
        }
        before = part.kind


def _disguised(found: Comparison | None, words: Words) -> Iterator[dict[str, str]]:
    for attacked in found.attacks if found is not None else ():
        yield {
            "name": words.known(f"attack.{attacked.name}", attacked.name),
            "spam": _value(attacked.spam_caught, words),
            "genuine": _value(attacked.genuine_held, words),
        }


def _value(figure: Figure | None, words: Words) -> str:
    return words.percent(figure.challenger.value if figure is not None else None)


def _source(source: Mapping[str, Any], words: Words) -> dict[str, str]:
    labels = source.get("labels", {})
    tier = str(source.get("tier", ""))
    return {
        "name": plain_name(str(source.get("name", ""))),
        "labels": ", ".join(
            f"{words.number(count)} {words.known(f'label.{label}', label).lower()}"
            for label, count in sorted(labels.items())
        ),
        "tier": words.known(f"tier.{tier}", tier),
        "digest": str(source.get("sha256", ""))[:16],
    }


def _erased(manifest: Manifest, words: Words) -> str:
    erased = manifest.recipe.get("erased")
    if not isinstance(erased, int) or erased <= 0:
        return ""
    return words("version.erased", n=words.number(erased))


def _failures(manifest: Manifest, words: Words) -> Iterator[dict[str, str]]:
    for failure in manifest.evaluation.get("failures", ()):
        label = str(failure["label"])
        known = words.known(f"label.{label}", label).lower()
        yield {
            "text": plain_text(str(failure["text"])),
            "about": words("version.failure", label=known, score=words.number(failure["score"], 3)),
        }


def plain_text(text: str) -> str:
    """One of our own texts on one line, unmasked: its numbers and links are invented."""
    return " ".join(text.split())


def _compared(comparison: Comparison, words: Words) -> dict[str, object]:
    may = promotable(comparison, None, WITHOUT_SHADOW).may
    return {
        "what": words("version.compared", champion=comparison.champion, at=comparison.at[:10]),
        "answer": words("version.may" if may else "version.may_not"),
        "may": may,
    }


def _move(move: Mapping[str, Any], words: Words) -> dict[str, str]:
    told = {name: plain_name(str(move.get(name, ""))) for name in ("name", "who")}
    why = " ".join(str(move.get("why", "")).split())[:200]
    said = words("version.move", why=why, **told)
    return {"at": str(move.get("at", ""))[:16].replace("T", " "), "said": said}


def _made(manifest: Manifest, words: Words) -> Iterator[str]:
    recipe = {k: str(manifest.recipe.get(k, "–")) for k in ("name", "seed", "folds")}
    yield words(
        "version.made.recipe", recipe=recipe["name"], seed=recipe["seed"], folds=recipe["folds"]
    )
    if (held := folds_held(manifest)) is not None:
        yield words("version.made.held", held=str(held), folds=recipe["folds"])
    features, bits = str(manifest.features_version), str(manifest.spec.bits)
    yield words("version.made.features", features=features, bits=bits)
    libraries = ", ".join(f"{name} {v}" for name, v in sorted(manifest.libraries.items()))
    if libraries:
        yield libraries


def _language(tag: str, words: Words) -> str:
    return words("promise.any") if tag == ANY else words.known(f"language.{tag}", tag)
