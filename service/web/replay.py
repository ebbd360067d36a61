"""The page where admins try a model, thresholds or lists on stored comments, before any change.

Reads, and changes nothing. Bounded in time, and one at a time in a process, so that comments are
judged meanwhile. Works without JavaScript.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.classifier import Classifier
from model.lists import Entry
from model.outcome import OFF, Head, HeadThresholds, Outcome, Thresholds
from model.policy import Policy
from model.registry import CHALLENGER, CHAMPION, SHIPPED, Registry, RegistryError
from service.replay import Flip, Kind, Replayed, lists_with, replayed, setups_of, until
from service.rule_trial import LONGER_SECONDS
from service.storage import Role, Site
from service.storage.past import Stretch, count_past
from service.web.card import Pieces, at_once_and_rest, language_tag, pieces_of, plain_name
from service.web.desk import Admin, Caller, Desk, TheDesk
from service.web.rendering import PageRoute, Refusal, page
from service.web.rule_forms import Problem, Wanted, read

DAYS = ("7", "30", "90", "365")
STRICTNESS = ("keep", "risks", "scores")
MOST_MODELS = 30
EXAMPLES = 5
"""Shown of each kind of flip."""

_SHOWN = 1_200
_REST_SECONDS = 0.001  # every few comments, so that others are judged meanwhile
_alone = Lock()


class Tried(BaseModel):
    """What is to be tried, as sent. `strict` says which of the numbers count.

    `reject` and `queue` are risks in percent; the others are scores, empty for never.
    """

    site: str = ""
    model: str = CHAMPION
    days: str = "30"
    against: str = "then"
    strict: str = "keep"
    reject: str = ""
    queue: str = ""
    spam_queue: str = ""
    spam_reject: str = ""
    toxicity_queue: str = ""
    toxicity_reject: str = ""
    kind: str = "word"
    act: str = "queue"
    entries: str = ""
    longer: str = ""


_Tried = Annotated[Tried, Form()]


def routes() -> APIRouter:
    """The form, and what came of it."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/replay", ask, methods=["GET"], response_model=None)
    router.add_api_route("/replay", tried, methods=["POST"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong with what was sent: codes, and lines of the lists."""

    codes: tuple[str, ...] = ()
    lines: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.codes or self.lines)


@dataclass(frozen=True, slots=True)
class Model:
    """A version that can be tried. `names` are those that point at it."""

    version: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownFlip:
    """An example as shown."""

    flip: Flip
    name: Pieces
    content: Pieces
    language: str


def ask(
    request: Request, caller: Admin, desk: TheDesk, site: str = "", model: str = ""
) -> Response:
    """The form, with nothing changed in it yet."""
    chosen = _site(desk, caller, site)
    sent = Tried(site=chosen.id, model=model or CHAMPION)
    return _page(request, caller, desk, chosen, _in_force(chosen.policy, sent))


def tried(request: Request, caller: Admin, desk: TheDesk, sent: _Tried) -> Response:
    """The form with what would be other than it was."""
    site = _site(desk, caller, sent.site or "-")
    policy, problems = _policy(site.policy, sent)
    lists = read(_lists_form(sent), desk.now())
    wrong = Problems(problems, lists.problems)
    if wrong:
        return _page(request, caller, desk, site, sent, problems=wrong)
    registry = _registry(request)
    try:
        classifier = registry.load(sent.model)
        in_use = registry.load(CHAMPION)
    except (RegistryError, OSError):
        return _page(request, caller, desk, site, sent, problems=Problems(("model",)))
    most = LONGER_SECONDS if sent.longer else request.app.state.replay_seconds
    work = _Work(site, classifier, in_use, policy, lists.entries, sent)
    found, of, seconds = work.done(desk, most)
    return _page(request, caller, desk, site, sent, found=found, of=of, seconds=seconds)


def _lists_form(sent: Tried) -> Wanted:
    return Wanted(site=sent.site, kind=sent.kind, act=sent.act, entries=sent.entries)


# ------------------------------------------------------------------ the work


@dataclass(frozen=True, slots=True)
class _Work:
    site: Site
    classifier: Classifier
    in_use: Classifier
    policy: Policy
    entries: Sequence[Entry]
    sent: Tried

    def done(self, desk: Desk, seconds: float) -> tuple[Replayed, int, float]:
        """What came of it, of how many comments, and how many seconds of those it took."""
        sites = [self.site]
        lists = lists_with(desk.store, self.site, self.entries) if self.entries else None
        after = setups_of(
            sites, self.classifier, policy_of=lambda _: self.policy, lists_of=lambda _: lists
        )
        before = None
        if self.sent.against == "now":
            before = setups_of(sites, self.in_use)
        now, days = desk.now(), int(self.sent.days) if self.sent.days in DAYS else 30
        stretch = Stretch.between(
            frozenset({self.site.id}), now - timedelta(days=days), now + timedelta(days=1)
        )
        with _one_at_a_time(seconds):
            began = time.monotonic()
            of = count_past(desk.store, stretch)
            found = replayed(
                desk.store,
                stretch,
                after,
                before=before,
                most=EXAMPLES,
                rest=lambda: time.sleep(_REST_SECONDS),
                is_over=until(seconds),
            )
            return found, max(of, found.looked_at), time.monotonic() - began


@contextmanager
def _one_at_a_time(seconds: float) -> Iterator[None]:
    if not _alone.acquire(timeout=seconds):
        raise Refusal(503, "replay_busy", headers={"Retry-After": "10"})
    try:
        yield
    finally:
        _alone.release()


# ------------------------------------------------------------------ what was sent


def _policy(policy: Policy, sent: Tried) -> tuple[Policy, tuple[str, ...]]:
    """The policy to be tried, and what is wrong with its numbers."""
    try:
        if sent.strict == "risks":
            reject, queue = _number(sent.reject), _number(sent.queue)
            if reject is None or queue is None:
                return policy, ("number",)
            return replace(
                policy, reject_risk=reject / 100, queue_risk=queue / 100, thresholds=None
            ), ()
        if sent.strict == "scores":
            return replace(policy, thresholds=_thresholds(sent)), ()
    except OverflowError:
        return policy, ("number",)
    except ValueError as wrong:
        return policy, ("order" if "rise" in str(wrong) or "at most" in str(wrong) else "number",)
    return policy, ()


def _thresholds(sent: Tried) -> HeadThresholds:
    def of(head: Head) -> Thresholds:
        at = [_number(getattr(sent, f"{head.value}_{step}")) for step in ("queue", "reject")]
        queue_at, reject_at = (OFF if score is None else score for score in at)
        return Thresholds(queue_at, reject_at)

    return HeadThresholds(of(Head.SPAM), of(Head.TOXICITY))


def _number(text: str) -> float | None:
    """A number as people write it, None for nothing. Raises ValueError for what is none."""
    if not text.strip():
        return None
    number = float(text.strip()[:20].rstrip("% \N{NO-BREAK SPACE}").replace(",", "."))
    if not (math.isfinite(number) and number >= 0):
        raise ValueError("no number from 0")
    return number


def _in_force(policy: Policy, sent: Tried) -> Tried:
    """The form with the numbers of the policy in force, for whoever wants to change them."""
    numbers = {
        "reject": f"{100 * policy.reject_risk:g}",
        "queue": f"{100 * policy.queue_risk:g}",
    }
    if policy.thresholds is not None:
        for head in Head:
            at = policy.thresholds.of(head)
            for step, score in (("queue", at.queue_at), ("reject", at.reject_at)):
                numbers[f"{head.value}_{step}"] = "" if score > 1 else f"{score:g}"
    return sent.model_copy(update=numbers)


# ------------------------------------------------------------------ sites and models


def _administered(desk: Desk, caller: Caller) -> list[Site]:
    return [site for site in desk.store.sites() if caller.may(Role.ADMIN, site.id)]


def _site(desk: Desk, caller: Caller, site_id: str) -> Site:
    """One of the sites that the caller administers; without a choice the first."""
    for site in _administered(desk, caller):
        if site.id == site_id or not site_id:
            return site
    raise Refusal(404, "unknown_site")


def _registry(request: Request) -> Registry:
    own: Registry = request.app.state.registry
    return own if own.versions() else Registry(SHIPPED)


def _models(request: Request, chosen: str = CHAMPION) -> list[Model]:
    """The versions that can be tried: those with a name first, then what had one last."""
    registry = _registry(request)
    try:
        names, versions = registry.names(), registry.versions()
        moved = [move["to"] for move in reversed(registry.moves())]
    except (RegistryError, OSError):
        return []
    order = dict.fromkeys([*sorted(names, key=_named_first), chosen, *moved, *versions])
    found = dict.fromkeys(names.get(one, one) for one in order)
    return [
        Model(version, tuple(sorted(name for name, at in names.items() if at == version)))
        for version in found
        if version in versions
    ][:MOST_MODELS]


def _named_first(name: str) -> tuple[int, str]:
    usual = (CHAMPION, CHALLENGER)
    return (usual.index(name) if name in usual else len(usual)), name


# ------------------------------------------------------------------ as shown


def _page(
    request: Request,
    caller: Caller,
    desk: Desk,
    site: Site,
    sent: Tried,
    *,
    problems: Problems | None = None,
    found: Replayed | None = None,
    of: int = 0,
    seconds: float = 0.0,
) -> Response:
    return page(
        request,
        "replay.html",
        status=422 if problems else 200,
        site=site,
        site_name=plain_name(site.name),
        sites=[(one.id, plain_name(one.name)) for one in _administered(desk, caller)],
        sent=sent,
        models=_models(request, sent.model),
        days=DAYS,
        strictness=STRICTNESS,
        problems=problems,
        found=found,
        of=of,
        seconds=seconds,
        is_whole=found is not None and found.looked_at >= of,
        accepted=found.decided(Outcome.ACCEPT) if found else 0,
        rejected=found.decided(Outcome.REJECT) if found else 0,
        genuine=found.against(Outcome.ACCEPT) if found else 0,
        unwanted=found.against(Outcome.REJECT) if found else 0,
        kinds=_kinds(found) if found else [],
    )


def _kinds(found: Replayed) -> list[tuple[Kind, int, list[ShownFlip]]]:
    return [
        (kind, count, [_shown(flip) for flip in found.flips if flip.kind == kind])
        for kind, count in found.changed
    ]


def _shown(flip: Flip) -> ShownFlip:
    content = at_once_and_rest(pieces_of(flip.content[:_SHOWN]))[0]
    return ShownFlip(flip, pieces_of(flip.name), content, language_tag(flip.content[:_SHOWN]))
