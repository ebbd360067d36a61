"""The store: everything that lasts, behind one object whose every method is one transaction.

Knows which transaction reads and which writes, and the clock. Never judges. Synchronous: it is
called from threads of its own, never from the event loop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from model.decision import Decision, LabelledExample, ReportKind
from model.experience import Decided
from model.policy import Policy
from service.keyring import Keyring
from service.storage import (
    akismet,
    checks,
    doors,
    events,
    imported,
    inserts,
    kept,
    labels,
    outbox,
    partitions,
    readdress,
    replica,
    retention,
    review,
    rows,
    schema,
    sign_in,
    sites,
    spooled,
)
from service.storage import (
    engine as database,
)
from service.storage.akismet import AkismetCheck, AkismetChoices, AkismetSite, Counts, Months
from service.storage.decided import decided_page
from service.storage.direct import Direct
from service.storage.doors import CoralChoices, CoralSite
from service.storage.errors import TablesChanged, Unstorable
from service.storage.events import Actor
from service.storage.imported import Arrival, Place, Taken
from service.storage.lately import Lately
from service.storage.outbox import LateVerdict, Undelivered
from service.storage.records import (
    EVERY_SITE,
    Asked,
    Changes,
    Checked,
    Event,
    Known,
    Moderator,
    QueuePage,
    Report,
    Role,
    Site,
    SiteKey,
    StoredComment,
)
from service.storage.replica import Replica
from service.storage.retention import Forgotten, Retention
from service.storage.review import SiteIds
from service.storage.rows import is_storable
from service.storage.spooled import SpooledComment

T = TypeVar("T")
SESSION_LIFETIME = timedelta(hours=12)
MOST_PER_PAGE = 1000


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class Store:
    """Sites, comments, verdicts, the queue, decisions, moderators.

    Every method raises StoreUnavailable when the database is away, locked, full, read-only or
    not migrated; nothing is half written then. Safe to share between threads. `site_ids` are
    the sites the caller may see, None for all; a comment of another site is not there.
    """

    def __init__(
        self,
        engine: sa.Engine,
        keyring: Keyring,
        *,
        hot: sa.Engine | None = None,
        now: Callable[[], datetime] = utc_now,
        replica: Replica | None = None,
    ) -> None:
        self._engine = engine
        self._hot = hot or engine
        self._direct = Direct(self._hot)
        self._keyring = keyring
        self._now = now
        self._replica = replica
        self.lately = Lately()

    @classmethod
    def open(
        cls,
        url: str,
        keyring: Keyring,
        *,
        now: Callable[[], datetime] = utc_now,
        replica_url: str = "",
        connections: int = database.CONNECTIONS,
    ) -> "Store":
        """The store in a database: `sqlite:///PATH` or `postgresql://…`. Connects later.

        Of PostgreSQL up to `connections` are kept, and as many of a replica, which the queue,
        counts and exports are read from. Raises ValueError for any other URL.
        """
        engine, hot = database.open_engines(url, connections=connections)
        read = Replica.open(replica_url, connections) if replica_url else None
        return cls(engine, keyring, hot=hot, now=now, replica=read)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._direct.close()
        self._engine.dispose()
        self._hot.dispose()
        if self._replica is not None:
            self._replica.close()

    # -------------------------------------------------------------- transactions

    # Parts of the desk with tables of their own (`service.storage.accounts` and so on) are objects
    # of their own over these.

    @property
    def keyring(self) -> Keyring:
        """The keys that addresses are sealed and tokens hashed with."""
        return self._keyring

    def now(self) -> datetime:
        """The store's clock."""
        return self._now()

    @contextmanager
    def reads(self) -> Iterator[sa.Connection]:
        """A transaction that reads. Raises StoreUnavailable, as every method does."""
        with database.transaction(self._engine, writes=False) as connection:
            yield connection

    @contextmanager
    def writes(self, *, foreign_keys: bool = True) -> Iterator[sa.Connection]:
        """A transaction that writes all or nothing; on SQLite one at a time.

        Without `foreign_keys` SQLite does not check them: the caller keeps them.
        """
        with database.transaction(
            self._engine, writes=True, foreign_keys=foreign_keys
        ) as connection:
            yield connection

    def read_aside(self, read: Callable[[sa.Connection], T]) -> T:
        """What a read finds at the replica, else, where there is none that can, here."""
        if self._replica is not None:
            with suppress(replica.Away):
                return self._replica.read(read)
        with self.reads() as connection:
            return read(connection)

    # -------------------------------------------------------------- the database

    def ping(self) -> None:
        """Do nothing, provided the database answers."""
        with self.reads() as connection:
            connection.execute(sa.select(1))

    def migrate(self) -> None:
        """Bring the schema to the newest revision. Safe when several processes start at once.

        Raises KeyringMismatch when the database was written with another keyring, and
        NewerSchema.
        """
        with database.errors_translated():
            schema.upgrade(self._engine)
        with self.writes() as connection:
            schema.check_keyring(connection, self._keyring)

    def schema_is_current(self) -> bool:
        """Whether the database is at the newest revision. Raises NewerSchema."""
        with self.reads() as connection:
            return schema.is_current(connection)

    def try_writing(self) -> None:
        """Commit a change that changes nothing, to see whether that is possible."""
        with self.writes() as connection:
            schema.touch(connection)

    def make_partitions(self, kept: Retention) -> list[str]:
        """Make the partitions that comments of the next time go to; the names of the new ones.

        One process of all does it at a time; on SQLite there is nothing to do.
        """
        if self._engine.dialect.name != "postgresql":
            return []
        with database.errors_translated(), partitions.alone(self._engine) as alone:
            if not alone:
                return []
            return partitions.make_ahead(self._engine, self._now(), days=kept.period_days)

    def to_forget(self, kept: Retention) -> Forgotten:
        """What `forget` would do now."""
        with self.reads() as connection:
            return retention.plan(connection, kept, self._now())

    def forget(
        self,
        kept: Retention,
        *,
        pause: Callable[[], object] = lambda: None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Forgotten:
        """Forget the comments that are not to be kept any longer; what they were.

        `pause` is called between batches, so that others may write. Where another process is
        at it, nothing is done.
        """
        with database.errors_translated(), partitions.alone(self._engine) as alone:
            if not alone:
                return Forgotten()
            return retention.forget(self._engine, kept, self._now(), pause=pause, progress=progress)

    def replica_lag_seconds(self) -> float | None:
        """How far the replica is behind; None without one, or while it does not answer."""
        return None if self._replica is None else self._replica.lag_seconds()

    def prune_idempotency(self, older_than: datetime) -> int:
        """Forget the idempotency keys of requests from before then; how many."""
        with self.writes() as connection:
            return checks.prune_idempotency(connection, older_than)

    # -------------------------------------------------------------- sites

    def add_site(self, name: str, policy: Policy, *, by: str = "operator") -> tuple[Site, str]:
        """A new site and its key in clear, which is shown this once. Raises NameTaken."""
        with self.writes() as connection:
            return sites.add_site(connection, self._keyring, name, policy, actor=self._actor(by))

    def sites(self) -> list[Site]:
        """All sites by name."""
        with self.reads() as connection:
            return sites.all_sites(connection)

    def site(self, site_id: str) -> Site:
        """One site. Raises UnknownSite."""
        with self.reads() as connection:
            return sites.site(connection, site_id)

    def site_of_key(self, key: str) -> Site | None:
        """The site that a key in clear belongs to; None for an unknown or revoked one."""
        with self.reads() as connection:
            return sites.site_of_key(connection, self._keyring, key, self._now())

    def name_of_key(self, key: str) -> str:
        """What may be kept of a key to know it again: a keyed hash, which no guessing finds."""
        return self._keyring.token_hash(key)

    def keys_of(self, site_id: str) -> list[SiteKey]:
        """What is known of a site's keys, newest first."""
        with self.reads() as connection:
            return sites.keys_of(connection, site_id)

    def rotate_key(
        self, site_id: str, *, keep_old_for: timedelta | None = None, by: str = "operator"
    ) -> str:
        """A new key in clear, shown this once; older ones end now, or after a while.

        Raises UnknownSite.
        """
        with self.writes() as connection:
            return sites.rotate_key(
                connection,
                self._keyring,
                site_id,
                keep_old_for=keep_old_for,
                actor=self._actor(by),
            )

    def set_policy(self, site_id: str, policy: Policy, *, by: str = "operator") -> Site:
        """Put a policy in force; earlier ones stay as they were. Raises UnknownSite."""
        with self.writes() as connection:
            return sites.set_policy(connection, site_id, policy, actor=self._actor(by))

    def set_rate_limit(
        self, site_id: str, rate_limit: float | None, *, by: str = "operator"
    ) -> Site:
        """Give a site its own limit in comments a second, 0 for none, or None for the setting's.

        The events keep what it was before. Raises UnknownSite.
        """
        with self.writes() as connection:
            return sites.set_rate_limit(connection, site_id, rate_limit, actor=self._actor(by))

    def policy(self, site_id: str, version: str) -> Policy | None:
        """A policy that is or was in force on a site."""
        with self.reads() as connection:
            return sites.policy(connection, site_id, version)

    def forget_decisions(self, site_id: str, *, by: str = "operator") -> int:
        """Let no decision so far count for what is learnt of a site; the number of this change.

        The decisions stay on record and stay labels for training. Raises UnknownSite.
        """
        with self.writes() as connection:
            return sites.forget(connection, site_id, actor=self._actor(by))

    def changes(self, site_id: str) -> Changes:
        """How far the decisions of a site have come. Raises UnknownSite."""
        with self.reads() as connection:
            return sites.changes(connection, site_id)

    # -------------------------------------------------------------- Akismet's protocol

    def new_akismet_key(self, site_id: str, *, by: str = "operator") -> str:
        """A new key in clear, which replaces an earlier one at once. Raises UnknownSite."""
        with self.writes() as connection:
            return akismet.new_key(connection, self._keyring, site_id, actor=self._actor(by))

    def site_of_akismet_key(self, key: str) -> AkismetSite | None:
        """The site that a key in clear belongs to, None for an unknown one."""
        with self.reads() as connection:
            return akismet.site_of_key(connection, self._keyring, key)

    def akismet_choices(self, site_id: str) -> AkismetChoices | None:
        """How a site wants to be spoken to; None for one without a key. Raises UnknownSite."""
        with self.reads() as connection:
            return akismet.choices_of(connection, site_id)

    def set_akismet_choices(
        self, site_id: str, choices: AkismetChoices, *, by: str = "operator"
    ) -> None:
        """Put the choices of a site that has a key in force. Raises UnknownSite."""
        with self.writes() as connection:
            akismet.choose(connection, site_id, choices, actor=self._actor(by))

    def akismet_check(self, site_id: str, match: str) -> AkismetCheck | None:
        """The newest check of a comment, by what its spellings have in common."""
        with self.reads() as connection:
            return akismet.check(connection, self._keyring, site_id, match)

    def akismet_months(self, site_id: str, since: datetime | None) -> Months:
        """What became of a site's checks, by month, from that of `since` on."""
        with self.reads() as connection:
            return akismet.months(connection, site_id, since)

    def akismet_homes(self, site_id: str, month: str) -> dict[str, Counts]:
        """What became of a site's checks of a month such as "2026-11", by address."""
        with self.reads() as connection:
            return akismet.homes(connection, site_id, month)

    # -------------------------------------------------------------- Coral's and Perspective's

    def set_coral_secret(self, site_id: str, secret: str, *, by: str = "operator") -> None:
        """Keep what signs Coral's requests, in the place of an earlier one. Raises UnknownSite."""
        with self.writes() as connection:
            actor = self._actor(by)
            doors.set_coral_secret(connection, self._keyring, site_id, secret, actor=actor)

    def set_coral_choices(
        self, site_id: str, choices: CoralChoices, *, by: str = "operator"
    ) -> None:
        """Put the choices of a site that has a secret in force. Raises UnknownSite."""
        with self.writes() as connection:
            doors.choose_coral(connection, site_id, choices, actor=self._actor(by))

    def coral_site(self, site_id: str) -> CoralSite | None:
        """A site with the secret that signs its requests, None for one that has none."""
        with self.reads() as connection:
            return doors.coral_site(connection, self._keyring, site_id)

    def perspective_stores(self, site_id: str) -> bool:
        """Whether comments that Perspective's clients ask about are kept for a site."""
        with self.reads() as connection:
            return doors.perspective_stores(connection, site_id)

    def set_perspective_stores(self, site_id: str, *, stores: bool, by: str = "operator") -> None:
        """Say whether such comments are kept from now on. Raises UnknownSite."""
        with self.writes() as connection:
            doors.choose_perspective(connection, site_id, stores=stores, actor=self._actor(by))

    def comment_of_text(self, site_id: str, normal_text: str) -> str | None:
        """The id of a site's newest comment with this text in its normal form."""
        with self.reads() as connection:
            return doors.comment_of_text(connection, self._keyring, site_id, normal_text)

    # -------------------------------------------------------------- what is to be told

    def claim_late_verdict(self, due: datetime) -> LateVerdict | None:
        """What was due first, at that time at the latest, left to the caller for two minutes."""
        with self.reads() as connection:
            if not outbox.is_due(connection, due):
                return None
        with self.writes() as connection:
            return outbox.claim(connection, self._keyring, due=due, now=self._now())

    def settle_late_verdict(self, delivery: LateVerdict, *, problem: str, is_final: bool) -> None:
        """Note what became of a delivery: done without a problem, else again later or given up."""
        with self.writes() as connection:
            outbox.settle(connection, delivery, now=self._now(), problem=problem, is_final=is_final)

    def outbox_size(self) -> int:
        """How many deliveries wait."""
        with self.reads() as connection:
            return outbox.size(connection)

    def undelivered(self, *, limit: int = 100) -> list[Undelivered]:
        """What waits to be delivered or was given up, oldest first."""
        with self.reads() as connection:
            return outbox.undelivered(connection, limit=limit)

    def retry_dead_deliveries(self) -> int:
        """Deliver again, at once, what was given up; how many."""
        with self.writes() as connection:
            return outbox.retry_dead(connection, now=self._now())

    def forget_deliveries(self, older_than: datetime) -> int:
        """Forget what was delivered or given up before then; how many."""
        with self.writes() as connection:
            return outbox.forget(connection, older_than)

    # -------------------------------------------------------------- checks

    def gather(self, batch: Sequence[Asked]) -> list[Known]:
        """What is known of each submission of a batch, in order, in one round of reads.

        Raises TablesChanged when a comment is out of sight for a moment: gather again.
        """
        if not batch:
            return []
        with database.errors_translated():
            keys = [rows.match_keys(self._keyring, asked) for asked in batch]
        found = self._direct.read(lambda driver: checks.look_up(driver, batch, keys))
        replays: dict[str, StoredComment] = {}
        if ids := checks.replayed_ids(keys, found):
            with database.transaction(self._hot, writes=False) as connection:
                replays = checks.replays(connection, ids)
            if not replays.keys() >= set(ids):
                # Seen on PostgreSQL while comments went to a partition that was made late. To take
                # the request for another one would be wrong: what it asked for is there.
                raise TablesChanged("comments were being moved; do it again")
        return checks.known(batch, keys, found, replays)

    def record(self, batch: Sequence[Checked]) -> None:
        """Write a judged batch, all or nothing; it is durable when this returns.

        Raises Unstorable, naming the item; IdempotencyRace when a request with the same key
        was recorded since `gather`: gather again.
        """
        if not batch:
            return
        with database.errors_translated():
            judged = inserts.judged_rows(self._keyring, batch, self._engine.dialect.name)
        self._direct.write(lambda driver: inserts.insert(driver, judged))

    def checkpoint(self) -> None:
        """Move what was committed to where it stays, so that no commit has to: for a chore.

        Raises StoreUnavailable.
        """
        database.checkpoint(self._engine)

    def unrecorded(self, batch: Sequence[Asked]) -> list[Known]:
        """What is known of each submission while the database is away: its keys, no history."""
        return [spooled.known_of_nobody(self._keyring, asked) for asked in batch]

    def sealed(self, batch: Sequence[Checked]) -> list[SpooledComment]:
        """A batch to be queued, as it can be kept outside of the database; asks it nothing.

        Raises Unstorable, naming the item.
        """
        for index, checked in enumerate(batch):
            if not is_storable(checked.asked.submission):
                raise Unstorable(index)
        return [spooled.as_rows(self._keyring, checked) for checked in batch]

    def replay(self, batch: Sequence[SpooledComment]) -> None:
        """Record what was kept outside, once, however often it is asked to."""
        if not batch:
            return
        with self.writes() as connection:
            spooled.replay(connection, batch)

    # -------------------------------------------------------------- review

    def comment(self, site_ids: SiteIds, comment_id: str) -> StoredComment | None:
        """One comment, None if there is none on these sites."""
        with self.reads() as connection:
            return review.comment(connection, site_ids, comment_id)

    def queue_page(
        self,
        site_ids: SiteIds,
        *,
        limit: int = 50,
        after: str = "",
    ) -> QueuePage:
        """Part of the queue, oldest first. `limit` is from 1 to 1,000. Raises BadCursor.

        From a replica it may lack what came a moment ago, but has nothing that was decided.
        """
        if not 1 <= limit <= MOST_PER_PAGE:
            raise ValueError(f"limit must be from 1 to {MOST_PER_PAGE}")
        page = self.read_aside(lambda c: review.queue_page(c, site_ids, limit=limit, after=after))
        if self._replica is None or not page.items:
            return page
        with self.reads() as connection:  # a replica is behind: whoever decided must see it
            waiting = review.still_waiting(connection, [item.comment.id for item in page.items])
        items = tuple(item for item in page.items if item.comment.id in waiting)
        return replace(page, items=items)

    def queue_size(self, site_ids: SiteIds) -> int:
        """How many comments wait."""
        return self.read_aside(lambda connection: review.queue_size(connection, site_ids))

    def oldest_waiting(self, site_ids: SiteIds) -> datetime | None:
        """Since when the comment has waited that waits longest; None when none does."""
        with self.reads() as connection:
            return review.oldest_waiting(connection, site_ids)

    def decide(self, site_ids: SiteIds, comment_id: str, decision: Decision) -> StoredComment:
        """Make a person's decision stand, over whatever the machine said.

        Raises UnknownComment; AlreadyDecided when a person's decision stands.
        """
        with self.writes() as connection:
            return review.decide(connection, site_ids, comment_id, decision=decision)

    def undo(
        self, site_ids: SiteIds, comment_id: str, *, moderator: str, only_own: bool = False
    ) -> StoredComment:
        """Bring back exactly what was before the standing decision, which stays on record.

        With `only_own` another person's decision stays. Raises UnknownComment, NothingToUndo.
        """
        with self.writes() as connection:
            return review.undo(
                connection,
                site_ids,
                comment_id,
                actor=self._actor(moderator),
                only_of=moderator if only_own else None,
            )

    def decided(
        self, site_id: str, *, after: int, upto: int, undone_upto: int, limit: int
    ) -> list[Decided]:
        """Decided comments of a site, by the numbers of their changes, in order.

        Those numbered above `after` and not above `upto`, `limit` at the most, without what
        had been taken back by the change numbered `undone_upto`.
        """
        with self.reads() as connection:
            return decided_page(
                connection,
                site_id,
                after=after,
                upto=upto,
                undone_upto=undone_upto,
                limit=limit,
            )

    def report(self, site_ids: SiteIds, comment_id: str, kind: ReportKind) -> StoredComment:
        """Note a site's word that a verdict was wrong. Raises UnknownComment."""
        with self.writes() as connection:
            return review.report(connection, site_ids, comment_id, kind=kind, at=self._now())

    def reports_of(self, comment_id: str) -> list[Report]:
        """A site's reports on a comment, oldest first."""
        with self.reads() as connection:
            return review.reports_of(connection, comment_id)

    def reveal_address(
        self, site_ids: SiteIds, comment_id: str, *, moderator: str, why: str
    ) -> str:
        """The address of a comment's author in clear; that it was revealed is on record.

        Whether this person may is for the caller to know. Raises UnknownComment, NoAddress,
        service.keyring.UnreadableAddress.
        """
        with self.writes() as connection:
            return review.reveal_address(
                connection,
                self._keyring,
                site_ids,
                comment_id,
                why=why,
                actor=self._actor(moderator),
            )

    def events(self, site_ids: SiteIds, *, after: int = 0, limit: int = 100) -> list[Event]:
        """What happened after the event with this number, oldest first."""
        with self.reads() as connection:
            return events.events_after(connection, site_ids, after, limit=limit)

    def labelled(
        self, site_ids: SiteIds = None, *, page_size: int = 500
    ) -> Iterator[LabelledExample]:
        """Labelled examples in order of receipt, one for each head a person spoke of.

        Read in pages of comments, each its own transaction, so that a long export holds
        nothing up.
        """
        place: labels.Place | None = None
        while True:
            examples, place = self.read_aside(
                partial(labels.labelled_page, site_ids=site_ids, after=place, limit=page_size)
            )
            yield from examples
            if place is None:
                return

    # -------------------------------------------------------------- history

    def import_position(self, site_id: str, job: str) -> int:
        """How many records of an import were dealt with before; 0 for a new one."""
        with self.reads() as connection:
            return imported.position(connection, self._keyring, site_id, job)

    def keys_of_submission(self, asked: Asked) -> Known:
        """The keys that a comment from elsewhere is matched by; nothing is looked up."""
        return spooled.known_of_nobody(self._keyring, asked)

    def import_history(self, batch: Sequence[Arrival], place: Place) -> list[Taken]:
        """Write those of a batch that are not there yet, and how far its import has come.

        What became of each, in order. All or nothing, and durable when this returns. Raises
        UnknownSite.
        """
        now = self._now()
        ready: list[imported.Prepared | None] = []
        for arrival in batch:
            try:
                ready.append(imported.prepared(self._keyring, arrival, now))
            except Unstorable:
                ready.append(None)
        with self.writes() as connection:
            storable = [one for one in ready if one is not None]
            taken = iter(imported.take_in(connection, self._keyring, storable, place, now))
        return [Taken.UNSTORABLE if one is None else next(taken) for one in ready]

    def end_import(self, place: Place, counts: dict[str, int], *, by: str = "operator") -> None:
        """Put on record that an import came to its end, with what it counted."""
        with self.writes() as connection:
            imported.tell_end(connection, place, self._actor(by), counts)

    def kept(self, site_id: str, *, page_size: int = 500) -> Iterator[StoredComment]:
        """All comments of a site in order of receipt, each page read by itself."""
        mark: kept.Mark | None = None
        while True:
            page, mark = self.read_aside(
                partial(kept.page, site_id=site_id, after=mark, limit=page_size)
            )
            yield from page
            if mark is None:
                return

    def kept_by_article(self, site_id: str, *, page_size: int = 500) -> Iterator[StoredComment]:
        """All comments of a site, those of an article together.

        The ids of all are held meanwhile: 90 bytes a comment.
        """
        ids = self.read_aside(partial(kept.ids_by_article, site_id=site_id))
        for start in range(0, len(ids), page_size):
            yield from self.read_aside(partial(kept.of_ids, ids=ids[start : start + page_size]))

    # -------------------------------------------------------------- addresses

    def reencrypt_addresses(
        self, *, batch_size: int = 500, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Seal again with the newest key what an older one sealed; how many comments.

        In batches, each its own transaction: it may be stopped and started again. `progress`
        is told after each batch how many are done.
        """
        with self.writes() as connection:
            readdress.reseal_secrets(connection, self._keyring)
        done = 0
        while True:
            with self.writes() as connection:
                count = readdress.reencrypt(connection, self._keyring, limit=batch_size)
            if not count:
                return done
            done += count
            progress(done)

    def address_keys_in_use(self) -> frozenset[int]:
        """The ids of the address keys that some comment needs; no other key file does."""
        with self.reads() as connection:
            return readdress.keys_in_use(connection)

    # -------------------------------------------------------------- moderators

    def add_moderator(
        self, name: str, role: Role, *, site_id: str = EVERY_SITE, by: str = "operator"
    ) -> Moderator:
        """A new moderator, on one site or on all. Raises NameTaken, UnknownSite."""
        with self.writes() as connection:
            return sign_in.add_moderator(
                connection, name, role, site_id=site_id, actor=self._actor(by)
            )

    def moderators(self) -> list[Moderator]:
        """All moderators by name."""
        with self.reads() as connection:
            return sign_in.all_moderators(connection)

    def new_sign_in_link(self, moderator_id: str, lifetime: timedelta) -> str:
        """A token that signs a moderator in, once, within its lifetime.

        Raises UnknownModerator.
        """
        with self.writes() as connection:
            return sign_in.new_sign_in_link(
                connection, self._keyring, moderator_id, lifetime=lifetime, now=self._now()
            )

    def use_sign_in_link(self, token: str, *, lifetime: timedelta = SESSION_LIFETIME) -> str | None:
        """The token of a new session; None when the link is unknown, used or expired."""
        with self.writes() as connection:
            return sign_in.use_sign_in_link(
                connection, self._keyring, token, lifetime=lifetime, now=self._now()
            )

    def session(self, token: str) -> Moderator | None:
        """Whose session a token is; None when unknown, ended or expired."""
        with self.reads() as connection:
            entered = sign_in.entered(connection, self._keyring, token, now=self._now())
        return entered.moderator if entered else None

    def end_session(self, token: str) -> None:
        """Refuse a session's token from now on. An unknown one is no error."""
        with self.writes() as connection:
            sign_in.end_session(connection, self._keyring, token, now=self._now())

    def _actor(self, name: str) -> Actor:
        return Actor(name, self._now())
