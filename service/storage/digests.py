"""Who wants to be told by mail what waits, and what each digest says: counts.

Knows the periods of digests, who may try to send one, and when it is tried again. Does not know
mail. An address is kept sealed, as commenters' are, and leaves for the mail alone.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from model.addresses import mask_addresses
from service.keyring import OF_MODERATORS, UnreadableAddress
from service.storage import sign_in
from service.storage.errors import StoreError
from service.storage.events import Actor, tell
from service.storage.records import Moderator, Role
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import comments, digests, moderators, queue

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

LEASE = timedelta(minutes=5)
"""How long a digest is left to who claimed it; a process may die with it."""

MOST_UNHEARD = 2
"""Attempts whose end nobody told, after which a digest is given up: no more mails than that."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
MOST_REFUSALS = 5
"""Digests in a row that a mail server refused for good, after which there are no more."""

MOST_CONFIRMATIONS = 3
"""Mails in 24 hours that ask to confirm an address: a moderator could name anybody's."""


class Every(StrEnum):
    """How often somebody is told."""

    HOUR = "hour"
    DAY = "day"

    @property
    def period(self) -> timedelta:
        """The time from one digest to the next."""
        return HOUR if self is Every.HOUR else DAY


class TooManyConfirmations(StoreError):
    """As many addresses as a day may have were asked to be confirmed."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What somebody chose, and what became of it. `hour` is of the day in UTC."""

    moderator_id: str
    address_masked: str
    language: str
    every: Every
    hour: int
    is_confirmed: bool
    is_stopped: bool
    due_at: datetime | None
    sent_at: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A digest that is to be sent now, or a question whether an address is right.

    `link_id` is what the tokens of its links are of. `period_at` is the moment it is for.
    """

    moderator: Moderator
    address: str = field(repr=False)
    language: str
    every: Every
    link_id: str = field(repr=False)
    period_at: datetime
    last_at: datetime
    attempts: int

    @property
    def sites(self) -> SiteIds:
        """The sites it is about: those on which its reader decides."""
        return self.moderator.sites_as(Role.MODERATOR)


def first_moment(every: Every, hour: int, after: datetime) -> datetime:
    """When the next digest is due, strictly after some moment; both in UTC."""
    if every is Every.HOUR:
        return after.replace(minute=0, second=0, microsecond=0) + HOUR
    at = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    return at if at > after else at + DAY


class Digests:
    """Choices, claims and what became of them. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -------------------------------------------------------------- what somebody chose

    def of(self, moderator_id: str) -> Digest | None:
        """What somebody chose, None when nothing."""
        with self._store.reads() as connection:
            row = _row(connection, moderator_id)
        return None if row is None or not row["address_cipher"] else _digest(row)

    def choose(
        self, moderator: Moderator, *, address: str, language: str, every: Every, hour: int
    ) -> Parcel | None:
        """Keep a choice; the question to send where its address has to be confirmed.

        `address` "" is the one from before. A new one gets nothing but that question until it is
        confirmed. Raises TooManyConfirmations, ValueError for no address.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            # Somebody who presses twice has no row of their own yet that could be held.
            own = sa.select(moderators.c.id).where(moderators.c.id == moderator.id)
            connection.execute(own.with_for_update(key_share=True))
            before = _held(connection, moderator.id)
            old = None if before is None else self._opened(before)
            address = address or old or ""
            if not address:
                raise ValueError("a digest needs an address")
            values = {"language": language, "every": every.value, "hour": hour}
            if before is not None and address == old and before["confirmed_at"] is not None:
                moment = first_moment(every, hour, now)
                again = {"period_at": moment, "due_at": moment, "problem": "", "refusals": 0}
                again |= {"attempts": 0, "unheard": 0}
                self._update(connection, moderator.id, values | again)
                self._tell(connection, "digest_chosen", moderator, every)
                return None
            is_same_day = before is not None and now - before["asked_at"] < DAY
            asked = before["asked"] if before is not None and is_same_day else 0
            if asked >= MOST_CONFIRMATIONS:
                raise TooManyConfirmations("too many addresses to confirm in a day")
            row = values | {
                "address_cipher": self._sealed(moderator.id, address),
                "address_masked": mask_addresses(address),
                "nonce": secrets.token_hex(16),
                "confirmed_at": None,
                "asked_at": before["asked_at"] if before is not None and is_same_day else now,
                "asked": asked + 1,
                "period_at": now,
                "due_at": None,
                "attempts": 0,
                "unheard": 0,
                "refusals": 0,
                "problem": "",
            }
            if before is None:
                first = {"moderator_id": moderator.id, "sent_at": None}
                connection.execute(digests.insert(), row | first)
            else:
                self._update(connection, moderator.id, row)
            self._tell(connection, "digest_chosen", moderator, every)
            kept = _held(connection, moderator.id)
            assert kept is not None, "it was just written"
            return _parcel(kept, moderator, address)

    def confirm(self, moderator_id: str, link_id: str) -> bool:
        """Begin to send; whether that was possible. A second time changes nothing."""
        now = self._store.now()
        with self._store.writes() as connection:
            row = _held(connection, moderator_id)
            if row is None or _link_id(row) != link_id:
                return False
            if row["confirmed_at"] is None:
                moment = first_moment(Every(row["every"]), row["hour"], now)
                values = {"confirmed_at": now, "period_at": moment, "due_at": moment}
                self._update(connection, moderator_id, values)
                tell(connection, "digest_confirmed", Actor(moderator_id, now), body={})
            return True

    def stop(self, moderator_id: str, link_id: str | None = None) -> bool:
        """Forget the choice and the address; whether there was one, of the link that is given."""
        with self._store.writes() as connection:
            row = _held(connection, moderator_id)
            if row is None or link_id not in (None, _link_id(row)):
                return False
            own = digests.c.moderator_id == moderator_id
            # How many questions were sent is remembered for a day, or stopping would reset it.
            gone = {"address_cipher": b"", "address_masked": "", "due_at": None}
            again = {"confirmed_at": None, "nonce": secrets.token_hex(16), "problem": ""}
            connection.execute(digests.update().where(own).values(gone | again))
            tell(connection, "digest_stopped", Actor(moderator_id, self._store.now()), body={})
            return bool(row["address_cipher"])

    def link_id(self, moderator_id: str) -> str | None:
        """What the tokens of somebody's links are of; None for nobody's."""
        with self._store.reads() as connection:
            row = _row(connection, moderator_id)
        return None if row is None or not row["address_cipher"] else _link_id(row)

    # -------------------------------------------------------------- sending

    def claim(self) -> Parcel | None:
        """A digest that is due, for nobody else until the lease ends; None when none is.

        One whose holders died twice is given up, and so is one that was not sent before the next
        is due: each is noted as a problem. What can never be sent is stopped on the way.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            known: dict[str, Moderator] | None = None
            while (row := self._first_due(connection, now)) is not None:
                every, hour = Every(row["every"]), row["hour"]
                following = first_moment(every, hour, row["period_at"])
                if row["unheard"] >= MOST_UNHEARD or now >= following:
                    why = "nobody told how two attempts ended"
                    if row["unheard"] < MOST_UNHEARD:
                        why = row["problem"] or "the service did not run when it was due"
                    self._give_up(connection, row, why, first_moment(every, hour, now))
                    continue
                if known is None:
                    known = _readers(connection)
                moderator = known.get(row["moderator_id"])
                address = self._opened(row)
                if moderator is None or not moderator.roles or address is None:
                    why = "its reader may not sign in, or the address cannot be opened"
                    self._update(connection, row["moderator_id"], {"due_at": None, "problem": why})
                    continue
                values = {"due_at": now + LEASE, "unheard": row["unheard"] + 1}
                self._update(connection, moderator.id, values)
                return _parcel(row, moderator, address)
            return None

    def settle(self, parcel: Parcel, *, problem: str = "", is_final: bool = False) -> None:
        """Note what became of a digest: sent, or nothing to tell, without a problem.

        Else it is tried again later, until the next one is due, or not if that `is_final`.
        """
        now = self._store.now()
        with self._store.writes() as connection:
            row = _held(connection, parcel.moderator.id)
            if row is None or _link_id(row) != parcel.link_id:
                return  # its address was changed meanwhile
            every, hour = Every(row["every"]), row["hour"]
            following = first_moment(every, hour, max(now, row["period_at"]))
            if not problem:
                done = {"period_at": following, "due_at": following, "attempts": 0, "unheard": 0}
                values = done | {"refusals": 0, "problem": "", "sent_at": now}
            elif is_final:
                refusals = row["refusals"] + 1
                is_stopped = refusals >= MOST_REFUSALS
                due = {"period_at": following, "due_at": None if is_stopped else following}
                values = due | {"attempts": 0, "unheard": 0, "problem": problem[:200]}
                values |= {"refusals": refusals}
                if is_stopped:
                    actor = Actor(parcel.moderator.id, now)
                    tell(connection, "digest_refused", actor, body={"refusals": refusals})
            else:
                attempts = row["attempts"] + 1
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))
                values = {"due_at": now + pause, "attempts": attempts, "unheard": 0}
                values |= {"problem": problem[:200]}
            self._update(connection, parcel.moderator.id, values)

    def skip(self, parcel: Parcel) -> None:
        """Go on to the next digest, as there is nothing to tell; `sent_at` stays."""
        now = self._store.now()
        with self._store.writes() as connection:
            row = _held(connection, parcel.moderator.id)
            if row is None or _link_id(row) != parcel.link_id:
                return
            following = first_moment(Every(row["every"]), row["hour"], max(now, row["period_at"]))
            done = {"period_at": following, "due_at": following, "attempts": 0, "unheard": 0}
            self._update(connection, parcel.moderator.id, done | {"problem": ""})

    def everybody(self) -> list[Parcel]:
        """What would be sent to each who confirmed an address, as of now. Claims nothing."""
        with self._store.reads() as connection:
            known = _readers(connection)
            wanted = sa.select(digests).where(digests.c.confirmed_at.is_not(None))
            rows = connection.execute(wanted.order_by(digests.c.moderator_id)).mappings().all()
        found = [(row, known.get(row["moderator_id"]), self._opened(row)) for row in rows]
        return [_parcel(row, who, to) for row, who, to in found if who is not None and to]

    def problems(self) -> list[Digest]:
        """What could not be sent, or not yet."""
        statement = sa.select(digests).where(digests.c.problem != "")
        with self._store.reads() as connection:
            return [_digest(row) for row in connection.execute(statement).mappings()]

    def workload(self, site_ids: SiteIds, after: datetime) -> "list[Workload]":
        """What waits on each of these sites on which anything does."""
        return self._store.read_aside(lambda connection: workload(connection, site_ids, after))

    # -------------------------------------------------------------- steps

    def _first_due(self, connection: sa.Connection, now: datetime) -> sa.RowMapping | None:
        due = sa.select(digests).where(digests.c.due_at <= now).order_by(digests.c.due_at).limit(1)
        found = connection.execute(due.with_for_update(skip_locked=True)).mappings()
        return found.one_or_none()

    def _give_up(
        self, connection: sa.Connection, row: sa.RowMapping, why: str, following: datetime
    ) -> None:
        values = {"period_at": following, "due_at": following, "attempts": 0, "unheard": 0}
        said = f"one was given up: {why}" if not why.startswith("one was given up") else why
        self._update(connection, row["moderator_id"], values | {"problem": said[:200]})
        body = {"period_at": row["period_at"].isoformat(), "why": why}
        tell(
            connection, "digest_given_up", Actor(row["moderator_id"], self._store.now()), body=body
        )

    def _update(
        self, connection: sa.Connection, moderator_id: str, values: Mapping[str, object]
    ) -> None:
        own = digests.c.moderator_id == moderator_id
        connection.execute(digests.update().where(own).values(dict(values)))

    def _tell(
        self, connection: sa.Connection, kind: str, moderator: Moderator, every: Every
    ) -> None:
        actor = Actor(moderator.name, self._store.now())
        tell(connection, kind, actor, body={"every": every.value})

    def _sealed(self, moderator_id: str, address: str) -> bytes:
        return self._store.keyring.encrypt_address(
            address, site_id=OF_MODERATORS, comment_id=moderator_id
        )

    def _opened(self, row: sa.RowMapping) -> str | None:
        if not row["address_cipher"]:
            return None
        try:
            return self._store.keyring.decrypt_address(
                row["address_cipher"], site_id=OF_MODERATORS, comment_id=row["moderator_id"]
            )
        except UnreadableAddress:
            return None


def _row(connection: sa.Connection, moderator_id: str) -> sa.RowMapping | None:
    own = sa.select(digests).where(digests.c.moderator_id == moderator_id)
    return connection.execute(own).mappings().one_or_none()


def _held(connection: sa.Connection, moderator_id: str) -> sa.RowMapping | None:
    """Somebody's row, kept from other writers until the transaction ends."""
    own = sa.select(digests).where(digests.c.moderator_id == moderator_id).with_for_update()
    return connection.execute(own).mappings().one_or_none()


def _readers(connection: sa.Connection) -> dict[str, Moderator]:
    """Those who may sign in, by id: nobody else is told anything."""
    enabled = sa.select(moderators.c.id).where(sign_in.is_enabled(moderators.c.id))
    ids = frozenset(connection.execute(enabled).scalars())
    return {one.id: one for one in sign_in.all_moderators(connection) if one.id in ids}


def _link_id(row: sa.RowMapping) -> str:
    return f"{row['moderator_id']}/{row['nonce']}"


def _digest(row: sa.RowMapping) -> Digest:
    return Digest(
        moderator_id=row["moderator_id"],
        address_masked=row["address_masked"],
        language=row["language"],
        every=Every(row["every"]),
        hour=row["hour"],
        is_confirmed=row["confirmed_at"] is not None,
        is_stopped=row["due_at"] is None and row["confirmed_at"] is not None,
        due_at=row["due_at"],
        sent_at=row["sent_at"],
        problem=row["problem"],
    )


def _parcel(row: sa.RowMapping, moderator: Moderator, address: str) -> Parcel:
    every = Every(row["every"])
    return Parcel(
        moderator=moderator,
        address=address,
        language=row["language"],
        every=every,
        link_id=_link_id(row),
        period_at=row["period_at"],
        last_at=row["sent_at"] or row["period_at"] - every.period,
        attempts=row["attempts"],
    )


# ------------------------------------------------------------------ what waits


@dataclass(frozen=True, slots=True)
class Workload:
    """What waits on a site: counts, and nothing of what anybody wrote.

    `since_last` is how many began to wait after some moment; `copies` how many of those that wait
    have a text that at least four others have as well, and `groups` of how many texts.
    """

    site_id: str
    waiting: int
    oldest: datetime | None
    since_last: int
    by_why: Mapping[str, int]
    copies: int
    groups: int


LEAST_COPIES = 5


def workload(connection: sa.Connection, site_ids: SiteIds, after: datetime) -> list[Workload]:
    """What waits on each of these sites on which anything does."""
    mine = () if site_ids is None else (queue.c.site_id.in_(list(site_ids)),)
    new = sa.func.sum(sa.case((queue.c.waiting_since > after, 1), else_=0))
    oldest = sa.type_coerce(sa.func.min(queue.c.waiting_since), queue.c.waiting_since.type)
    statement = sa.select(queue.c.site_id, queue.c.why, sa.func.count(), oldest, new).where(*mine)
    found: dict[str, list[Any]] = {}
    for row in connection.execute(statement.group_by(queue.c.site_id, queue.c.why)):
        found.setdefault(row[0], []).append(row)
    copies = _copies(connection, mine)
    return [
        Workload(
            site_id,
            waiting=sum(row[2] for row in rows),
            oldest=min(row[3] for row in rows),
            since_last=sum(row[4] for row in rows),
            by_why={row[1]: row[2] for row in rows},
            copies=sum(copies.get(site_id, ())),
            groups=len(copies.get(site_id, ())),
        )
        for site_id, rows in sorted(found.items())
    ]


def _copies(
    connection: sa.Connection, mine: tuple[sa.ColumnElement[bool], ...]
) -> dict[str, list[int]]:
    """How many wait of each text that many have, by site."""
    statement = (
        sa.select(queue.c.site_id, sa.func.count())
        .join(comments, comments.c.id == queue.c.comment_id)
        .where(*mine, comments.c.text_key.is_not(None))
        .group_by(queue.c.site_id, comments.c.text_key)
        .having(sa.func.count() >= LEAST_COPIES)
    )
    found: dict[str, list[int]] = {}
    for site_id, count in connection.execute(statement):
        found.setdefault(site_id, []).append(count)
    return found
