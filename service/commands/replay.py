"""The command `duyet replay`: judge stored comments again before anything is changed."""

import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, TextIO

import click

from model.classifier import Classifier
from model.lists import Act, Entry, Kind, Lists
from model.policy import Policy
from model.registry import CHAMPION, SHIPPED, Registry
from service.commands.keep import counted
from service.commands.lists import rules_in
from service.commands.opening import (
    NAME,
    Installation,
    installation,
    json_option,
    json_text,
    shown,
    site_named,
)
from service.commands.policy_file import PolicyProblems, changed
from service.commands.replay_answer import Answer
from service.commands.sites import Duration
from service.replay import Replayed, Setups, replayed, setups_of, together
from service.serving import registry_of
from service.storage import Site
from service.storage.past import Stretch, count_past, first_past

SLICES = 8
"""Into so many stretches of time each process' share is cut, so that all end together."""

THEN, NOW = "then", "now"


@click.command(
    "replay",
    epilog="""\b
Examples:
  duyet replay --model challenger                    what another model would have said
  duyet replay --policy stricter.json --since 7d --site blog
  duyet lists export blog > lists.jsonl              then edit it, and see what it would do:
  duyet replay --lists lists.jsonl --site blog
  duyet replay --model challenger --against now --jobs 4 --json > flips.json""",
)
@click.option("--model", metavar="NAME", default=CHAMPION, help="A version, or a name.")
@click.option(
    "--policy",
    "policy_file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="JSON with what each site's policy is to be changed in (docs/shadow.md).",
)
@click.option(
    "--lists",
    "lists_file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="What the site's lists would be, as `duyet lists export` writes them; needs --site.",
)
@click.option(
    "--since", type=Duration(), default="30d", show_default=True, help="How far back; 0 for all."
)
@click.option("--site", "site_name", type=NAME, metavar="NAME", help="Only this site's comments.")
@click.option(
    "--against",
    type=click.Choice([THEN, NOW]),
    default=THEN,
    show_default=True,
    help="Compare with what was said then, or with what champion and policies in force would say.",
)
@click.option(
    "--most",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    help="Examples of each kind of flip.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that share the work.",
)
@json_option
def replay(  # noqa: PLR0913  one for each option
    *,
    model: str,
    policy_file: TextIO | None,
    lists_file: TextIO | None,
    since: timedelta,
    site_name: str | None,
    against: str,
    most: int,
    jobs: int,
    as_json: bool,
) -> None:
    """Judge stored comments again, and list those that would have another outcome.

    Each is judged by what was known when it came: the history stored with its verdict, and what
    the site's memory and rules for authors found then. Changes nothing. Comments that people
    accepted come first, then those that they rejected, then the others.
    """
    asked = _Asked(
        model=model,
        policy=None if policy_file is None else _text(policy_file),
        lists=None if lists_file is None else _text(lists_file),
        site=site_name,
        against=against,
        most=most,
    )
    if asked.lists is not None and site_name is None:
        raise click.UsageError("--lists is of one site; name it with --site")
    began = time.monotonic()
    with installation() as at, _said_line_by_line():
        work = _Work.of(at, asked)
        until = at.store.now() + timedelta(days=1)  # clocks differ
        start = at.store.now() - since if since else first_past(at.store)
        stretch = Stretch.between(work.site_ids, start, until)
        of = count_past(at.store, stretch)
        if jobs == 1:
            with counted("judged again") as told:
                found = work.done(at, stretch, told)
        else:
            found = _in_processes(asked, _slices(stretch, start, until, jobs), jobs)
        answer = Answer(
            found=found,
            of=of,
            since=start,
            model=work.classifier.version,
            champion=work.champion,
            policy=asked.policy,
            against_now=against == NOW,
            sites={site.id: shown(site.name) for site in work.sites},
            seconds=time.monotonic() - began,
        )
    click.echo(json_text(answer.body()) if as_json else "\n".join(answer.lines()))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for; goes to other processes as it is."""

    model: str
    policy: str | None
    lists: str | None
    site: str | None
    against: str
    most: int


@dataclass(frozen=True, slots=True)
class _Work:
    """What was asked for, on an installation."""

    asked: _Asked
    sites: Sequence[Site]
    classifier: Classifier
    champion: str
    after: Setups
    before: Setups | None

    @classmethod
    def of(cls, at: Installation, asked: _Asked) -> "_Work":
        """Raises RegistryError, PolicyProblems, click's error for a site or lists."""
        sites = [site_named(at.store, asked.site)] if asked.site else at.store.sites()
        own = registry_of(at.settings)
        registry = own if own.versions() else Registry(SHIPPED)
        classifier = registry.load(asked.model)

        def policy_of(site: Site) -> Policy:
            return site.policy if asked.policy is None else changed(site.policy, asked.policy)

        lists = None if asked.lists is None else _lists(asked.lists)
        after = setups_of(sites, classifier, policy_of=policy_of, lists_of=lambda _: lists)
        before = None
        if asked.against == NOW:
            in_use = registry.load(CHAMPION)
            before = setups_of(sites, in_use)
        champion = registry.names().get(CHAMPION, "")
        return cls(asked, sites, classifier, champion, after, before)

    @property
    def site_ids(self) -> frozenset[str] | None:
        """Those whose comments are read, None for all."""
        return frozenset(site.id for site in self.sites) if self.asked.site else None

    def done(self, at: Installation, stretch: Stretch, told: Any = lambda _: None) -> Replayed:
        """The comments of a stretch, judged again."""
        return replayed(
            at.store, stretch, self.after, before=self.before, most=self.asked.most, progress=told
        )


def _text(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError:
        raise click.ClickException(f"{shown(file.name)} is not UTF-8") from None


def _lists(text: str) -> Lists:
    rules = rules_in(text.splitlines())
    kinds = (Entry(Kind(r.kind.value), r.key, Act(r.action), r.scope == "address") for r in rules)
    return Lists(kinds)


@contextmanager
def _said_line_by_line() -> Iterator[None]:
    """Turn what is wrong with a file into a line for each problem."""
    try:
        yield
    except PolicyProblems as wrong:
        for problem in wrong.problems:
            click.echo(f"duyet: {problem}", err=True)
        raise click.exceptions.Exit(1) from None


# ------------------------------------------------------------------ in several processes


def _slices(stretch: Stretch, start: datetime, until: datetime, jobs: int) -> list[Stretch]:
    """The stretch cut by time, the newest first."""
    step = (until - start) / (jobs * SLICES)
    edges = [start + step * at for at in range(jobs * SLICES)] + [until]
    cut = [Stretch.between(stretch.sites, *pair) for pair in pairwise(edges)]
    return cut[::-1]


_asked: list[_Asked] = []
_mine: list[tuple[Installation, _Work]] = []
"""What was asked of this process, and what it works with, when it is one of several."""


def _in_processes(asked: _Asked, slices: Sequence[Stretch], jobs: int) -> Replayed:
    # Started anew, as a database's connections do not survive a fork.
    context = get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(asked,)) as pool:
        try:
            return together(pool.map(_slice, slices), most=asked.most)
        except BrokenProcessPool:
            raise click.ClickException("a process ended before its work was done") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(asked: _Asked) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told as well, and ends this one
    _asked.append(asked)


def _slice(stretch: Stretch) -> Replayed:
    if not _mine:  # here and not at the beginning, so that what fails is said by the parent
        at = installation().__enter__()  # open for as long as the process lives
        _mine.append((at, _Work.of(at, _asked[0])))
    at, work = _mine[0]
    return work.done(at, stretch)
