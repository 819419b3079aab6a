"""What Alembic runs: migrations over the connection it is given, never over one of its own."""

from __future__ import annotations

from alembic import context

from gateway.storage.migrations import schemas

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schemas(),
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
    transactional_ddl=True,  # true of SQLite once the driver leaves BEGIN to us (storage/engine.py)
)
with context.begin_transaction():
    context.run_migrations()
