"""Alembic's entry: runs on the connection that `upgrade` (or the alembic command line with a url) hands over."""

from alembic import context
from sqlalchemy import create_engine

connection = context.config.attributes.get("connection")
if connection is None:
    connection = create_engine(context.config.get_main_option("sqlalchemy.url") or "").connect()

context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
