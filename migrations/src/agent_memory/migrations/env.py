"""Alembic's entry: runs on the connection that `upgrade` (or the alembic command line with a url) hands over."""

from alembic import context
from sqlalchemy import create_engine

from agent_memory.migrations.steps import note_oldest

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", transaction_per_migration=True)
else:
    connection = context.config.attributes.get("connection")
    if connection is None:
        connection = create_engine(context.config.get_main_option("sqlalchemy.url") or "").connect()
    context.config.attributes["whole"] = connection.in_transaction()
    context.configure(connection=connection, transaction_per_migration=True, on_version_apply=note_oldest)
with context.begin_transaction():
    context.run_migrations()
