"""Runs Alembic from an installed package, without an ini file."""

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

FOLDERS: tuple[Path, ...] = (Path(__file__).parent / "versions",)
"""Where the steps lie."""
LOCK_TIMEOUT_MS = 10_000
"""Whoever writes queues behind a step that waits for its table, so it does not wait for long."""
MIGRATION_LOCK = 0x616D_6D69
"""Advisory lock that lets one of several starting processes migrate while the others wait."""
LOOK_SECONDS = 0.1

TABLES = ("log_head", "events", "commands", "sessions", "snapshots", "claims", "completions", "tokens", "embeddings")
"""Every table that a step has ever made: what a backup holds. All their keys come from writers, there are no sequences."""


class UnsupportedSchema(Exception):
    """The database was migrated by a newer version, to a schema that this one cannot work with."""


def sqlalchemy_url(database_url: str) -> str:
    """A plain `postgresql://` or `postgres://` URL in the form that makes SQLAlchemy use psycopg 3."""
    scheme, separator, rest = database_url.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg{separator}{rest}"
    return database_url


def upgrade(database_url: str, revision: str = "head", *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> str:
    """Applies every step that is missing, each in a transaction of its own; may be interrupted, and run again.

    Safe to call from several processes at once. A step that gets no lock on a table in time fails, and may be tried again.
    Returns the step at which the database is: a newer one than this version knows is left alone where it only adds to what this
    version needs. Raises UnsupportedSchema where it does not, and the driver's errors.
    """
    with _alone(database_url) as connection:
        connection.execute(text("SELECT set_config('lock_timeout', :most, false)"), {"most": f"{lock_timeout_ms}ms"})
        connection.commit()
        if not _is_newer(connection):
            step_to(connection, revision)
        return current(connection)


@contextmanager
def migrating(database_url: str) -> Iterator[Connection]:
    """One transaction in which nobody else changes the schema; it holds whole or not at all. Raises the driver's errors."""
    with _alone(database_url) as connection, connection.begin():
        yield connection


def step_to(connection: Connection, revision: str) -> None:
    """Applies the steps up to a revision that are missing; "base" takes every step back.

    Within a transaction of the caller they are part of it: then an index is made while writers of its table wait.
    """
    config = _config()
    config.attributes["connection"] = connection
    (command.downgrade if revision == "base" else command.upgrade)(config, revision)


def revisions() -> frozenset[str]:
    """Every step that this version knows."""
    return frozenset(step.revision for step in _steps().walk_revisions())


def sql_of(revision: str) -> str:
    """The statements of one step, as they run on a database that others use meanwhile."""
    step = _steps().get_revision(revision)
    config = _config(io.StringIO())
    command.upgrade(config, f"{step.down_revision or 'base'}:{revision}", sql=True)
    assert isinstance(config.output_buffer, io.StringIO)
    return config.output_buffer.getvalue()


def current(connection: Connection) -> str:
    """The step at which a database is; empty before the first."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def _is_newer(connection: Connection) -> bool:
    """Whether the database is at a newer step than this version knows, which it can work with. Raises UnsupportedSchema."""
    found, known = current(connection), revisions()
    if not found or found in known:
        connection.commit()
        return False
    note = connection.execute(text("SELECT obj_description('alembic_version'::regclass)")).scalar() or ""
    connection.commit()
    oldest = note.removeprefix(OLDEST)
    if oldest in known:
        return True
    needed = f"versions from schema {oldest} on" if note.startswith(OLDEST) else "another version"
    raise UnsupportedSchema(
        f"the database is at schema {found}, which {needed} can work with; this version knows {max(known)}:"
        " start a newer version, or restore a backup from before the upgrade"
    )


OLDEST = "the oldest schema whose programs work with this one: "
"""Begins the comment of `alembic_version`, which every step sets: so a program that was rolled back knows whether it may start."""


@contextmanager
def _alone(database_url: str) -> Iterator[Connection]:
    """A connection outside of a transaction. While it is open, nobody else has one of these."""
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.connect() as connection:
            # Asked again and again, each time in a transaction that ends: whoever waits within one holds a snapshot, and whoever
            # makes an index concurrently waits for it. The lock is the session's, because steps commit.
            while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}).scalar():
                connection.rollback()
                time.sleep(LOOK_SECONDS)
            connection.rollback()
            yield connection
    finally:
        engine.dispose()


def _steps() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, FOLDERS)))
    return config
