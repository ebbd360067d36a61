"""How Alembic runs the migrations: on the connection it is given.

In the transaction that it is in, or else each in one of its own.
"""

from alembic import context

from service.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes little in place; batches copy the table.
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
