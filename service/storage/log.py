"""The log as people read it: the newest first, by who, what, when, where and why.

Knows who may see which line. Reads along one index, whichever leaves least to look at, and looks
through what it finds there a part at a time, so that no question reads the whole log at once.
Writes nothing: lines are added by `events.tell` alone.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from service.storage.cursors import cursor_of, place_of
from service.storage.records import Event
from service.storage.review import SiteIds
from service.storage.rows import compact
from service.storage.store import Store
from service.storage.tables import (
    acts,
    campaign_members,
    decisions,
    events,
    microseconds_of,
    site_rule_changes,
    time_of,
    undos,
)

OPEN = ("decided", "undone", "reported", "acted", "act_undone", "appealed", "policy_set")
OPEN_PREFIXES = ("campaign", "rules_", "alert_")
"""Kinds that whoever may see a site may see. All others, such as what was done to people's roles
and whose address was revealed, are for its admins: what nobody thought of is shown to few."""

MOST_LOOKED_AT = 20_000
"""Lines looked at for one page; whoever searches for more goes on from there."""

_FIRST_PART = 200
_LARGEST_PART = 5000
_MOST_SITES = 40
_TAKEN_BACK = frozenset({"acted", "campaign_left", "rules_author", "rules_raid", "rules_lists"})
_DENSE = frozenset({"decided", "undone", "reported", "signed_in"})


@dataclass(frozen=True, slots=True)
class Seen:
    """Whose log it is: the sites they may look at, and those they administer; None is every."""

    sites: SiteIds
    administered: SiteIds


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for; what is empty does not matter.

    `who` is a name or a part of one, `words` a part of what was said; letters are compared
    without case and diacritics. `since` is part of the time, `until` is not.
    """

    who: str = ""
    kind: str = ""
    site_id: str = ""
    comment_id: str = ""
    words: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines, the newest first. `after` continues; `is_cut` when there may be more than was looked
    at, and `looked_to` is how far that was."""

    lines: tuple[Event, ...]
    after: str = ""
    is_cut: bool = False
    looked_to: datetime | None = None
    standing: frozenset[int] = field(default_factory=frozenset)
    """The numbers of those lines of which what they tell still stands and can be taken back."""


_Place = tuple[datetime, int]


class Log:
    """Reads the log of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, seen: Seen, sought: Sought, *, after: str = "", limit: int = 50) -> LogPage:
        """Up to `limit` lines, from where `after` of the page before left off. Raises BadCursor."""
        place = place_of(after, _place) if after else None
        found: list[Event] = []
        looked_at = 0
        for part in self._parts(seen, sought, place):
            looked_at += len(part)
            for event in part:
                if _is_sought(event, seen, sought):
                    found.append(event)
                if len(found) > limit:
                    return self._standing(LogPage(tuple(found[:limit]), _cursor(found[limit - 1])))
            if looked_at >= MOST_LOOKED_AT and part:
                last = part[-1]
                page = LogPage(tuple(found), _cursor(last), is_cut=True, looked_to=last.at)
                return self._standing(page)
        return self._standing(LogPage(tuple(found)))

    def all(self, seen: Seen, sought: Sought) -> Iterator[Event]:
        """All lines sought, the newest first; read in parts, each a transaction of its own."""
        for part in self._parts(seen, sought, None):
            yield from (event for event in part if _is_sought(event, seen, sought))

    def line(self, seen: Seen, number: int) -> Event | None:
        """One line; None if there is none that they may see."""
        statement = sa.select(events).where(events.c.number == number)
        with self._store.reads() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        event = None if row is None else Event(**row)
        return event if event is not None and _may_see(event, seen) else None

    def stands(self, line: Event) -> bool:
        """Whether what a line tells of is in force and can be taken back."""
        return line.number in self._standing(LogPage((line,))).standing

    def _parts(self, seen: Seen, sought: Sought, place: _Place | None) -> Iterator[list[Event]]:
        size = _FIRST_PART
        knows_name = bool(sought.who) and self._is_actor(sought.who)
        while True:
            statement = _walk(seen, sought, place, by_name=knows_name, limit=size)
            found = self._store.read_aside(lambda c, s=statement: c.execute(s).mappings().all())  # type: ignore[misc]
            part = [Event(**row) for row in found]
            yield part
            if len(part) < size:
                return
            place = part[-1].at, part[-1].number
            size = min(size * 5, _LARGEST_PART)

    def _is_actor(self, name: str) -> bool:
        statement = sa.select(sa.literal(1)).where(events.c.actor == name).limit(1)
        return self._store.read_aside(lambda c: c.execute(statement).first()) is not None

    def _standing(self, page: LogPage) -> LogPage:
        with self._store.reads() as connection:
            standing = _decisions_standing(connection, page.lines)
            standing |= _others_standing(connection, page.lines)
        return replace(page, standing=frozenset(standing))


# ------------------------------------------------------------------ what still stands


def _decisions_standing(connection: sa.Connection, lines: Sequence[Event]) -> set[int]:
    told = {
        (line.comment_id, line.actor, line.at): line.number
        for line in lines
        if line.kind == "decided" and line.comment_id
    }
    if not told:
        return set()
    undone = sa.exists().where(undos.c.decision_id == decisions.c.id)
    statement = sa.select(decisions.c.comment_id, decisions.c.moderator, decisions.c.at).where(
        decisions.c.comment_id.in_({comment_id for comment_id, _, _ in told}), ~undone
    )
    found = [(row.comment_id, row.moderator, row.at) for row in connection.execute(statement)]
    return {told[one] for one in found if one in told}


def _others_standing(connection: sa.Connection, lines: Sequence[Event]) -> set[int]:
    """Lines of acts, of changes of rules and of what left a campaign."""
    bodies = {line.number: json.loads(line.body) for line in lines if line.kind in _TAKEN_BACK}
    by_kind: dict[str, dict[int, object]] = {"acted": {}, "campaign_left": {}, "rules": {}}
    for line in lines:
        body = bodies.get(line.number)
        if not isinstance(body, dict):
            continue
        if line.kind == "acted":
            by_kind["acted"][line.number] = body.get("act")
        elif line.kind == "campaign_left":
            by_kind["campaign_left"][line.number] = line.comment_id
        else:
            by_kind["rules"][line.number] = (line.site_id, body.get("version"))
    statements = {
        "acted": sa.select(acts.c.id).where(acts.c.state != "undone", _among(acts.c.id)),
        "campaign_left": sa.select(campaign_members.c.comment_id).where(
            campaign_members.c.campaign_id.is_(None), _among(campaign_members.c.comment_id)
        ),
        "rules": sa.select(site_rule_changes.c.site_id, site_rule_changes.c.version).where(
            site_rule_changes.c.undone.is_(None),
            sa.tuple_(site_rule_changes.c.site_id, site_rule_changes.c.version).in_(
                sa.bindparam("told", expanding=True)
            ),
        ),
    }
    standing: set[int] = set()
    for kind, told in by_kind.items():
        if told:
            found = connection.execute(statements[kind], {"told": list(set(told.values()))}).all()
            stands = {tuple(row) if kind == "rules" else row[0] for row in found}
            standing |= {number for number, one in told.items() if one in stands}
    return standing


def _among(column: sa.Column[str]) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam("told", expanding=True))


# ------------------------------------------------------------------ along an index


def _walk(
    seen: Seen, sought: Sought, place: _Place | None, *, by_name: bool, limit: int
) -> sa.Select[tuple[object, ...]]:
    """The next lines along the index that leaves least to look at, with no sort to be made.

    What of the question it leaves open is for `_is_sought`.
    """
    path: Sequence[sa.ColumnElement[bool]] = (sa.true(),)
    sites = seen.sites
    if sought.site_id:  # where they may not look, nothing is looked at
        sites = [sought.site_id] if sites is None or sought.site_id in sites else []
    if sought.comment_id:
        path = (events.c.comment_id == sought.comment_id,)
    elif by_name:
        path = (events.c.actor == sought.who,)
    elif sought.kind and sought.kind not in _DENSE:
        path = (events.c.kind == sought.kind,)
    elif sites is not None and len(sites) <= _MOST_SITES:
        path = tuple(events.c.site_id == site_id for site_id in sites) or (sa.false(),)
    if sites is not None:
        path = tuple(sa.and_(way, events.c.site_id.in_(sites)) for way in path)
    parts = [_ordered(_within(sa.select(events).where(way), sought, place), limit) for way in path]
    if len(parts) == 1:
        return parts[0]
    together = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery()
    order = (together.c.at.desc(), together.c.number.desc())
    return sa.select(together).order_by(*order).limit(limit)


def _within(
    statement: sa.Select[tuple[object, ...]], sought: Sought, place: _Place | None
) -> sa.Select[tuple[object, ...]]:
    if sought.since is not None:
        statement = statement.where(events.c.at >= sought.since)
    if sought.until is not None:
        statement = statement.where(events.c.at < sought.until)
    if place is not None:
        at, number = place
        mark = sa.tuple_(sa.literal(at, events.c.at.type), sa.literal(number))
        statement = statement.where(sa.tuple_(events.c.at, events.c.number) < mark)
    return statement


def _ordered(statement: sa.Select[tuple[object, ...]], limit: int) -> sa.Select[tuple[object, ...]]:
    return statement.order_by(events.c.at.desc(), events.c.number.desc()).limit(limit)


def _may_see(event: Event, seen: Seen) -> bool:
    if seen.administered is None:
        return True
    if event.site_id is None:  # of the whole installation
        return False
    if event.site_id in seen.administered:
        return True
    is_open = event.kind in OPEN or event.kind.startswith(OPEN_PREFIXES)
    return is_open and (seen.sites is None or event.site_id in seen.sites)


def _is_sought(event: Event, seen: Seen, sought: Sought) -> bool:
    return (
        _may_see(event, seen)
        and sought.site_id in ("", event.site_id)
        and sought.kind in ("", event.kind)
        and sought.comment_id in ("", event.comment_id)
        and (not sought.who or folded(sought.who) in folded(event.actor))
        and (not sought.words or _says(event, folded(sought.words)))
    )


def _says(event: Event, words: str) -> bool:
    # All that is written first: most lines need not be taken apart.
    is_plain = not any(letter in words for letter in '"\\')
    if is_plain and words not in folded(event.body):
        return False
    return words in folded(said_in(event))


def said_in(event: Event) -> str:
    """What a line says beside who, what and when: the values of its body."""
    body = json.loads(event.body)
    values = body.values() if isinstance(body, dict) else (body,)
    return "\n".join(
        value if isinstance(value, str) else compact(value) for value in values if value is not None
    )


def folded(text: str) -> str:
    """A text without case and diacritics: "Đã xem" is found as "da xem"."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def masked(event: Event) -> Event:
    """A line without any address, whoever wrote it and whenever."""
    return replace(event, actor=mask_addresses(event.actor), body=mask_addresses(event.body))


def _cursor(event: Event) -> str:
    return cursor_of(microseconds_of(event.at), event.number)


def _place(at: Any, number: Any) -> _Place:
    if not 0 <= int(number) < 2**63:
        raise ValueError
    return time_of(int(at)), int(number)
