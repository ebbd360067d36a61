"""A copy of a SQLite database as it stands at one moment, while others go on writing."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from service.storage.engine import errors_translated


def sqlite_file(url: str) -> Path | None:
    """The file of a database, None for one on a server."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


def copied(database: Path, to: Path) -> int:
    """Copy a database's file, with what is in its log alone; the bytes of the copy.

    It is one snapshot: no writer is waited for, and none waits. The copy is its owner's alone,
    whole or absent, and takes the place of a file that is there. Raises StoreUnavailable.
    """
    with errors_translated():
        handle, draft = tempfile.mkstemp(prefix=f".{to.name}.", dir=to.parent)
        os.close(handle)
        try:
            with (
                closing(sqlite3.connect(_read_only(database), uri=True)) as own,
                closing(sqlite3.connect(draft)) as copy,
            ):
                own.backup(copy)  # all pages in one step, so that none is written in between
                # One file is easier to carry than one with its log; serving makes it anew.
                copy.execute("PRAGMA journal_mode = DELETE")
            size = os.path.getsize(draft)
            os.replace(draft, to)
        finally:
            Path(draft).unlink(missing_ok=True)
    return size


def _read_only(database: Path) -> str:
    return f"{database.absolute().as_uri()}?mode=ro"
