"""What people of a site laid down: authors, words, domains and raids, in versions.

Knows rows and versions: each change of a site's rules takes the next version, ends some rows and
adds others. A row is never changed but where it ends, so that every version can be read again and
every change be undone. Keys of authors and networks are keyed hashes; no address is stored. Judges
nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.site_rules import SiteRules, Standing, article_name
from service.storage import rule_rows as rows
from service.storage.errors import NothingToUndo, UnknownSite
from service.storage.events import Actor
from service.storage.recent import (
    Judged,
    Recent,
    Stretches,
    judged_of,
    recent_between,
    stretches,
)
from service.storage.review import SiteIds
from service.storage.rule_records import (
    LATE,
    LONGEST_RAID,
    NewRule,
    NotKnown,
    RuleChange,
    RuleKind,
    StoredRule,
    made_ready,
)
from service.storage.store import Store
from service.storage.tables import comments, site_rule_changes, site_rules

_MOST_PUBLISHED_LOOKED_AT = 1000


class RuleBook:
    """The rules of all sites, over a store. Every method is one transaction; raises as it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -------------------------------------------------------------- reading

    def version(self, site_id: str) -> int:
        """The version in force, 0 for a site that never had rules. Raises UnknownSite."""
        with self._store.reads() as connection:
            return rows.version_of(connection, site_id)

    def in_force(self, site_id: str) -> tuple[int, list[StoredRule]]:
        """The version and its rules, without what expired more than `LATE` ago."""
        limit = self._store.now() - LATE
        late = sa.or_(site_rules.c.expires_at.is_(None), site_rules.c.expires_at > limit)
        with self._store.reads() as connection:
            version = rows.version_of(connection, site_id)
            return version, rows.read(
                connection, rows.ACTIVE, site_rules.c.site_id == site_id, late
            )

    def as_of(self, site_id: str, version: int) -> SiteRules:
        """The rules of any version, whatever has become of them: for judging again."""
        holds = sa.and_(
            site_rules.c.site_id == site_id,
            site_rules.c.since <= version,
            sa.or_(site_rules.c.ended.is_(None), site_rules.c.ended > version),
        )
        with self._store.reads() as connection:
            return made_ready(version, rows.read(connection, holds))

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
            conditions = (rows.ACTIVE, of, not_over, *rows.on(site_rules.c.site_id, site_ids))
            return rows.read(connection, *conditions, order=order, limit=limit)

    def changes(self, site_ids: SiteIds, *, limit: int = 20) -> list[RuleChange]:
        """The last changes, newest first."""
        order = (site_rule_changes.c.at.desc(), site_rule_changes.c.version.desc())
        statement = sa.select(site_rule_changes).where(
            *rows.on(site_rule_changes.c.site_id, site_ids)
        )
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

    def stretches(self, site_id: str, since: datetime, size: int) -> Stretches:
        """The comments of a site since then, in stretches of `size`."""
        return self._store.read_aside(lambda c: stretches(c, site_id, since, size))

    def recent_between(self, site_id: str, start: str, end: str) -> list[Recent]:
        """Comments of a site from the id `start` up to before `end` ("" for all), newest first."""
        return self._store.read_aside(lambda c: recent_between(c, site_id, start, end))

    def judged_of(self, ids: Sequence[str]) -> dict[str, Judged]:
        """What the machine said of some comments, by their ids."""
        return self._store.read_aside(lambda c: judged_of(c, ids))

    # -------------------------------------------------------------- changing

    def act_on_author(  # noqa: PLR0913  all but two are words of whoever acts
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
            of = rows.commented(connection, site_ids, comment_id)
            key, masked = (
                (of.ip_key, of.ip_masked) if of_network else (of.author_key, of.email_masked)
            )
            if not key:
                raise NotKnown("the comment came without it")
            name = "" if of_network else mask_addresses(of.author_name)[:200]
            kind = RuleKind.NETWORK if of_network else RuleKind.AUTHOR
            label = f"{name} · {masked}" if name else masked
            rule = NewRule(kind, key, standing.value, "", label, expires_at)
            change = rows.Change(of.site_id, "author", self._actor(by), why, comment_id=comment_id)
            return rows.carry_out(connection, change, add=[rule])

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
                of = rows.commented(connection, site_ids, comment_id)
                site_id, article = of.site_id, article_name(of.permalink)
                if not article:
                    raise NotKnown("the comment came without an article")
                label = mask_addresses(of.article_title or of.permalink)[:300]
            elif site_ids is not None and site_id not in site_ids:
                raise UnknownSite("there is no such site")
            rule = NewRule(RuleKind.RAID, article, "queue", "", label, actor.at + lasts)
            change = rows.Change(site_id, "raid", actor, why, comment_id=comment_id or None)
            return rows.carry_out(connection, change, add=[rule])

    def end(
        self, site_ids: SiteIds, rule_id: str, *, by: str, kinds: Collection[RuleKind]
    ) -> RuleChange:
        """End an author's rule, or a raid early. Raises NothingToUndo when it is not in force."""
        with self._store.writes() as connection:
            conditions = (site_rules.c.id == rule_id, *rows.on(site_rules.c.site_id, site_ids))
            found = rows.read(connection, rows.ACTIVE, *conditions)
            if not found or found[0].kind not in kinds:
                raise NothingToUndo("there is no such rule in force")
            kind = "raid" if found[0].kind is RuleKind.RAID else "author"
            change = rows.Change(found[0].site_id, kind, self._actor(by), "")
            return rows.carry_out(connection, change, end=[rule_id])

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
            change = rows.Change(site_id, "lists", self._actor(by), why)
            return rows.carry_out(connection, change, add=add, end=end, expected=since)

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
            change = rows.Change(site_id, "undo", self._actor(by), "", undoes=version)
            return rows.carry_back(connection, change, kinds)

    def _actor(self, name: str) -> Actor:
        return Actor(name, self._store.now())
