"""The rows of a site's rules: read, ended, added, undone, each change with its version.

Knows that a row is never changed but where it ends. Everything here runs in a transaction of
`site_rules`.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from model.addresses import mask_addresses
from model.lists import MOST_ENTRIES
from service.storage.errors import NothingToUndo, UnknownComment, UnknownSite
from service.storage.events import Actor, tell
from service.storage.records import new_id
from service.storage.review import SiteIds
from service.storage.rule_records import (
    MOST_AUTHORS,
    MOST_RAIDS,
    OF_AUTHORS,
    OF_LISTS,
    NewRule,
    RuleChange,
    RuleKind,
    RulesChanged,
    StoredRule,
    TooManyRules,
)
from service.storage.tables import comments, site_rule_changes, site_rules, sites

ACTIVE = site_rules.c.ended.is_(None)
_AT_A_TIME = 500
_MOST_NAMED = 5


def on(column: sa.Column[str], site_ids: SiteIds) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition that a row is of these sites; none for every site."""
    return () if site_ids is None else (column.in_(list(site_ids)),)


def read(
    connection: sa.Connection,
    *conditions: sa.ColumnElement[bool],
    order: Sequence[sa.ColumnElement[object]] = (site_rules.c.since, site_rules.c.id),
    limit: int | None = None,
) -> list[StoredRule]:
    """The rules that meet all conditions, in order."""
    statement = sa.select(site_rules).where(*conditions).order_by(*order).limit(limit)
    found = connection.execute(statement).mappings()
    return [StoredRule(**{**row, "kind": RuleKind(row["kind"])}) for row in found]


def version_of(connection: sa.Connection, site_id: str) -> int:
    """The version of a site's rules. Raises UnknownSite."""
    statement = sa.select(sites.c.rules_version).where(sites.c.id == site_id)
    version: int | None = connection.execute(statement).scalar_one_or_none()
    if version is None:
        raise UnknownSite("there is no such site")
    return version


def commented(
    connection: sa.Connection, site_ids: SiteIds, comment_id: str
) -> sa.Row[tuple[object, ...]]:
    """A comment's row, keys and all. Raises UnknownComment."""
    statement = sa.select(comments).where(
        comments.c.id == comment_id, *on(comments.c.site_id, site_ids)
    )
    found = connection.execute(statement).one_or_none()
    if found is None:
        raise UnknownComment("there is no such comment")
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes which site's rules, and why."""

    site_id: str
    kind: str
    actor: Actor
    why: str
    comment_id: str | None = None
    undoes: int | None = None


def carry_out(
    connection: sa.Connection,
    change: Change,
    *,
    add: Sequence[NewRule] = (),
    end: Collection[str] = (),
    expected: int | None = None,
) -> RuleChange:
    """End some rules of a site and add others as one change, which takes the next version.

    With `expected` only on that version. Raises RulesChanged, TooManyRules, UnknownSite.
    """
    version = _next_version(connection, change.site_id)
    if expected is not None and version != expected + 1:
        raise RulesChanged("the site's rules were changed meanwhile")
    ended = _ended(connection, change.site_id, end, version)
    ended += _replaced(connection, change.site_id, add, version)
    if add:
        _check_limits(connection, change, add)
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
        statement = site_rules.update().where(ACTIVE, site_rules.c.site_id == site_id, these)
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
    statement = sa.select(*columns).where(ACTIVE, site_rules.c.site_id == site_id)
    return {(kind, key): id_ for kind, key, id_ in connection.execute(statement)}


def _kept(
    connection: sa.Connection,
    change: Change,
    version: int,
    rows: Sequence[dict[str, object]],
    ended: int,
) -> RuleChange:
    if rows:
        connection.execute(site_rules.insert(), [*rows])
    done = RuleChange(
        change.site_id,
        version,
        change.kind,
        change.actor.name,
        change.actor.at,
        mask_addresses(change.why),
        _what(connection, change.site_id, version),
        len(rows),
        ended,
        change.undoes,
        None,
    )
    row = {column.name: getattr(done, column.name) for column in site_rule_changes.c}
    connection.execute(site_rule_changes.insert(), row)
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


def _what(connection: sa.Connection, site_id: str, version: int) -> str:
    """The first few rules that begin or end with a version, as people know them."""
    of_it = sa.or_(site_rules.c.since == version, site_rules.c.ended == version)
    columns = (site_rules.c.kind, site_rules.c.label, site_rules.c.key)
    statement = sa.select(*columns).where(site_rules.c.site_id == site_id, of_it)
    found = connection.execute(statement.order_by(site_rules.c.id).limit(_MOST_NAMED * 2 + 1))
    listed = {kind.value for kind in OF_LISTS}
    names = [*dict.fromkeys(key if kind in listed else label for kind, label, key in found)]
    more = ["…"] if len(names) > _MOST_NAMED else []
    return ", ".join([name for name in names[:_MOST_NAMED] if name] + more)


def _check_limits(connection: sa.Connection, change: Change, add: Sequence[NewRule]) -> None:
    """Raises TooManyRules if there would be too many with those to be added."""
    statement = (
        sa.select(site_rules.c.kind, sa.func.count())
        .where(ACTIVE, site_rules.c.site_id == change.site_id)
        .where(sa.or_(site_rules.c.expires_at.is_(None), site_rules.c.expires_at > change.actor.at))
        .group_by(site_rules.c.kind)
    )
    counts = Counter({RuleKind(kind): count for kind, count in connection.execute(statement)})
    counts.update(rule.kind for rule in add)
    for kinds, most in (
        (OF_LISTS, MOST_ENTRIES),
        (OF_AUTHORS, MOST_AUTHORS),
        ({RuleKind.RAID}, MOST_RAIDS),
    ):
        if sum(counts[kind] for kind in kinds) > most:
            raise TooManyRules(most)


def carry_back(connection: sa.Connection, change: Change, kinds: Collection[str]) -> RuleChange:
    """Bring back what was before a change of these kinds. Raises NothingToUndo."""
    version = _next_version(connection, change.site_id)
    which = sa.and_(
        site_rule_changes.c.site_id == change.site_id,
        site_rule_changes.c.version == change.undoes,
    )
    found = connection.execute(sa.select(site_rule_changes).where(which)).mappings().one_or_none()
    if found is None or found["undone"] is not None or _kind_of(connection, found) not in kinds:
        raise NothingToUndo("there is no such change, or it was undone")
    of_site = site_rules.c.site_id == change.site_id
    made = read(connection, ACTIVE, of_site, site_rules.c.since == change.undoes)
    ended = _ended(connection, change.site_id, [rule.id for rule in made], version)
    standing = _by_key(connection, change.site_id)
    back = [
        rule
        for rule in read(connection, of_site, site_rules.c.ended == change.undoes)
        if (rule.kind.value, rule.key) not in standing
    ]
    rows = [_row_of(rule, new_id(change.actor.at), version) for rule in back]
    connection.execute(site_rule_changes.update().where(which).values(undone=version))
    return _kept(connection, change, version, rows, ended)


def _row_of(rule: StoredRule, id_: str, since: int) -> dict[str, object]:
    """The row of a rule that is laid down again."""
    row: dict[str, object] = {c.name: getattr(rule, c.name) for c in site_rules.c}
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
