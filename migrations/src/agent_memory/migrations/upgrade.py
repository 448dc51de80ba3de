"""Runs Alembic from an installed package, without an ini file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

LOCK_TIMEOUT_MS = 10_000
"""Whoever writes queues behind a step that waits for its table, so it does not wait for long."""
MIGRATION_LOCK = 0x616D_6D69
"""Advisory lock that lets one of several starting processes migrate while the others wait."""

TABLES = ("log_head", "events", "commands", "sessions", "snapshots", "claims", "completions", "tokens", "embeddings")
"""Every table that a step has ever made: what a backup holds. All their keys come from writers, there are no sequences."""


def sqlalchemy_url(database_url: str) -> str:
    """A plain `postgresql://` or `postgres://` URL in the form that makes SQLAlchemy use psycopg 3."""
    scheme, separator, rest = database_url.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg{separator}{rest}"
    return database_url


def upgrade(database_url: str, revision: str = "head", *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
    """Applies every step that is missing. Safe to call from several processes at once; raises the driver's errors.

    A step that gets no lock on a table in time fails, and nothing is changed: it may be tried again.
    """
    with migrating(database_url) as connection:
        # Only now: it would hold for the wait behind another process that migrates, too.
        connection.execute(text("SELECT set_config('lock_timeout', :most, true)"), {"most": f"{lock_timeout_ms}ms"})
        step_to(connection, revision)


@contextmanager
def migrating(database_url: str) -> Iterator[Connection]:
    """One transaction in which nobody else changes the schema; it holds whole or not at all. Raises the driver's errors."""
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            yield connection
    finally:
        engine.dispose()


def step_to(connection: Connection, revision: str) -> None:
    """Applies the steps up to a revision that are missing; "base" takes every step back."""
    config = _config()
    config.attributes["connection"] = connection
    (command.downgrade if revision == "base" else command.upgrade)(config, revision)


def revisions() -> frozenset[str]:
    """Every step that this version knows."""
    return frozenset(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
