"""How right each outcome is: counts of what came, and of what people said of a sample of it.

Knows which counts go together. What people say of comments drawn at random stands for all that the
machine settled; what waited is decided by people anyway, and what they have decided of it stands
for all of it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import sqlalchemy as sa

from model.outcome import Outcome
from service.estimates import Drawn
from service.outcomes import Judged
from service.storage.figures import Scope
from service.storage.store import Store
from service.storage.tables import (
    arrival_days,
    audit_days,
    audit_language_days,
    decision_days,
    language_days,
)

ACCEPT, QUEUE, REJECT = (outcome.word for outcome in Outcome)


class By(Enum):
    """What the counts are told apart by."""

    NOTHING = "nothing"
    SITE = "site"
    LANGUAGE = "language"


Found = Mapping[str, Mapping[Outcome, Judged]]
"""By the id of a site, by a language, or under "" all together."""


def judged(store: Store, scope: Scope, by: By = By.NOTHING) -> Found:
    """What was said of the comments of some days, and what people made of it."""
    return store.read_aside(lambda connection: judged_in(connection, scope, by))


def judged_in(connection: sa.Connection, scope: Scope, by: By) -> Found:
    """The same, in a transaction."""
    came: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_WORDS, 0.0))
    table = language_days if by is By.LANGUAGE else arrival_days
    for key, outcome, times in _sums(connection, scope, table, by, "outcome", of=("times",)):
        came[key][outcome] += float(times)
    decided: dict[str, dict[tuple[str, str], Drawn]] = defaultdict(dict)
    table = audit_language_days if by is By.LANGUAGE else audit_days
    sums = ("times", "weight", "squares")
    for key, said, word, times, weight, squares in _sums(
        connection, scope, table, by, "said", "decided", of=sums
    ):
        if times > 0:
            drawn = Drawn(float(weight), float(squares), int(times))
            decided[key][said, word] = drawn
            # Whatever is drawn waits, and was counted as that when it came.
            came[key][QUEUE] -= drawn.times
            came[key][said] += drawn.times
    for key, word, times, opinions in _sums(
        connection, scope, decision_days, by, "outcome", of=("times", "opinions")
    ):
        number = int(times - opinions)
        if number > 0:
            decided[key][QUEUE, word] = Drawn(number, number, number)
    return {
        key: {outcome: _judged(counts, decided[key], outcome) for outcome in Outcome}
        for key, counts in sorted(came.items())
    }


_COLUMNS = {By.SITE: "site_id", By.LANGUAGE: "language"}
_WORDS = (ACCEPT, QUEUE, REJECT)
_NONE = Drawn(0, 0, 0)


def _judged(
    came: Mapping[str, float], decided: Mapping[tuple[str, str], Drawn], outcome: Outcome
) -> Judged:
    return Judged(
        number=max(0.0, came[outcome.word]),
        unwanted=decided.get((outcome.word, REJECT), _NONE),
        genuine=decided.get((outcome.word, ACCEPT), _NONE),
    )


def _sums(
    connection: sa.Connection,
    scope: Scope,
    table: sa.Table,
    by: By,
    *also: str,
    of: tuple[str, ...],
) -> Iterator[tuple[Any, ...]]:
    """A key, some columns, and sums of others by those."""
    keys = [] if by is By.NOTHING else [table.c[_COLUMNS[by]]]
    columns = [*keys, *(table.c[name] for name in also)]
    days = (table.c.day >= scope.first.isoformat(), table.c.day <= scope.last.isoformat())
    statement = sa.select(*columns, *(sa.func.sum(table.c[name]) for name in of)).where(*days)
    if scope.sites is not None:
        statement = statement.where(table.c.site_id.in_(list(scope.sites)))
    for row in connection.execute(statement.group_by(*columns)):
        yield tuple(row) if keys else ("", *row)
