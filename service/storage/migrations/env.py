"""How Alembic runs the migrations: on the connection it is given, in that transaction."""

from alembic import context

from service.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes little in place; batches copy the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
