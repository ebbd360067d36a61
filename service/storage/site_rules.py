"""What people of a site laid down: authors, words, domains and raids, in versions.

Knows rows and versions: each change of a site's rules takes the next version, ends some rows and
adds others. A row is never changed but where it ends, so that every version can be read again and
every change be undone. Keys of authors and networks are keyed hashes; no address is stored. Judges
nothing.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.lists import MOST_ENTRIES, Act, Entry, Kind, Lists
from model.outcome import Outcome
from model.site_rules import AuthorRule, Raid, SiteRules, Standing, article_name
from model.verdict import RuleHit
from service.storage.errors import NothingToUndo, StoreError, UnknownComment, UnknownSite
from service.storage.events import Actor, tell
from service.storage.partitions import first_id
from service.storage.records import new_id
from service.storage.review import SiteIds
from service.storage.store import Store
from service.storage.tables import comments, site_rule_changes, site_rules, sites, verdicts

MOST_AUTHORS = 20_000
"""Authors and networks that a site may have rules for at a time."""

MOST_RAIDS = 50

LONGEST_RAID = timedelta(days=7)

LATE = timedelta(days=2)
"""What ended so long ago is still read: comments that waited in a spool are judged by their time."""

_MOST_PUBLISHED_LOOKED_AT = 1000


class RuleKind(StrEnum):
    """What a rule is about."""

    AUTHOR = "author"
    NETWORK = "network"
    WORD = "word"
    DOMAIN = "domain"
    RAID = "raid"


OF_LISTS = frozenset({RuleKind.WORD, RuleKind.DOMAIN})
OF_AUTHORS = frozenset({RuleKind.AUTHOR, RuleKind.NETWORK})


class TooManyRules(StoreError):
    """A site may not have so many rules of a kind; `most` says how many."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a site may have at most {most} of these")
        self.most = most


class RulesChanged(StoreError):
    """Somebody changed the site's rules since they were read."""


class NotKnown(StoreError):
    """The comment came without what was to be acted on: no address, or no IP."""


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to be laid down. `key` is what it is matched by, `label` what people know it by."""

    kind: RuleKind
    key: str = field(repr=False)
    action: str
    scope: str = ""
    label: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as laid down: by whom, when and why, and the versions in which it holds."""

    id: str
    site_id: str
    kind: RuleKind
    key: str = field(repr=False)
    action: str
    scope: str
    label: str
    why: str
    made_by: str
    made_at: datetime
    expires_at: datetime | None
    since: int
    ended: int | None

    def counts(self, at: datetime) -> bool:
        """Whether it is in force then, as far as time goes."""
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A change of a site's rules: what it did, and what undid it.

    `kind` is `lists`, `author`, `raid` or `undo`.
    """

    site_id: str
    version: int
    kind: str
    actor: str
    at: datetime
    why: str
    made: int
    ended: int
    undoes: int | None
    undone: int | None


class RuleBook:
    """The rules of all sites, over a store. Every method is one transaction; raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -------------------------------------------------------------- reading

    def version(self, site_id: str) -> int:
        """The version in force, 0 for a site that never had rules. Raises UnknownSite."""
        with self._store.reads() as connection:
            return _version(connection, site_id)

    def in_force(self, site_id: str) -> tuple[int, list[StoredRule]]:
        """The version and its rules, without what expired more than `LATE` ago."""
        limit = self._store.now() - LATE
        late = sa.or_(site_rules.c.expires_at.is_(None), site_rules.c.expires_at > limit)
        with self._store.reads() as connection:
            version = _version(connection, site_id)
            return version, _read(connection, _ACTIVE, site_rules.c.site_id == site_id, late)

    def as_of(self, site_id: str, version: int) -> SiteRules:
        """The rules of any version, whatever has become of them: for judging again."""
        holds = sa.and_(
            site_rules.c.site_id == site_id,
            site_rules.c.since <= version,
            sa.or_(site_rules.c.ended.is_(None), site_rules.c.ended > version),
        )
        with self._store.reads() as connection:
            return made_ready(version, _read(connection, holds))

    def listed(
        self, site_ids: SiteIds, kinds: Collection[RuleKind], *, limit: int = 20_000
    ) -> list[StoredRule]:
        """What is in force of some kinds, newest first, without what has expired."""
        of = site_rules.c.kind.in_([kind.value for kind in kinds])
        not_over = sa.or_(
            site_rules.c.expires_at.is_(None), site_rules.c.expires_at > self._store.now()
        )
        with self._store.reads() as connection:
            order = (site_rules.c.since.desc(), site_rules.c.id.desc())
            conditions = (_ACTIVE, of, not_over, *_on(site_rules.c.site_id, site_ids))
            return _read(connection, *conditions, order=order, limit=limit)

    def changes(self, site_ids: SiteIds, *, limit: int = 20) -> list[RuleChange]:
        """The last changes, newest first."""
        order = (site_rule_changes.c.at.desc(), site_rule_changes.c.version.desc())
        statement = sa.select(site_rule_changes).where(*_on(site_rule_changes.c.site_id, site_ids))
        with self._store.reads() as connection:
            found = connection.execute(statement.order_by(*order).limit(limit)).mappings()
            return [RuleChange(**row) for row in found]

    def published(self, authors: Iterable[str], before: datetime) -> frozenset[str]:
        """Those of some authors, by key, of whom a comment that came before then is published.

        Of each the last thousand comments are looked at.
        """
        last = (
            sa.select(comments.c.state)
            .where(comments.c.author_key == sa.bindparam("author"))
            .where(
                comments.c.received_at < sa.bindparam("before", type_=comments.c.received_at.type)
            )
            .order_by(comments.c.received_at.desc())
            .limit(_MOST_PUBLISHED_LOOKED_AT)
            .subquery()
        )
        statement = sa.select(sa.literal(1)).where(last.c.state == "accept").limit(1)
        with self._store.reads() as connection:
            return frozenset(
                author
                for author in authors
                if connection.execute(statement, {"author": author, "before": before}).first()
            )

    def count_recent(self, site_id: str, since: datetime) -> int:
        """How many comments of a site came since then."""
        return self._store.read_aside(lambda c: count_recent(c, site_id, since))

    def recent_page(
        self, site_id: str, since: datetime, *, before: str, limit: int
    ) -> list[Recent]:
        """Comments of a site since then, the newest first, from below the id `before`."""
        return self._store.read_aside(
            lambda c: recent_page(c, site_id, since, before=before, limit=limit)
        )

    def judged_of(self, ids: Sequence[str]) -> dict[str, Judged]:
        """What the machine said of some comments, by their ids."""
        return self._store.read_aside(lambda c: judged_of(c, ids))

    # -------------------------------------------------------------- changing

    def act_on_author(
        self,
        site_ids: SiteIds,
        comment_id: str,
        standing: Standing,
        *,
        by: str,
        why: str,
        expires_at: datetime | None,
        of_network: bool = False,
    ) -> RuleChange:
        """Say how the author of a comment stands, or for a ban the network it came from.

        Raises UnknownComment; NotKnown for a comment without an address (or an IP).
        """
        if of_network and standing is not Standing.BANNED:
            raise ValueError("a network can only be banned")
        with self._store.writes() as connection:
            of = _commented(connection, site_ids, comment_id)
            key, masked = (
                (of.ip_key, of.ip_masked) if of_network else (of.author_key, of.email_masked)
            )
            if not key:
                raise NotKnown("the comment came without it")
            name = "" if of_network else mask_addresses(of.author_name)[:200]
            kind = RuleKind.NETWORK if of_network else RuleKind.AUTHOR
            label = f"{name} · {masked}" if name else masked
            rule = NewRule(kind, key, standing.value, "", label, expires_at)
            change = _Change(of.site_id, "author", self._actor(by), why, comment_id=comment_id)
            return _changed(connection, change, add=[rule])

    def start_raid(
        self,
        site_ids: SiteIds,
        *,
        by: str,
        why: str,
        lasts: timedelta,
        site_id: str = "",
        comment_id: str = "",
    ) -> RuleChange:
        """Have comments of new authors wait: of a site, or of the article of a comment.

        `lasts` is above nothing and at most `LONGEST_RAID`. Raises UnknownComment, UnknownSite.
        """
        if not timedelta() < lasts <= LONGEST_RAID:
            raise ValueError("a raid lasts up to 7 days")
        actor = self._actor(by)
        with self._store.writes() as connection:
            article = label = ""
            if comment_id:
                of = _commented(connection, site_ids, comment_id)
                site_id, article = of.site_id, article_name(of.permalink)
                if not article:
                    raise NotKnown("the comment came without an article")
                label = mask_addresses(of.article_title or of.permalink)[:300]
            elif site_ids is not None and site_id not in site_ids:
                raise UnknownSite("there is no such site")
            rule = NewRule(RuleKind.RAID, article, "queue", "", label, actor.at + lasts)
            change = _Change(site_id, "raid", actor, why, comment_id=comment_id or None)
            return _changed(connection, change, add=[rule])

    def end(
        self, site_ids: SiteIds, rule_id: str, *, by: str, kinds: Collection[RuleKind]
    ) -> RuleChange:
        """End an author's rule, or a raid early. Raises NothingToUndo when it is not in force."""
        with self._store.writes() as connection:
            conditions = (site_rules.c.id == rule_id, *_on(site_rules.c.site_id, site_ids))
            found = _read(connection, _ACTIVE, *conditions)
            if not found or found[0].kind not in kinds:
                raise NothingToUndo("there is no such rule in force")
            kind = "raid" if found[0].kind is RuleKind.RAID else "author"
            change = _Change(found[0].site_id, kind, self._actor(by), "")
            return _changed(connection, change, end=[rule_id])

    def change_lists(
        self,
        site_id: str,
        *,
        add: Sequence[NewRule],
        end: Collection[str],
        since: int,
        by: str,
        why: str,
    ) -> RuleChange:
        """Add entries and end others, all or nothing, if the version still is `since`.

        An entry that is there already is replaced. Raises RulesChanged, TooManyRules, UnknownSite.
        """
        with self._store.writes() as connection:
            change = _Change(site_id, "lists", self._actor(by), why)
            return _changed(connection, change, add=add, end=end, expected=since)

    def undo(
        self, site_ids: SiteIds, site_id: str, version: int, *, by: str, kinds: Collection[str]
    ) -> RuleChange:
        """Bring back what a change ended and end what it made; the undo is a change of its own.

        What was changed again since is left as it is. `kinds` are the changes that the caller may
        undo. Raises NothingToUndo when there is no such change, or it was undone.
        """
        if site_ids is not None and site_id not in site_ids:
            raise NothingToUndo("there is no such change")
        with self._store.writes() as connection:
            change = _Change(site_id, "undo", self._actor(by), "", undoes=version)
            return _undone(connection, change, kinds)

    def _actor(self, name: str) -> Actor:
        return Actor(name, self._store.now())


# ------------------------------------------------------------------ made ready


def entries_of(rules: Iterable[StoredRule]) -> list[Entry]:
    """The words and domains among some rules."""
    return [
        Entry(Kind(rule.kind.value), rule.key, Act(rule.action), rule.scope == "address")
        for rule in rules
        if rule.kind in OF_LISTS
    ]


def made_ready(
    version: int, rules: Sequence[StoredRule], *, lists: Lists | None = None
) -> SiteRules:
    """A site's rules as comments are judged by them; `lists` if they were made before."""
    raids = [rule for rule in rules if rule.kind is RuleKind.RAID]
    return SiteRules(
        version=version,
        authors=_standings(rules, RuleKind.AUTHOR),
        networks=_standings(rules, RuleKind.NETWORK),
        raids=tuple(
            Raid(rule.key, rule.made_at, rule.expires_at)
            for rule in raids
            if rule.expires_at is not None
        ),
        lists=Lists(entries_of(rules)) if lists is None else lists,
    )


def _standings(rules: Iterable[StoredRule], kind: RuleKind) -> dict[str, AuthorRule]:
    return {
        rule.key: AuthorRule(Standing(rule.action), rule.expires_at)
        for rule in rules
        if rule.kind is kind
    }


# ------------------------------------------------------------------ rows

_ACTIVE = site_rules.c.ended.is_(None)
_AT_A_TIME = 500


def _on(column: sa.Column[str], site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    return () if site_ids is None else (column.in_(list(site_ids)),)


def _read(
    connection: sa.Connection,
    *conditions: sa.ColumnElement[bool],
    order: Sequence[sa.ColumnElement[object]] = (site_rules.c.since, site_rules.c.id),
    limit: int | None = None,
) -> list[StoredRule]:
    statement = sa.select(site_rules).where(*conditions).order_by(*order).limit(limit)
    found = connection.execute(statement).mappings()
    return [StoredRule(**{**row, "kind": RuleKind(row["kind"])}) for row in found]


def _version(connection: sa.Connection, site_id: str) -> int:
    statement = sa.select(sites.c.rules_version).where(sites.c.id == site_id)
    version: int | None = connection.execute(statement).scalar_one_or_none()
    if version is None:
        raise UnknownSite("there is no such site")
    return version


def _commented(
    connection: sa.Connection, site_ids: SiteIds, comment_id: str
) -> sa.Row[tuple[object, ...]]:
    statement = sa.select(comments).where(
        comments.c.id == comment_id, *_on(comments.c.site_id, site_ids)
    )
    found = connection.execute(statement).one_or_none()
    if found is None:
        raise UnknownComment("there is no such comment")
    return found


@dataclass(frozen=True, slots=True)
class _Change:
    """Who changes which site's rules, and why."""

    site_id: str
    kind: str
    actor: Actor
    why: str
    comment_id: str | None = None
    undoes: int | None = None


def _changed(
    connection: sa.Connection,
    change: _Change,
    *,
    add: Sequence[NewRule] = (),
    end: Collection[str] = (),
    expected: int | None = None,
) -> RuleChange:
    version = _next_version(connection, change.site_id)
    if expected is not None and version != expected + 1:
        raise RulesChanged("the site's rules were changed meanwhile")
    ended = _ended(connection, change.site_id, end, version)
    ended += _replaced(connection, change.site_id, add, version)
    rows: list[dict[str, object]] = [
        {
            "id": new_id(change.actor.at),
            "site_id": change.site_id,
            "kind": rule.kind.value,
            "key": rule.key,
            "action": rule.action,
            "scope": rule.scope,
            "label": rule.label,
            "why": mask_addresses(change.why),
            "made_by": change.actor.name,
            "made_at": change.actor.at,
            "expires_at": rule.expires_at,
            "since": version,
            "ended": None,
        }
        for rule in add
    ]
    return _kept(connection, change, version, rows, ended)


def _next_version(connection: sa.Connection, site_id: str) -> int:
    """The version of this change. The site's row is held until the transaction ends."""
    change = sites.update().where(sites.c.id == site_id)
    change = change.values(rules_version=sites.c.rules_version + 1)
    found = connection.execute(change.returning(sites.c.rules_version))
    version: int | None = found.scalar_one_or_none()
    if version is None:
        raise UnknownSite("there is no such site")
    return version


def _ended(connection: sa.Connection, site_id: str, ids: Collection[str], version: int) -> int:
    count, ordered = 0, [*ids]
    for at in range(0, len(ordered), _AT_A_TIME):
        these = site_rules.c.id.in_(ordered[at : at + _AT_A_TIME])
        statement = site_rules.update().where(_ACTIVE, site_rules.c.site_id == site_id, these)
        count += connection.execute(statement.values(ended=version)).rowcount
    return count


def _replaced(connection: sa.Connection, site_id: str, add: Sequence[NewRule], version: int) -> int:
    """End what stands in the place of what is added."""
    if not add:
        return 0
    standing = _by_key(connection, site_id)
    ids = {standing[place] for rule in add if (place := (rule.kind.value, rule.key)) in standing}
    return _ended(connection, site_id, ids, version)


def _by_key(connection: sa.Connection, site_id: str) -> dict[tuple[str, str], str]:
    columns = (site_rules.c.kind, site_rules.c.key, site_rules.c.id)
    statement = sa.select(*columns).where(_ACTIVE, site_rules.c.site_id == site_id)
    return {(kind, key): id_ for kind, key, id_ in connection.execute(statement)}


def _kept(
    connection: sa.Connection,
    change: _Change,
    version: int,
    rows: Sequence[dict[str, object]],
    ended: int,
) -> RuleChange:
    if rows:
        connection.execute(site_rules.insert(), [*rows])
        _check_limits(connection, change)
    done = RuleChange(
        change.site_id,
        version,
        change.kind,
        change.actor.name,
        change.actor.at,
        mask_addresses(change.why),
        len(rows),
        ended,
        change.undoes,
        None,
    )
    columns = site_rule_changes.c.keys()
    connection.execute(site_rule_changes.insert(), {name: getattr(done, name) for name in columns})
    told = {"version": version, "made": len(rows), "ended": ended, "why": change.why[:300]}
    if change.undoes is not None:
        told["undoes"] = change.undoes
    if change.kind in {"author", "raid"} and rows:
        told |= {"kind": rows[0]["kind"], "action": rows[0]["action"]}
        expires_at = rows[0]["expires_at"]
        told["until"] = expires_at.isoformat() if isinstance(expires_at, datetime) else None
    tell(
        connection,
        f"rules_{change.kind}",
        change.actor,
        site_id=change.site_id,
        comment_id=change.comment_id,
        body=told,
    )
    return done


def _check_limits(connection: sa.Connection, change: _Change) -> None:
    statement = (
        sa.select(site_rules.c.kind, sa.func.count())
        .where(_ACTIVE, site_rules.c.site_id == change.site_id)
        .where(sa.or_(site_rules.c.expires_at.is_(None), site_rules.c.expires_at > change.actor.at))
        .group_by(site_rules.c.kind)
    )
    counts = {RuleKind(kind): count for kind, count in connection.execute(statement)}
    for kinds, most in (
        (OF_LISTS, MOST_ENTRIES),
        (OF_AUTHORS, MOST_AUTHORS),
        ({RuleKind.RAID}, MOST_RAIDS),
    ):
        if sum(counts.get(kind, 0) for kind in kinds) > most:
            raise TooManyRules(most)


def _undone(connection: sa.Connection, change: _Change, kinds: Collection[str]) -> RuleChange:
    version = _next_version(connection, change.site_id)
    which = sa.and_(
        site_rule_changes.c.site_id == change.site_id,
        site_rule_changes.c.version == change.undoes,
    )
    found = connection.execute(sa.select(site_rule_changes).where(which)).mappings().one_or_none()
    if found is None or found["undone"] is not None or _kind_of(connection, found) not in kinds:
        raise NothingToUndo("there is no such change, or it was undone")
    of_site = site_rules.c.site_id == change.site_id
    made = _read(connection, _ACTIVE, of_site, site_rules.c.since == change.undoes)
    ended = _ended(connection, change.site_id, [rule.id for rule in made], version)
    standing = _by_key(connection, change.site_id)
    back = [
        rule
        for rule in _read(connection, of_site, site_rules.c.ended == change.undoes)
        if (rule.kind.value, rule.key) not in standing
    ]
    rows = [_row_of(rule, new_id(change.actor.at), version) for rule in back]
    connection.execute(site_rule_changes.update().where(which).values(undone=version))
    return _kept(connection, change, version, rows, ended)


def _row_of(rule: StoredRule, id_: str, since: int) -> dict[str, object]:
    """The row of a rule that is laid down again."""
    row: dict[str, object] = {name: getattr(rule, name) for name in site_rules.c.keys()}
    row.update(id=id_, kind=rule.kind.value, since=since, ended=None)
    return row


def _kind_of(connection: sa.Connection, change: sa.RowMapping) -> str:
    """What a change is about; of an undo, what it undoes is about."""
    while change["kind"] == "undo":
        which = sa.and_(
            site_rule_changes.c.site_id == change["site_id"],
            site_rule_changes.c.version == change["undoes"],
        )
        change = connection.execute(sa.select(site_rule_changes).where(which)).mappings().one()
    kind: str = change["kind"]
    return kind


# ------------------------------------------------------------------ what a change would have done


@dataclass(frozen=True, slots=True)
class Recent:
    """A comment that a change is tried on; `decided` is "accept", "reject" or None."""

    id: str
    content: str = field(repr=False)
    name: str = field(repr=False)
    url: str = field(repr=False)
    address_domain: str = field(repr=False)
    decided: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the machine said of a comment then, as far as another outcome depends on it."""

    outcome: Outcome
    codes: frozenset[str]
    hits: tuple[RuleHit, ...]


_RECENT = sa.select(
    comments.c.id,
    comments.c.content,
    comments.c.author_name,
    comments.c.author_url,
    comments.c.email_masked,
    comments.c.decided,
)


def count_recent(connection: sa.Connection, site_id: str, since: datetime) -> int:
    """How many comments of a site came since then."""
    counted = sa.select(sa.func.count()).select_from(comments)
    counted = counted.where(comments.c.site_id == site_id, comments.c.id >= first_id(since))
    return connection.execute(counted).scalar_one()


def recent_page(
    connection: sa.Connection, site_id: str, since: datetime, *, before: str, limit: int
) -> list[Recent]:
    """Comments of a site since then, the newest first, from below the id `before` ("" for all)."""
    statement = _RECENT.where(comments.c.site_id == site_id, comments.c.id >= first_id(since))
    if before:
        statement = statement.where(comments.c.id < before)
    found = connection.execute(statement.order_by(comments.c.id.desc()).limit(limit))
    return [
        Recent(id_, content, name, url, masked.rpartition("@")[2].lower(), decided)
        for id_, content, name, url, masked, decided in found
    ]


def judged_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Judged]:
    """What the machine said of some comments, by their ids."""
    columns = (
        verdicts.c.comment_id,
        verdicts.c.outcome,
        verdicts.c.unaudited,
        verdicts.c.explanation,
    )
    statement = sa.select(*columns).where(verdicts.c.comment_id.in_(ids))
    judged = {}
    for id_, outcome, unaudited, explanation in connection.execute(statement):
        told = json.loads(explanation)
        judged[id_] = Judged(
            Outcome.of(unaudited or outcome),
            frozenset(reason["code"] for reason in told["reasons"]),
            tuple(RuleHit(**hit | {"effect": Outcome.of(hit["effect"])}) for hit in told["hits"]),
        )
    return judged
