"""Runs Alembic from an installed package, without an ini file."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

MIGRATION_LOCK = 0x616D_6D69
"""Advisory lock that lets one of several starting processes migrate while the others wait."""


def sqlalchemy_url(database_url: str) -> str:
    """A plain `postgresql://` or `postgres://` URL in the form that makes SQLAlchemy use psycopg 3."""
    scheme, separator, rest = database_url.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg{separator}{rest}"
    return database_url


def upgrade(database_url: str, revision: str = "head") -> None:
    """Applies every step that is missing. Safe to call from several processes at once; raises the driver's errors."""
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()
