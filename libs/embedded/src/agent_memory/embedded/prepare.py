"""Brings the database to the newest schema, making it first when the server does not have it. Run as a module.

A process of its own, so that the supervisor, which stays, does not carry the migration tool in memory.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

MAKING = 0x616D2D6D616B65
"""The advisory lock, in the database `postgres`, of who makes a database ("am-make")."""


class CannotPrepare(Exception):
    """The database is there, and this version cannot work with it."""


def prepare(database_url: str) -> str:
    """Makes and migrates the database. Safe to call from several processes at once. Returns the step at which it is, which may be a
    newer one than this version's that it works with all the same. Raises the driver's errors, CannotPrepare.
    """
    with made(database_url) as connection:
        if is_newest(connection):
            return last_step()
    return migrate(database_url)


def made(database_url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to the database, which is made empty when the server does not have it. Raises the driver's errors."""
    parts = urlsplit(database_url)
    try:
        return psycopg.connect(database_url, connect_timeout=10)
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise
        name = parts.path.lstrip("/")
        with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as admin:
            # One at a time: who comes second finds it made. The lock is this connection's, and goes with it.
            admin.execute("SELECT pg_advisory_lock(%s)", [MAKING])
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return psycopg.connect(database_url, connect_timeout=10)


def is_newest(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the last step has been applied. Nearly every start finds it so, and then need not load the migration tool (0.8 s)."""
    try:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except psycopg.errors.UndefinedTable:
        return False
    return found == [(last_step(),)]


def last_step() -> str:
    """Revision of the last migration: what its file's name begins with."""
    spec = find_spec("agent_memory.migrations")
    folders = spec.submodule_search_locations if spec else None
    return max(
        (path.name.partition("_")[0] for folder in folders or () for path in Path(folder, "versions").glob("[0-9]*.py")), default=""
    )


def migrate(database_url: str) -> str:
    """Applies every step that is missing, and returns at which it is; raises psycopg's error also where SQLAlchemy wrapped it."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - see is_newest

    from agent_memory.migrations import UnsupportedSchema, upgrade  # noqa: PLC0415

    try:
        return upgrade(database_url)
    except UnsupportedSchema as error:
        raise CannotPrepare(str(error)) from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


if __name__ == "__main__":
    try:
        prepare(os.environ["DATABASE_URL"])
    except (psycopg.Error, CannotPrepare) as error:
        sys.exit(f"the database cannot be prepared: {' '.join(str(error).split())}")
