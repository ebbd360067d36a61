"""The models, for who administers every site: train, compare, promote, roll back, and when.

A model is shared by all sites, so nobody else has a say in it. Knows what the promotion rule says
and puts it into words; decides nothing itself. Works without JavaScript, which only keeps the
progress up to date.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from model.comparison import Comparison
from model.moves import LONGEST_WHY, was_taken_back
from model.one_line import one_line
from model.promotion import ALL, Reason, Ruling, Shadowed, ruling_on
from model.registry import CHALLENGER, CHAMPION, Registry, RegistryError
from service.first_start import ADOPTED
from service.promoting import BY_RULE
from service.storage import Role
from service.storage.grounds import advice
from service.storage.jobs import INTERRUPTED, AlreadyAsked, Jobs, Nightly
from service.storage.model_moves import PROMOTED, ROLLED_BACK, model_moved
from service.training_jobs import ENDED, KILLED, NO_ROOM
from service.web.card import Piece, Pieces, pieces_of, plain_name
from service.web.desk import Admin, Caller, Desk, TheDesk
from service.web.rendering import PageRoute, Refusal, page, see_other
from service.web.texts import Texts, texts_for

log = logging.getLogger(__name__)

MOVES_SHOWN = 20
JOBS_SHOWN = 8


def _pattern_of(words: str) -> re.Pattern[str]:
    """What the program's own words look like once their number `n` is filled in."""
    return re.compile(re.escape(words).replace(r"\{\}", r"(?P<n>\d+)"))


_OWN_WORDS = {
    "models.why.moved": re.compile(
        r"(?P<parent>[0-9a-f]+) moved by (?P<count>[0-9][0-9,]*) labels"
    ),
    "models.why.rule": re.compile(BY_RULE),
    "models.why.trained": re.compile("trained"),
    "models.why.adopted": re.compile(re.escape(ADOPTED)),
    "models.why.interrupted": re.compile(INTERRUPTED),
    "models.why.killed": _pattern_of(KILLED),
    "models.why.ended": _pattern_of(ENDED),
    "models.why.no_room": _pattern_of(NO_ROOM),
}
"""What the program itself writes down of a move, or of why a training failed."""

_DONE = frozenset({"asked", "stopped", "promoted", "rolled_back", "nightly"})
_SHARES = frozenset({"champion", "challenger", "change", "low", "high", "risk", "allowed", "share"})
# Styles of a report stand in it; nothing else of it is let do anything. Its links lead to comments:
# from another origin, as a sandbox makes it, they would arrive without the session.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-same-origin allow-popups"
)

ShadowOf = Callable[[str, str], Shadowed | None]
"""What the shadow saw of a challenger beside a champion, by their versions."""


def no_shadow(champion: str, challenger: str) -> Shadowed | None:
    """Nothing was seen."""
    return None


class Sent(BaseModel):
    """What the forms of this part may send; a field that one does not have is empty."""

    version: str = ""
    why: str = ""
    override: str = ""
    job: str = ""
    nightly: str = ""
    promotes: str = ""
    hour: str = ""
    new_labels: str = ""


_Form = Annotated[Sent, Form()]


@dataclass(frozen=True, slots=True)
class ShownMove:
    """A move of a name, as shown."""

    at: datetime
    name: str
    to: str
    who: str
    why: Pieces
    is_roll_back: bool
    overrode: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownReason:
    """Something the rule looked at, in words."""

    sentence: str
    refuses: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is: the versions that names point at, what the rule says, and every move.

    `earlier` is the champion that a roll back would bring back, "" where there is none. What is
    `unbelieved` is the comparison, and why; `problem` is what is wrong with the whole registry.
    With `is_broken` the challenger's files are not what was written, and with `was_taken_back`
    somebody rolled back from it before.
    """

    champion: str = ""
    challenger: str = ""
    earlier: str = ""
    ruling: Ruling | None = None
    has_report: bool = False
    moves: Sequence[ShownMove] = ()
    unbelieved: str = ""
    was_taken_back: bool = False
    is_broken: bool = False
    problem: RegistryError | None = None

    @property
    def is_contested(self) -> bool:
        """Whether there is a challenger that is not the champion already."""
        return self.challenger not in ("", self.champion)


def routes() -> APIRouter:
    """The page, what its forms do, and the report."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    for method, path, function in (
        ("GET", "/models", models_page),
        ("GET", "/models/progress", progress),
        ("GET", "/models/{version}/report", report),
        ("POST", "/models/train", train),
        ("POST", "/models/stop", stop),
        ("POST", "/models/promote", promote),
        ("POST", "/models/rollback", roll_back),
        ("POST", "/models/nightly", set_nightly),
    ):
        router.add_api_route(path, function, methods=[method], response_model=None)
    return router


def models_page(request: Request, caller: Admin, desk: TheDesk, done: str = "") -> Response:
    """What serves, what might, and what was done."""
    _own(caller)
    return _page(request, desk, done=done if done in _DONE else "")


def progress(request: Request, caller: Admin, desk: TheDesk) -> Response:
    """The part of the page that tells of trainings, for the script that renews it."""
    _own(caller)
    return page(
        request, "models_training.html", **_trainings(desk, texts_for(request)), now=desk.now()
    )


def report(request: Request, caller: Admin, version: str) -> Response:
    """The report of a version beside the champion, a page that stands alone."""
    _own(caller)
    registry = _registry(request)
    language = texts_for(request).tag
    try:
        text = registry.report_page(version[:64], CHAMPION, language=language)
        text = text or registry.report_page(version[:64], CHAMPION)
    except RegistryError:
        text = None
    if text is None:
        raise Refusal(404, "no_report")
    headers = {"Content-Security-Policy": _REPORT_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(text, headers=headers)


def train(request: Request, caller: Admin, desk: TheDesk) -> Response:
    """Ask for a training."""
    _own(caller)
    try:
        Jobs(desk.store).ask(by=caller.name)
    except AlreadyAsked:
        raise Refusal(409, "training_asked") from None
    return see_other(request, "/models?done=asked")


def stop(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """Stop a training that waits or runs."""
    _own(caller)
    if not Jobs(desk.store).stop(sent.job[:64], by=caller.name):
        raise Refusal(409, "training_over")
    return see_other(request, "/models?done=stopped")


def promote(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """Make the challenger that was looked at the champion, if the rule lets or somebody says why.

    Refused where another one became the challenger, or champion, meanwhile.
    """
    _own(caller)
    standing = _standing(request, texts_for(request))
    if not standing.is_contested or sent.version != f"{standing.champion}>{standing.challenger}":
        raise Refusal(409, "models_moved")
    if standing.is_broken or standing.ruling is None:
        raise Refusal(409, "model_not_moved")
    why = one_line(sent.why, longest=LONGEST_WHY)
    overrode: list[str] = []
    if not standing.ruling.may:
        if not sent.override or not why:
            return _page(request, desk, fault="override", why=why, status=422)
        overrode = [reason.code.value for reason in standing.ruling.against]
    why = why or BY_RULE
    with _moving():
        _registry(request).move(
            CHAMPION,
            standing.challenger,
            who=caller.name,
            why=why,
            at=desk.now(),
            overrode=overrode,
            instead_of=standing.champion,
        )
    told = {"by": caller.name, "why": why}
    model_moved(desk.store, PROMOTED, standing.challenger, **told, overrode=overrode)
    return see_other(request, "/models?done=promoted")


def roll_back(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """Make the version that was champion before the champion again."""
    _own(caller)
    why = one_line(sent.why, longest=LONGEST_WHY)
    if not why:
        return _page(request, desk, fault="rollback", status=422)
    registry = _registry(request)
    with _moving():
        if registry.names().get(CHAMPION) != sent.version:
            raise Refusal(409, "models_moved")
        earlier = registry.roll_back(
            who=caller.name, why=why, at=desk.now(), instead_of=sent.version
        )
    model_moved(desk.store, ROLLED_BACK, earlier, by=caller.name, why=why)
    return see_other(request, "/models?done=rolled_back")


@contextmanager
def _moving() -> Iterator[None]:
    """Turn what is wrong with the registry, or the disk that it is on, into a page."""
    try:
        yield
    except RegistryError:
        raise Refusal(409, "model_not_moved") from None
    except OSError as problem:
        log.error("the registry cannot be written: %s", problem.strerror)
        raise Refusal(503, "models_unwritable") from None


def set_nightly(request: Request, caller: Admin, desk: TheDesk, sent: _Form) -> Response:
    """Say what is done at night."""
    _own(caller)
    numbers = (sent.hour, sent.new_labels)
    if not all(n.isascii() and n.isdigit() and len(n) < 8 for n in numbers):
        return _page(request, desk, fault="nightly", status=422)
    wanted = Nightly(
        is_on=bool(sent.nightly),
        hour=int(sent.hour),
        new_labels=int(sent.new_labels),
        promotes=bool(sent.promotes),
    )
    try:
        Jobs(desk.store).set_nightly(wanted, by=caller.name)
    except ValueError:
        return _page(request, desk, fault="nightly", status=422)
    return see_other(request, "/models?done=nightly")


def _page(
    request: Request,
    desk: Desk,
    *,
    done: str = "",
    fault: str = "",
    why: str = "",
    status: int = 200,
) -> Response:
    t = texts_for(request)
    standing = _standing(request, t)
    ruling = standing.ruling
    return page(
        request,
        "models.html",
        status=status,
        standing=standing,
        reasons=[ShownReason(_said(t, r), r.refuses) for r in ruling.reasons] if ruling else [],
        nightly=Jobs(desk.store).nightly(),
        done=done,
        fault=fault,
        why=why,
        longest_why=LONGEST_WHY,
        advice=advice(desk.store),
        serves=_serves(request),
        now=desk.now(),
        **_trainings(desk, t),
    )


def _trainings(desk: Desk, t: Texts) -> Mapping[str, Any]:
    jobs = Jobs(desk.store)
    last = jobs.last(limit=JOBS_SHOWN)
    running = next((job for job in last if not job.state.is_over), None)
    return {
        "running": running,
        "past": [
            (job, plain_name(job.asked_by), _own_words(t, job.problem))
            for job in last
            if job != running
        ],
        # Counting reads every decision since, and the page asks again and again while one runs.
        "new_labels": 0 if running else jobs.new_labels(),
        "running_by": plain_name(running.asked_by) if running else "",
    }


def _standing(request: Request, t: Texts) -> Standing:
    registry, standing = _registry(request), Standing()
    try:
        names = registry.names()
        champion, challenger = names.get(CHAMPION, ""), names.get(CHALLENGER, "")
        standing = Standing(champion)
        written = registry.moves()
        moves = [_shown(t, move) for move in written[-MOVES_SHOWN:]][::-1]
        earlier = (registry.earlier_champion() or "") if champion else ""
        standing = replace(standing, challenger=challenger, earlier=earlier, moves=moves)
        if not standing.is_contested:
            return standing
        comparison, unbelieved = _compared(registry, challenger, champion)
        shadowed = _shadow_of(request)(champion, challenger)
        return replace(
            standing,
            ruling=ruling_on(champion or None, challenger, comparison, shadowed),
            has_report=comparison is not None,
            unbelieved=unbelieved,
            was_taken_back=was_taken_back(written, CHAMPION, challenger),
            is_broken=not registry.is_right(challenger),
        )
    except RegistryError as problem:
        return replace(standing, challenger="", problem=problem)


def _compared(registry: Registry, challenger: str, champion: str) -> tuple[Comparison | None, str]:
    """How the two compare, and why that is not believed.

    One that is not believed is none: else whoever may write reports could keep a champion where it
    is. Raises RegistryError where a version is not here.
    """
    if not champion:
        return None, ""
    for version in (challenger, champion):
        registry.resolve(version)
    try:
        return registry.report(challenger, champion), ""
    except RegistryError as problem:
        return None, str(problem)


def _shown(t: Texts, move: Mapping[str, Any]) -> ShownMove:
    return ShownMove(
        at=datetime.fromisoformat(str(move["at"])),
        name=str(move["name"]),
        to=str(move["to"]),
        who=plain_name(str(move["who"])),
        why=_own_words(t, str(move["why"])),
        is_roll_back=bool(move.get("is_roll_back")),
        overrode=tuple(
            t(f"ruling_short.{code}")
            for code in map(str, move.get("overrode") or ())
            if f"ruling_short.{code}" in t.sentences
        ),
    )


def _own_words(t: Texts, text: str) -> Pieces:
    """A reason: a person's as it was typed, the program's own in the page's language."""
    for key, words in _OWN_WORDS.items():
        if found := words.fullmatch(text):
            said = found.groupdict()
            count = int(said.pop("count", "0").replace(",", ""))
            return (Piece(t(key, count=count, **said)),)
    return pieces_of(text)


def _said(t: Texts, reason: Reason) -> str:
    """A reason in a sentence, shares in percent and figures by their names."""
    values: dict[str, object] = {"where": ""}
    for name, value in reason.values.items():
        if name in _SHARES and isinstance(value, int | float):
            values[name] = _percent(t, value)
        elif name == "figure":
            named = t(f"figure.{value}")
            is_served = "as_served" in reason.values
            values[name] = t("figure.as_served", figure=named) if is_served else named
        elif name == "slice":
            values[name] = _part(t, str(reason.values.get("kind", "site")), str(value))
            if value != ALL:
                values["where"] = t("ruling.where", slice=values[name])
        elif name == "what" and f"ruling.what.{value}" in t.sentences:
            values[name] = t(f"ruling.what.{value}")
        elif isinstance(value, float):
            values[name] = f"{value:g}".replace(".", t("number.point"))
        else:
            values[name] = plain_name(str(value))
    return t(f"ruling.{reason.code.value}", **values)


def _part(t: Texts, kind: str, name: str) -> str:
    """What a part of the comments is called: a language, a length, a site."""
    if name == ALL:
        return t("ruling.slice.all")
    key = f"language.{name}" if kind == "language" else f"ruling.slice.{kind}.{name}"
    return t(key) if key in t.sentences else plain_name(name)


def _percent(t: Texts, share: float) -> str:
    return t.number(100 * share, 1) + t("share.percent")


def _own(caller: Caller) -> None:
    """Refuse whoever does not administer every site."""
    if caller.sites_as(Role.ADMIN) is not None:
        raise Refusal(403, "may_not")


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


def _serves(request: Request) -> str:
    """The version that comments are judged by in this process, whatever the registry says."""
    serves: Callable[[], str] = request.app.state.serves
    return serves()


def _shadow_of(request: Request) -> ShadowOf:
    shadow_of: ShadowOf = request.app.state.shadow_of
    return shadow_of
