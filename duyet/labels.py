"""The commands `duyet labels`: what labels there are, which are probably wrong, what to label next.

Knows where labels come from, the store or files, and how findings are told. What they are is in
`training.label_report`, `training.auditing` and `model.teaching`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from duyet.label_audit import EXCERPT, OPERATOR, keep, looked_at
from model.addresses import mask_addresses
from model.decision import LabelledExample
from model.facts import gather
from model.memory import sketch_of
from model.teaching import Candidate, most_telling
from service.commands.opening import (
    NAME,
    Installation,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
)
from service.storage.finding import Filter, Finding, Order
from service.storage.label_findings import FindingKind, LabelFindings
from service.storage.traits import doubt_of
from training.label_report import label_report
from training.reading import examples_of, tell_left_out
from training.resolving import resolved

POOL = 500
"""Of so many waiting comments, those that teach most by the queue's order, are the next chosen."""


_files = click.argument(
    "files",
    nargs=-1,
    metavar="[FILE]...",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path),
)
_site = click.option("--site", "site_name", type=NAME, metavar="NAME", help="Only this site's.")
_jobs = click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes."
)
_skip = click.option("--skip-bad", is_flag=True, help="Leave out rows that cannot be read.")


@click.group(
    "labels",
    epilog="""\b
Examples:
  duyet labels report
  duyet labels audit --limit 20
  duyet labels next --site blog --limit 50 --json
  duyet labels report labelled.csv more.jsonl.gz

The findings on all that the store holds are shown to admins at /labels as well.""",
)
def labels() -> None:
    """Report on labels, find those that are probably wrong, say what to label next."""


@labels.command("report")
@_files
@_site
@_jobs
@_skip
@json_option
def report(
    files: tuple[Path, ...],
    site_name: str | None,
    jobs: int,
    *,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Say what labels there are: how many, whose, how far people agree, and what is lacking.

    Those of the store, or of each FILE that is named. Nothing is changed by it.
    """
    if files:
        given = _of_files(files, site_name, skip_bad=skip_bad)
        body = label_report(given, resolved(given, jobs=jobs))
    else:
        with installation() as at:
            site_ids = _only(at, site_name)
            findings = LabelFindings(at.store)
            given = list(at.store.labelled(site_ids))
            again = list(findings.said_again(site_ids))
            body = label_report(given, resolved(given, jobs=jobs), again)
            if site_ids is None:
                findings.keep(FindingKind.REPORT, body, by=OPERATOR)
    click.echo(json_text(body) if as_json else "\n".join(_report_lines(body)))


@labels.command("audit")
@_files
@_site
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=10_000),
    default=50,
    show_default=True,
    help="Labels that are listed, most probably wrong first.",
)
@_jobs
@_skip
@json_option
def audit(
    files: tuple[Path, ...],
    site_name: str | None,
    limit: int,
    jobs: int,
    *,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """List labels that are probably wrong, for a second look. None is changed.

    Each head is fitted several times, without a part of the labels, and judges that part; what it
    is confident of otherwise is listed: confident learning (docs/labels.md). Labels of the store,
    or of each FILE that is named.
    """
    if files:
        given = _of_files(files, site_name, skip_bad=skip_bad)
        body = looked_at(resolved(given, jobs=jobs), jobs=jobs).body()
    else:
        with installation() as at:
            site_ids = _only(at, site_name)
            given = list(at.store.labelled(site_ids))
            body = looked_at(resolved(given, jobs=jobs), jobs=jobs).body()
            if site_ids is None:
                keep(body, at.store)
    body["labels"] = body["labels"][:limit]
    click.echo(json_text(body) if as_json else "\n".join(_audit_lines(body)))


@labels.command("next")
@_site
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=POOL),
    default=20,
    show_default=True,
    help="Comments that are listed.",
)
@json_option
def next_(site_name: str | None, limit: int, *, as_json: bool) -> None:
    """List waiting comments whose decision would teach most: unsure, and unlike each other.

    The queue page in the order "teaches most" shows nearly the same order.
    """
    with installation() as at:
        site_ids = _only(at, site_name)
        body = {"comments": _next(at, site_ids, limit)}
    click.echo(json_text(body) if as_json else "\n".join(_next_lines(body["comments"])))


# ------------------------------------------------------------------ steps


def _only(at: Installation, site_name: str | None) -> list[str] | None:
    return None if site_name is None else [site_named(at.store, site_name).id]


def _of_files(
    files: Sequence[Path], site_name: str | None, *, skip_bad: bool
) -> list[LabelledExample]:
    if site_name is not None:
        raise click.UsageError("--site is for the labels of the store, not of files")
    left_out: Counter[str] = Counter()
    given = [
        example if example.id else replace(example, id=f"label {number:,} of {path.name}")
        for path in files
        for number, example in enumerate(
            examples_of([path], skip_bad=skip_bad, left_out=left_out), start=1
        )
    ]
    tell_left_out(left_out)
    return given


def _next(at: Installation, site_ids: list[str] | None, limit: int) -> list[dict[str, Any]]:
    finding = Finding(at.store)
    while finding.catch_up():
        pass
    ids = finding.ids(site_ids, Filter(), Order.TEACHES, limit=POOL)
    waiting = {one.id: one for one in finding.comments(site_ids, ids)}
    names = {site.id: site.name for site in at.store.sites()}
    candidates = [
        Candidate(
            one.id, doubt_of(one.verdict.scores), sketch_of(gather(one.submission, one.history))
        )
        for one in waiting.values()
    ]
    picks = most_telling(candidates, limit)
    return [
        {
            "comment_id": pick.id,
            "site": names.get(waiting[pick.id].site_id, ""),
            "doubt": pick.doubt,
            "worth": pick.worth,
            "excerpt": shown(mask_addresses(waiting[pick.id].submission.content), width=EXCERPT),
        }
        for pick in picks
    ]


# ------------------------------------------------------------------ telling


def _report_lines(body: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{body['labels']:,} labels, of which {body['teaching']:,} teach, "
        f"weighing {body['weight']:,.1f} together."
    )
    for why, count in sorted(body["left_out"].items()):
        yield f"  {count:,} {why}"
    yield from _table(
        "Where from",
        ("source", "kind", "label", "labels"),
        [(one["source"], one["kind"], one["label"], one["labels"]) for one in body["sources"]],
    )
    yield from _table(
        "Whose",
        ("label", "who", "kind", "labels", "share", "weighs"),
        [
            (
                one["label"],
                one["who"],
                one["kind"],
                one["labels"],
                _percent(one["share"]),
                _percent(one["weighs"]),
            )
            for one in body["accounts"]
        ],
    )
    yield from _table(
        "Agreement between people (1 is always, 0 as by chance)",
        ("on", "between", "of", "agreed", "beyond chance", "95 % interval"),
        list(_agreement_rows(body["agreement"])),
    )
    clashes = {
        "again": "where somebody said otherwise later",
        "rank": "where one word counts more than the other",
        "even": "of two of which none is later",
        "copies": "between near-duplicates",
    }
    told = [f"{n:,} {clashes[name]}" for name, n in body["conflicts"].items() if n]
    yield ""
    yield f"Conflicts: {', '.join(told) or 'none'}."
    yield f"Campaigns: {body['campaigns']['number']:,}."
    for one in body["campaigns"]["largest"][:5]:
        yield f"  {one['comments']:,} {one['label']} weigh {one['weight']:.2f}"
    words = ("spam", "ham", "toxic", "clean")
    yield from _table(
        "Coverage, of what teaches",
        ("source", "language", *words),
        [
            (one["source"], one["language"], *(one["labels"].get(word, 0) for word in words))
            for one in body["coverage"]
        ],
    )
    yield ""
    yield (
        f"To reject in a language by score takes {body['needed_in_a_language']:,} genuine comments "
        "of it, held out (docs/promise.md)."
    )
    yield "What to label next: duyet labels next. What is probably wrong: duyet labels audit."


def _agreement_rows(agreement: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for head, found in agreement["near_duplicates"].items():
        yield (f"near-duplicates, {head}", "all", *_agreed(found))
        for pair in found["pairs"]:
            yield (f"near-duplicates, {head}", f"{pair['one']}, {pair['other']}", *_agreed(pair))
    yield ("comments decided again", "all", *_agreed(agreement["same_comments"]))


def _agreed(found: dict[str, Any]) -> tuple[object, ...]:
    if found["value"] is None:
        return found["units"], _percent(found["agreed"]), "–", "–"
    interval = f"{found['low']:.2f} to {found['high']:.2f}"
    return found["units"], _percent(found["agreed"]), f"{found['value']:.2f}", interval


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _audit_lines(body: dict[str, Any]) -> Iterator[str]:
    for head, why in body["left_out"].items():
        yield f"{head}: nothing is said, {why}."
    yield f"{body['suspect']:,} of {body['judged']:,} labels are probably wrong."
    for label, share in body["wrong"].items():
        yield f"  of {label} about {_percent(share)}"
    for one in body["labels"]:
        yield ""
        at = f", {one['at'][:10]}" if one["at"] else ""
        source = f" of {shown(one['source'])}" if one["source"] else ""
        yield (
            f"{one['score']:.3f}  {one['label']}, probably {one['suggests']}: "
            f"{shown(one['comment_id'] or one['id'])}{source}, "
            f"by {shown(one['who'])} ({one['kind']}){at}"
        )
        yield f"       {one['excerpt']}"
    for one in body["reliance"]:
        yield ""
        yield (
            f"{shown(one['who'])} ({one['kind']}) is contradicted far more than others: "
            f"labels on {one['head']} are to weigh {_percent(one['weighs'])}."
        )
    yield from _table(
        "Suspect by account",
        ("head", "who", "kind", "labels", "suspect", "95 % interval", "others"),
        [
            (
                one["head"],
                one["who"],
                one["kind"],
                one["labels"],
                one["suspect"],
                f"{100 * one['low']:.1f} to {100 * one['high']:.1f} %",
                _percent(one["others"]),
            )
            for one in body["accounts"]
        ],
    )


def _next_lines(picks: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not picks:
        yield "Nothing waits."
    for one in picks:
        yield f"{one['worth']:.3f}  {one['comment_id']}  {shown(one['site'])}: {one['excerpt']}"


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table under a title, numbers to the right; nothing where there are no rows."""
    if not rows:
        return
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else shown(str(cell), width=40) for cell in row]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [isinstance(cell, int) for cell in rows[0]]
    yield ""
    yield f"{title}:"
    for line in (header, *cells):
        yield (
            "  "
            + "  ".join(
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(line, widths, right, strict=True)
            ).rstrip()
        )
