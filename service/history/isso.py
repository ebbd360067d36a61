"""Isso's database: a SQLite file, read while Isso may be running.

Opened for reading alone, in pages that each end their transaction: a reader that stayed would keep
Isso from writing. Only tables are read: a view could be made to cost anything.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from service.history.records import (
    LONGEST_CONTENT,
    LONGEST_FIELD,
    Draft,
    HistoryError,
    Record,
    Records,
    Status,
    time_of,
)

PAGE = 200
_STATUS = {"1": Status.APPROVED, "2": Status.WAITING, "4": Status.TRASH}
_LONGEST_VALUE = 64 * 1024 * 1024
_FIELDS = ("c.parent", "c.created", "c.mode", "c.remote_addr", "c.author", "c.email", "c.website",
           "threads.uri", "threads.title")  # fmt: skip
_CUT = ", ".join(f"substr({f}, 1, {LONGEST_FIELD + 1}) AS {f.partition('.')[2]}" for f in _FIELDS)
_PAGE = f"""
    SELECT c.id, substr(c.text, 1, {LONGEST_CONTENT + 1}) AS text, {_CUT}
    FROM comments AS c LEFT JOIN threads ON threads.id = c.tid
    WHERE c.id > ? ORDER BY c.id LIMIT ?"""
_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN (?, ?)"


def read(path: Path, tell: Callable[[int], object] = lambda _: None) -> Records:
    """The comments of a database by their ids. `tell` is told how many were read."""
    with _opened(path) as connection:
        last, count = -(2**63), 0
        while page := connection.execute(_PAGE, (last, PAGE)).fetchall():
            for row in page:
                # A damaged file's pages may lead in a circle, and its reader with them.
                if not isinstance(row["id"], int) or row["id"] <= last:
                    raise HistoryError(f"its comments are out of order after {last}: it is damaged")
                last = row["id"]
                yield _record(row)
            count += len(page)
            tell(count)


def size(path: Path) -> int:
    """How many comments there are."""
    with _opened(path) as connection:
        count: int = connection.execute("SELECT count(*) FROM comments").fetchone()[0]
        return count


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading. SQLite's errors become ours: their text may quote the file."""
    try:
        # Not `immutable`: Isso may write meanwhile, and leaves a journal that has to be minded.
        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _decoded
            connection.execute("PRAGMA trusted_schema = OFF")  # it comes from elsewhere
            connection.execute("PRAGMA query_only = ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            if connection.execute(_TABLES, ("comments", "threads")).fetchone()[0] != 2:
                raise HistoryError("it has not the tables of Isso's database")
            yield connection
    except (sqlite3.Error, UnicodeError) as error:  # the driver fails to read its own messages
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        problem = f"it cannot be read as Isso's database ({name})"
    else:
        return
    raise HistoryError(problem)  # outside the handler: nothing of the driver's goes along


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _record(row: sqlite3.Row) -> Record:
    said = {key: _text(row[key]) for key in row.keys()}  # noqa: SIM118  iterating gives values
    uri = said["uri"]
    return Draft(
        f"comment {said['id']}",
        id=said["id"],
        status=_STATUS.get(said["mode"]),
        content=said["text"],
        name=said["author"],
        email=said["email"],
        url=said["website"],
        ip=said["remote_addr"],  # Isso has cut it
        written=time_of(said["created"]),
        permalink=uri,
        title=said["title"],
        parent_id=said["parent"],
    ).finished()


def _text(value: object) -> str:
    if value is None:
        return ""
    return _decoded(value) if isinstance(value, bytes) else str(value)
