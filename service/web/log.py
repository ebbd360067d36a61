"""The log page: who did what, when and why, with a button wherever it can be taken back.

Knows how each kind of line is put into words and where it is undone. Works without JavaScript.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from model.one_line import one_line
from service.storage import BadCursor, Event, NothingToUndo, Role, UnknownComment
from service.storage.log import Log, Seen, Sought, masked
from service.web.card import Pieces, pieces_of, plain_name
from service.web.csv_rows import csv_lines
from service.web.desk import Caller, Desk, Moderator, TheDesk, Viewer
from service.web.place import ID
from service.web.rendering import PageRoute, Refusal, attachment, page, see_other
from service.web.texts import Texts, texts_for

LONGEST = 100
"""Characters of what is searched for."""

KINDS = (
    "decided",
    "undone",
    "reported",
    "acted",
    "act_undone",
    "address_revealed",
    "policy_set",
    "rate_limit_set",
    "decisions_forgotten",
    "person_erased",
    "alert_begun",
    "alert_ended",
    "training_asked",
    "training_done",
    "training_failed",
    "training_stopped",
    "nightly_set",
    "model_promoted",
    "model_rolled_back",
    "history_imported",
    "labels_looked_at",
    "campaign_found",
    "campaign_timed",
    "campaign_left",
    "campaign_joined",
    "campaigns_shared",
    "rules_author",
    "rules_lists",
    "rules_raid",
    "appealed",
    "digest_chosen",
    "digest_confirmed",
    "digest_stopped",
    "digest_refused",
    "digest_given_up",
    "site_added",
    "key_rotated",
    "akismet_key_made",
    "akismet_set",
    "coral_secret_set",
    "coral_set",
    "perspective_set",
    "moderator_added",
    "role_changed",
    "account_disabled",
    "account_enabled",
    "account_reset",
    "link_made",
    "password_changed",
    "password_removed",
    "recovery_code_used",
    "recovery_codes_renewed",
    "session_ended",
    "signed_in",
)
"""The kinds that have words of their own; what another one says is shown as it is."""

_BY_BODY = {
    "decided": "outcome",
    "acted": "outcome",
    "reported": "kind",
    "labels_looked_at": "what",
}
"""Kinds whose words go by a value of the body as well."""


@dataclass(frozen=True, slots=True)
class UndoAt:
    """Where a kind of line is taken back: the address, with the value that the line's body has
    under `key` in it or in a field of that name, and who may: others only their own."""

    path: str
    key: str
    role: Role = Role.MODERATOR
    others: Role = Role.ADMIN


UNDO: Mapping[str, UndoAt] = {
    "acted": UndoAt("/acts/{}/undo", "act"),
    "campaign_left": UndoAt("/campaigns/{}/return", "campaign", others=Role.MODERATOR),
    "rules_author": UndoAt("/rules/undo", "version", others=Role.MODERATOR),
    "rules_raid": UndoAt("/rules/undo", "version", others=Role.MODERATOR),
    "rules_lists": UndoAt("/rules/undo", "version", role=Role.ADMIN),
}
"""What is taken back elsewhere, by the kind of its line."""

_VALUE = re.compile(r"[0-9a-f-]{1,36}")


class Asked(BaseModel):
    """What an address asks for; what makes no sense is not asked for."""

    who: str = ""
    kind: str = ""
    site: str = ""
    comment: str = ""
    since: str = ""
    until: str = ""
    words: str = ""

    def sought(self) -> Sought:
        """As the log is searched. Both days are whole ones, in UTC."""
        until = _day(self.until)
        return Sought(
            who=_plain(self.who),
            kind=_plain(self.kind),
            site_id=self.site if ID.fullmatch(self.site) else "",
            comment_id=self.comment if ID.fullmatch(self.comment) else "",
            words=_plain(self.words),
            since=_day(self.since),
            until=None if until is None else until + timedelta(days=1),
        )

    def query(self, **more: str) -> str:
        """The same as part of an address, without what is empty."""
        return urlencode({n: v for n, v in (self.model_dump() | more).items() if v})


def _plain(text: str) -> str:
    return one_line(text, longest=LONGEST)


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC) if text < "9999-12" else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Line:
    """A line as shown. `undo` is where a button leads, "" where there is none."""

    number: int
    at: datetime
    sentence: str
    why: Pieces
    details: Pieces
    site: str
    comment_id: str
    undo: str
    fields: tuple[tuple[str, str], ...] = ()
    """What a part asks its undo form for, beside the token."""


def routes() -> APIRouter:
    """The log, its exports, and what is taken back from it."""
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    router.add_api_route("/log", log, methods=["GET"], response_model=None)
    router.add_api_route("/log.csv", as_csv, methods=["GET"], response_model=None)
    router.add_api_route("/log.jsonl", as_json_lines, methods=["GET"], response_model=None)
    router.add_api_route("/log/{number}/undo", undo, methods=["POST"], response_model=None)
    return router


def seen_by(caller: Caller) -> Seen:
    """Whose log it is."""
    return Seen(caller.sites_as(Role.VIEWER), caller.sites_as(Role.ADMIN))


def log(
    request: Request,
    caller: Viewer,
    desk: TheDesk,
    asked: Annotated[Asked, Query()],
    after: str = "",
    undone: str = "",
) -> Response:
    """The newest lines of what is asked for, from where `after` says."""
    try:
        found = Log(desk.store).page(seen_by(caller), asked.sought(), after=after)
    except BadCursor:
        return see_other(request, f"/log?{asked.query()}")
    sites = {site.id: site.name for site in caller.visible(desk.store.sites())}
    words = _Words(texts_for(request), _names(desk), sites)
    return page(
        request,
        "log.html",
        asked=asked,
        query=asked.query(after=after),
        filters=asked.query(),
        lines=[words.line(one, caller, stands=one.number in found.standing) for one in found.lines],
        found=found,
        next_path=f"/log?{asked.query(after=found.after)}" if found.after else "",
        is_first=not after,
        sites=sorted(sites.items(), key=lambda site: site[1]),
        kinds=KINDS if asked.kind in KINDS or not asked.kind else (*KINDS, asked.kind),
        known=KINDS,
        undone=undone == "1",
    )


def _names(desk: Desk) -> dict[str, str]:
    """The names of people that some lines know by their ids."""
    return {one.id: one.name for one in desk.store.moderators()}


class _Words:
    """Puts lines into words."""

    def __init__(self, t: Texts, names: Mapping[str, str], sites: Mapping[str, str]) -> None:
        self._t, self._names, self._sites = t, names, sites

    def line(self, event: Event, caller: Caller, *, stands: bool) -> Line:
        """A line as this caller may see it."""
        event = masked(event)
        body = json.loads(event.body)
        body = body if isinstance(body, dict) else {}
        why = body.get("why")
        return Line(
            number=event.number,
            at=event.at,
            sentence=self._sentence(event, body),
            why=pieces_of(why) if isinstance(why, str) else (),
            details=pieces_of(event.body) if body else (),
            site=plain_name(self._sites.get(event.site_id or "", "")) if self._several else "",
            comment_id=event.comment_id or "",
            undo=_undo_of(event, body, caller, stands=stands),
            fields=_fields_of(event, body),
        )

    @property
    def _several(self) -> bool:
        return len(self._sites) > 1

    def _sentence(self, event: Event, body: Mapping[str, object]) -> str:
        t, who = self._t, plain_name(self._names.get(event.actor, event.actor))
        if event.kind not in KINDS:
            return t("log_line.other", who=who, kind=plain_name(event.kind))
        key = event.kind
        if by := _BY_BODY.get(event.kind):
            said = str(body.get("reason") or body.get(by))
            key = f"{key}.{said}" if f"log_line.{key}.{said}" in t.sentences else key
        values: dict[str, object] = defaultdict(str)
        for name in ("by", "comments", "records", "format", "role", "moderator", "name", "version"):
            value = str(body.get(name) or "…")
            values[name] = plain_name(self._names.get(value, value))
        return t(f"log_line.{key}", who=who, **values)


def _undo_of(event: Event, body: Mapping[str, object], caller: Caller, *, stands: bool) -> str:
    site_id = event.site_id
    if site_id is None or not caller.may(Role.MODERATOR, site_id):
        return ""
    is_own = event.actor == masked_name(caller)
    if event.kind == "decided":
        may = stands and (is_own or caller.may(Role.ADMIN, site_id))
        return f"/log/{event.number}/undo" if may else ""
    way = UNDO.get(event.kind)
    if way is None or not stands or not caller.may(way.role, site_id):
        return ""
    value = str(body.get(way.key, ""))
    may = (is_own or caller.may(way.others, site_id)) and bool(_VALUE.fullmatch(value))
    return way.path.format(value) if may else ""


def _fields_of(event: Event, body: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    way = UNDO.get(event.kind)
    if way is None:
        return ()
    of_comment = (("comment", event.comment_id),) if event.comment_id else ()
    return (("site", event.site_id or ""), (way.key, str(body.get(way.key, ""))), *of_comment)


def masked_name(caller: Caller) -> str:
    """A caller's name as the log has it."""
    return masked(Event(0, datetime.min.replace(tzinfo=UTC), None, "", None, caller.name, "")).actor


# ------------------------------------------------------------------ taken back


class Sent(BaseModel):
    """What the form of a button sends: where to come back to."""

    back: str = ""


def undo(
    request: Request, caller: Moderator, desk: TheDesk, number: int, sent: Annotated[Sent, Form()]
) -> Response:
    """Take back the decision that a line tells of, if it still stands: one's own, or as an admin.

    Any other line is taken back where its own part says.
    """
    reader = Log(desk.store)
    # No database holds a larger one.
    line = reader.line(seen_by(caller), number) if 0 < number < 2**63 else None
    site_id = "" if line is None else line.site_id or ""
    if line is None or line.kind != "decided" or not caller.may(Role.MODERATOR, site_id):
        raise Refusal(404, "unknown_comment")
    if not reader.stands(line):
        raise Refusal(409, "nothing_to_undo")
    only_own = not caller.may(Role.ADMIN, site_id)
    try:
        desk.store.undo([site_id], line.comment_id or "", moderator=caller.name, only_own=only_own)
    except UnknownComment:
        raise Refusal(404, "unknown_comment") from None
    except NothingToUndo:
        raise Refusal(409, "nothing_to_undo") from None
    return see_other(request, f"/log?{_read_back(sent.back).query(undone='1')}")


def _read_back(back: str) -> Asked:
    pairs = [pair.partition("=") for pair in back.split("&")]
    return Asked(**{name: value for name, _, value in pairs if name in ("kind", "site", "comment")})


# ------------------------------------------------------------------ exports

_FIELDS = ("number", "at", "site_id", "kind", "comment_id", "actor", "body")


def as_csv(
    request: Request, caller: Viewer, desk: TheDesk, asked: Annotated[Asked, Query()]
) -> Response:
    """All that is asked for as CSV, written while it is read."""
    return attachment(csv_lines(_FIELDS, _exported(caller, desk, asked)), "log.csv", "text/csv")


def as_json_lines(
    request: Request, caller: Viewer, desk: TheDesk, asked: Annotated[Asked, Query()]
) -> Response:
    """All that is asked for as JSON, a line each."""
    lines = (
        json.dumps(
            dict(zip(_FIELDS, values, strict=True)) | {"body": json.loads(str(values[-1]))},
            ensure_ascii=False,
        )
        + "\n"
        for values in _exported(caller, desk, asked)
    )
    return attachment(lines, "log.jsonl", "application/jsonl")


def _exported(caller: Caller, desk: Desk, asked: Asked) -> Iterator[tuple[object, ...]]:
    for event in map(masked, Log(desk.store).all(seen_by(caller), asked.sought())):
        at = event.at.isoformat()
        yield (
            event.number,
            at,
            event.site_id,
            event.kind,
            event.comment_id,
            event.actor,
            event.body,
        )
