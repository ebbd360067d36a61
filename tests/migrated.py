"""A database at the newest schema without running its migrations, which have tests of their own."""

import tempfile
from functools import cache
from pathlib import Path

from service.storage.engine import open_engine
from service.storage.schema import upgrade


def lay_database(directory: Path) -> str:
    """The URL of `duyet.db` in a directory, laid there at the newest schema unless it is there."""
    path = directory / "duyet.db"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(migrated_file())
    return f"sqlite:///{path}"


@cache
def migrated_file() -> bytes:
    """An empty SQLite database at the newest schema."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "duyet.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        engine.dispose()
        return path.read_bytes()
