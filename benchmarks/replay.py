"""Replay sites in time order: how fast does a site learn, and does learning ever cost it?

    python -m benchmarks.replay --data DIR [--site NAME]... [--seeds N] [--no-peers]

Each comment is judged first. Only then, and only if it was queued or drawn for the audit sample,
is what the moderator decided told to the filter; nothing else ever is. The champion of each
replay is fitted without any comment of its site. The fits take minutes each and are kept in
`--cache`, by default in the system's folder for temporary files.

Sites: `midonet`, a WordPress site, by date. It has 19 comments of ham, so 180 dated ones of two
other blogs and some of a third take turns with its own, in their own order: no champion here has
seen a comment of the two, nor of those posts of the third. `midonet-spam` is the same site with
its own comments alone; the readers' comments are scored when it is over. And each video of the
YouTube Spam Collection, in the order of its file.

Peers run as processes on this machine and learn by the same rule, once from nothing and once
after the examples that the champion was fitted to (`--peer-rows` at most).
"""

import argparse
import hashlib
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from math import log
from pathlib import Path
from random import Random
from typing import Protocol

import joblib
import numpy as np
from numpy.typing import NDArray

from benchmarks.mail_filters import PEERS, Absent, Mail, MailFilter
from model.classifier import Classifier
from model.decision import LabelledExample
from model.facts import Facts, gather
from model.features import FEATURES_VERSION, features
from model.judging import thresholds_for
from model.memory import Memory, Sketch, sketch_of
from model.outcome import Head, Outcome, Thresholds
from model.policy import Policy
from model.site_layer import Anchors, Lesson, Row, SiteLayer, margin_of
from training.examples import read_examples, submission_of
from training.fit import fit, usable
from training.recipes import RECIPES, RESEARCH_ONLY, Recipe

MARKS = (0, 10, 25, 50, 100, 200)
"""Decisions after which the rest of a stream is looked at."""

FEWEST = 15
"""Spam and ham that the rest of a stream must hold for a figure to be printed."""

TEXTS = Path(__file__).parent.parent / "training" / "texts"
READERS = 800
"""Comments of the third blog that read midonet."""

SPAM_ROWS, TOXICITY_ROWS, GENUINE_ROWS = 1_500, 200, 8_000
"""How many rows of a source and label a champion is fitted to here: of spam's sources, toxicity's,
and of the ham that thresholds are chosen on, as they take many to keep a promise."""

POLICY = Policy()


# ------------------------------------------------------------------ streams


@dataclass(frozen=True, slots=True)
class Site:
    """A site's stream in time order, what of the data is the site, and ham to look at after."""

    name: str
    stream: Sequence[LabelledExample]
    is_site: Callable[[LabelledExample], bool]
    probe: Sequence[LabelledExample] = ()


def sites_of(examples: Sequence[LabelledExample]) -> list[Site]:
    """The sites of the data, smallest claim first."""
    own = sorted((e for e in examples if e.source == "wp_midonet"), key=lambda e: e.date)
    blogs = [e for e in examples if e.source == "wp_wxr_ham" and not e.label.positive]
    third = [e for e in examples if _is_apart(e)]
    readers = [*blogs, *Random(1).sample(third, min(READERS, len(third)))]
    readers.sort(key=lambda e: e.date)
    found = []
    if own:
        found.append(Site("midonet", _in_turn(own, readers), _is_midonet))
        found.append(Site("midonet-spam", own, _is_midonet, readers))
    videos = sorted({e.group for e in examples if e.source == "youtube_spam_uci"})
    for video in videos:
        stream = [e for e in examples if e.source == "youtube_spam_uci" and e.group == video]
        stream.sort(key=lambda e: int(str(e.extra["order"])))
        found.append(Site(video, stream, lambda e, video=video: e.group == video))  # type: ignore[misc]  # a default binds the name
    return found


def _is_apart(example: LabelledExample) -> bool:
    """Whether it stands under one of the posts of the third blog that no champion here has seen."""
    draw = hashlib.sha256(example.group.encode()).digest()[0]
    return example.source == "haacked_ham" and draw < 26


def _is_midonet(example: LabelledExample) -> bool:
    return example.source in {"wp_midonet", "wp_wxr_ham"} or _is_apart(example)


def _in_turn(*lists: Sequence[LabelledExample]) -> list[LabelledExample]:
    """All, each list in its order and spread evenly over the whole."""
    places = [
        ((n + 0.5) / len(examples), which, example)
        for which, examples in enumerate(lists)
        for n, example in enumerate(examples)
    ]
    return [example for _, _, example in sorted(places, key=lambda place: place[:2])]


# ------------------------------------------------------------------ the champion


def champion_of(key: str, examples: Sequence[LabelledExample], recipe: Recipe) -> Classifier:
    """A champion fitted to these; it is kept by its key alone."""
    del key
    return fit(examples, recipe, jobs=1).final


def key_of(examples: Sequence[LabelledExample], recipe: Recipe) -> str:
    """Equal for fits that would come out the same, as far as features keep their version."""
    # Sets come out in another order each time.
    choices = [
        sorted(value) if isinstance(value, frozenset) else value
        for value in (getattr(recipe, choice.name) for choice in fields(recipe))
    ]
    digest = hashlib.sha256(f"{FEATURES_VERSION} {choices}".encode())
    for example in examples:
        told = (example.source, example.id, example.label.word, example.text)
        digest.update(repr(told).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def training_rows(
    examples: Sequence[LabelledExample], site: Site, recipe: Recipe
) -> list[LabelledExample]:
    """What the champion of a replay may see: no comment of the site, and of each source some."""
    kinds: defaultdict[tuple[str, str], list[LabelledExample]] = defaultdict(list)
    for example in examples:
        if not site.is_site(example):
            kinds[example.source, example.label.word].append(example)
    random = Random(7)
    chosen: list[LabelledExample] = []
    for kind in sorted(kinds):
        rows = kinds[kind]
        most = SPAM_ROWS if rows[0].label.head is Head.SPAM else TOXICITY_ROWS
        if kind[0] in recipe.genuine and kind[1] == "ham":
            most = GENUINE_ROWS
        chosen += rows if len(rows) <= most else random.sample(rows, most)
    return chosen


# ------------------------------------------------------------------ filters


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of a stream, with all that is the same in every replay of it."""

    example: LabelledExample
    sketch: Sketch
    row: Row
    log_odds: float
    thresholds: Thresholds

    @property
    def is_spam(self) -> bool:
        return self.example.label.positive

    def outcome(self, added: float = 0.0) -> Outcome:
        """By the champion's score with something added to its log-odds."""
        at = self.thresholds
        odds = self.log_odds + added
        if odds >= _log_odds(at.reject_at):
            return Outcome.REJECT
        return Outcome.QUEUE if odds >= _log_odds(at.queue_at) else Outcome.ACCEPT


def _log_odds(score: float) -> float:
    if score >= 1:
        return float("inf")
    return log(score / (1 - score)) if score > 0 else float("-inf")


def read_by(champion: Classifier, stream: Sequence[LabelledExample]) -> list[Comment]:
    """A stream as a champion reads it."""
    gathered = [gather(submission_of(example)) for example in stream]
    texts = [facts.texts for facts in gathered]
    log_odds = champion.log_odds(texts)[:, 0].tolist()
    indptr, places, values = features(texts, champion.spec).rows()
    return [
        Comment(
            example=example,
            sketch=sketch_of(facts),
            row=(places[indptr[n] : indptr[n + 1]], values[indptr[n] : indptr[n + 1]]),
            log_odds=log_odds[n],
            thresholds=_thresholds(champion, facts),
        )
        for n, (example, facts) in enumerate(zip(stream, gathered, strict=True))
    ]


def _thresholds(champion: Classifier, facts: Facts) -> Thresholds:
    return thresholds_for(POLICY, champion, facts.language).spam


class Filter(Protocol):
    """What is replayed: judges a comment, and is told what was decided on some."""

    def judge(self, comment: Comment) -> Outcome: ...
    def learn(self, comment: Comment) -> None: ...


class Learner:
    """The champion with or without layer and memory, as the service puts them together."""

    def __init__(self, anchors: Anchors | None, *, remembers: bool) -> None:
        self.layer = SiteLayer.fresh("replayed", anchors) if anchors else None
        self.memory = Memory() if remembers else None

    def judge(self, comment: Comment) -> Outcome:
        outcome = comment.outcome(self.layer.added(comment.row) if self.layer is not None else 0.0)
        twin = self.memory.twin(comment.sketch) if self.memory is not None else None
        if twin is None or twin.outcome is None:
            return outcome
        if twin.outcome is Outcome.ACCEPT:
            return Outcome.ACCEPT if outcome is Outcome.QUEUE else outcome
        return max(outcome, twin.outcome)

    def learn(self, comment: Comment) -> None:
        id, is_spam, campaign = comment.example.id, comment.is_spam, ""
        if self.memory is not None:
            campaign = self.memory.remember(id, comment.sketch, positive=is_spam)
        if self.layer is not None:
            margin = margin_of(comment.log_odds, comment.thresholds, positive=is_spam)
            lesson = Lesson(id, comment.row, margin, is_spam, "moderator", campaign)
            self.layer = self.layer.after([lesson])


class Peer:
    """A mail filter that is told the same."""

    def __init__(self, mail_filter: MailFilter) -> None:
        self._filter = mail_filter

    def judge(self, comment: Comment) -> Outcome:
        return self._filter.judge(mail_of(comment.example))

    def learn(self, comment: Comment) -> None:
        self._filter.learn(mail_of(comment.example), spam=comment.is_spam)


def mail_of(example: LabelledExample) -> Mail:
    """What a mail filter is given of an example: text, name and link, as the champion is."""
    return Mail(example.text, example.author, example.author_url)


# ------------------------------------------------------------------ replays


@dataclass(frozen=True, slots=True)
class Run:
    """One replay: of each comment the outcome, and how many decisions had been told before."""

    outcome: NDArray[np.int64]
    told_before: NDArray[np.int64]
    told: int


def replay(judge_and_learn: Filter, stream: Sequence[Comment], *, seed: int) -> Run:
    """Verdict first; then the decision on what was queued, or was drawn for the audit."""
    outcomes, before, told = [], [], 0
    for comment in stream:
        outcome = judge_and_learn.judge(comment)
        outcomes.append(int(outcome))
        before.append(told)
        if outcome is Outcome.QUEUE or _is_audited(comment.example.id, seed):
            judge_and_learn.learn(comment)
            told += 1
    return Run(np.array(outcomes), np.array(before), told)


def _is_audited(id: str, seed: int) -> bool:
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{id}".encode()).digest()[:8], "big")
    return draw < POLICY.audit_rate * 2**64


def rates(outcome: NDArray[np.int64], spam: NDArray[np.bool_]) -> list[float]:
    """Spam rejected, spam rejected or queued, ham rejected, ham queued; shares."""
    of_spam, of_ham = outcome[spam], outcome[~spam]
    return [
        float((of_spam == Outcome.REJECT).mean()),
        float((of_spam != Outcome.ACCEPT).mean()),
        float((of_ham == Outcome.REJECT).mean()),
        float((of_ham == Outcome.QUEUE).mean()),
    ]


def curve(runs: Sequence[Run], alone: NDArray[np.int64], spam: NDArray[np.bool_]) -> Iterator[str]:
    """A row for each mark that enough of the stream is left after, medians over runs.

    In brackets is the champion alone on the same comments.
    """
    for mark in MARKS:
        found = []
        for run in runs:
            rest = run.told_before >= mark
            left = spam[rest]
            if run.told >= mark and min(left.sum(), (~left).sum()) >= FEWEST:
                found.append(
                    [*rates(run.outcome[rest], left), *rates(alone[rest], left), int(rest.sum())]
                )
        if len(found) * 2 > len(runs):
            now = np.median(found, axis=0)
            cells = [f"{100 * now[n]:.1f} ({100 * now[n + 4]:.1f})" for n in range(4)]
            told = np.median([run.told for run in runs])
            yield f"| {mark} | {' | '.join(cells)} | {now[8]:.0f} | {told:.0f} |"


HEADING = (
    "| filter | decisions told | spam rejected % | rejected or queued % | ham rejected % "
    "| ham queued % | comments left | told in all |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def tables(
    site: Site,
    champion: Classifier,
    training: Sequence[LabelledExample],
    options: argparse.Namespace,
) -> Iterator[str]:
    """All that is printed about a site."""
    stream = read_by(champion, site.stream)
    anchors = Anchors.of(champion.spec)
    spam = np.array([comment.is_spam for comment in stream], bool)
    alone = np.array([int(comment.outcome()) for comment in stream])
    yield f"\n## {site.name}: {spam.sum()} spam, {(~spam).sum()} ham\n\n{HEADING}"
    probe = read_by(champion, site.probe)
    after: list[str] = []
    ours = (
        ("champion", None, False),
        ("with memory", None, True),
        ("with layer", anchors, False),
        ("with both", anchors, True),
    )
    for name, layer, remembers in ours:
        runs = []
        flagged = []
        for seed in range(options.seeds):
            learner = Learner(layer, remembers=remembers)
            runs.append(replay(learner, stream, seed=seed))
            if probe:
                flagged.append([int(learner.judge(comment)) for comment in probe])
        yield from (f"| {name} {row}" for row in curve(runs, alone, spam))
        if probe:
            ham = np.array(flagged)
            rejected, queued = (ham == Outcome.REJECT).mean(1), (ham == Outcome.QUEUE).mean(1)
            after.append(
                f"| {name} | {100 * np.median(rejected):.2f} | {100 * np.median(queued):.2f} |"
            )
    if not options.no_peers:
        yield from _peer_rows(stream, alone, spam, training, options)
    if after:
        yield (
            f"\n{len(probe)} readers' comments, judged when the stream is over:\n\n"
            "| filter | rejected % | queued % |\n| --- | ---: | ---: |"
        )
        yield from after


def _peer_rows(
    stream: Sequence[Comment],
    alone: NDArray[np.int64],
    spam: NDArray[np.bool_],
    training: Sequence[LabelledExample],
    options: argparse.Namespace,
) -> Iterator[str]:
    """The peers' rows, or what to install."""
    seen = [e for e in training if e.label.head is Head.SPAM and e.text.strip()]
    seen = Random(7).sample(seen, min(options.peer_rows, len(seen)))
    for name, start in PEERS.items():
        for told, taught in (("from nothing", []), (f"after {len(seen)} examples", seen)):
            try:
                runs = [
                    _peer_run(start, taught, stream, seed) for seed in range(options.peer_seeds)
                ]
            except Absent as absent:
                yield f"| {name}: {absent} | | | | | | | |"
                break
            yield from (f"| {name} {told} {row}" for row in curve(runs, alone, spam))


def _peer_run(
    start: Callable[[], AbstractContextManager[MailFilter]],
    taught: Sequence[LabelledExample],
    stream: Sequence[Comment],
    seed: int,
) -> Run:
    with start() as mail_filter:
        mail_filter.learn_all([(mail_of(e), e.label.positive) for e in taught])
        return replay(Peer(mail_filter), stream, seed=seed)


# ------------------------------------------------------------------ command


def main() -> None:
    options = _options()
    # So that a replay that is told to end takes its peers' processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    recipe = RECIPES[options.recipe]
    examples = usable(_examples(options.data), recipe)
    cached = joblib.Memory(options.cache, verbose=0).cache(
        champion_of, ignore=["examples", "recipe"]
    )
    for site in sites_of(examples):
        if options.site and site.name not in options.site:
            continue
        training = training_rows(examples, site, recipe)
        champion = cached(key_of(training, recipe), training, recipe)
        for line in tables(site, champion, training, options):
            print(line, flush=True)


def _examples(folder: Path) -> list[LabelledExample]:
    """The labelled rows that the shipped champion may see, and the project's own texts."""
    files = sorted((*folder.glob("*.jsonl.gz"), *folder.glob("*.jsonl"), *TEXTS.glob("*.jsonl")))
    return [
        example
        for file in files
        if file.name.partition(".")[0] not in RESEARCH_ONLY
        for example in read_examples(file, on_bad=lambda _: None)
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--site", action="append", metavar="NAME", help="only this one")
    parser.add_argument("--seeds", type=int, default=5, help="audit draws of ours")
    parser.add_argument("--peer-seeds", type=int, default=1, help="audit draws of the peers")
    parser.add_argument("--peer-rows", type=int, default=4_000, metavar="N")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--recipe", choices=list(RECIPES), default="general")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "duyet-replay", metavar="DIR"
    )
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error("--data must be a directory")
    if min(options.seeds, options.peer_seeds) < 1:
        parser.error("--seeds must be at least 1")
    return options


if __name__ == "__main__":
    main()
