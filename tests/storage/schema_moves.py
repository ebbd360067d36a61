"""Move a database to any schema this program knows, forth or back, as Alembic does."""

from alembic import command

from service.storage.engine import open_engine
from service.storage.schema import migration_config, revision_of


def move_schema(url: str, revision: str) -> None:
    """Bring the database at `url` to a revision, up or down."""
    engine = open_engine(url)
    with engine.connect().execution_options(writes=True) as connection:
        if engine.dialect.name == "sqlite":
            connection.begin()
        is_back = revision < (revision_of(connection) or "")
        if engine.dialect.name == "postgresql":
            connection.commit()  # a migration begins its own
        move = command.downgrade if is_back else command.upgrade
        move(migration_config(connection), revision)
        connection.commit()
    engine.dispose()
