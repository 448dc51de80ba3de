"""Brings the database to the newest schema, making it first when the server does not have it. Run as a module.

A process of its own, so that the supervisor, which stays, does not carry the migration tool in memory.
"""

import os
import sys
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError

from agent_memory.migrations import upgrade


def prepare(database_url: str) -> None:
    """Makes and migrates the database; raises the driver's errors. Safe to call from several processes at once."""
    parts = urlsplit(database_url)
    try:
        psycopg.connect(database_url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise
        with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(parts.path.lstrip("/"))))
    upgrade(database_url)


if __name__ == "__main__":
    try:
        prepare(os.environ["DATABASE_URL"])
    except (psycopg.Error, SQLAlchemyError) as error:
        sys.exit(f"the database cannot be prepared: {' '.join(str(error).split())}")
