"""The database after a fault, beside what callers were told: nothing lost, doubled or half."""

from dataclasses import dataclass

import sqlalchemy as sa

from tests.faults.load import Load

_HALVES = {
    "comment without verdict": """SELECT count(*) FROM comments
        WHERE id NOT IN (SELECT comment_id FROM verdicts)""",
    "verdict without comment": """SELECT count(*) FROM verdicts
        WHERE comment_id NOT IN (SELECT id FROM comments)""",
    "waiting without a verdict to queue": """SELECT count(*) FROM queue
        WHERE comment_id NOT IN (SELECT comment_id FROM verdicts WHERE outcome = 'queue')""",
    "verdict to queue that does not wait": """SELECT count(*) FROM verdicts
        WHERE outcome = 'queue' AND comment_id NOT IN (SELECT comment_id FROM queue)""",
    "state that is not the verdict's": """SELECT count(*) FROM comments
        JOIN verdicts ON comment_id = id WHERE state <> outcome""",
    "request without comment": """SELECT count(*) FROM idempotency
        WHERE comment_id NOT IN (SELECT id FROM comments)""",
    "comment without request": """SELECT count(*) FROM comments
        WHERE id NOT IN (SELECT comment_id FROM idempotency)""",
}


@dataclass(frozen=True)
class Ledger:
    """What a database holds. Every fault is a list or count that must be empty or 0."""

    comments: int
    lost: list[int]
    doubled: list[str]
    halves: dict[str, int]
    not_asked_for: int

    @property
    def faults(self) -> dict[str, object]:
        every = {
            "lost": self.lost,
            "doubled": self.doubled,
            "stored and never answered": self.not_asked_for,
            **self.halves,
        }
        return {name: found for name, found in every.items() if found}

    def __str__(self) -> str:
        return f"{self.comments} stored: 0 lost, 0 doubled, 0 half"


def ledger(url: str, load: Load, *, strict: bool = True) -> Ledger:
    """Read the database at `url`. With `strict` it holds nothing that was not answered."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            return _read(connection, load, strict=strict)
    finally:
        engine.dispose()


def _read(connection: sa.Connection, load: Load, *, strict: bool) -> Ledger:
    rows = connection.exec_driver_sql(
        "SELECT external_id, id, outcome FROM comments LEFT JOIN verdicts ON comment_id = id"
    ).all()
    if connection.dialect.name == "sqlite":
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    stored = {(row.id, row.outcome) for row in rows}
    numbers = [row.external_id for row in rows]
    twice = (
        sorted({n for n in numbers if numbers.count(n) > 1})
        if len(set(numbers)) < len(numbers)
        else []
    )
    known = {str(number) for number in load.answered}
    return Ledger(
        comments=len(rows),
        lost=[number for number, said in load.answered.items() if said not in stored],
        doubled=[*twice, *(f"{n} was answered anew" for n in load.changed)],
        halves={
            name: connection.exec_driver_sql(query).scalar_one() for name, query in _HALVES.items()
        },
        not_asked_for=sum(n not in known for n in numbers) if strict else 0,
    )
