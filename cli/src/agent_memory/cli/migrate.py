"""`agent-memory migrate`: the database as this version wants it, before any service of this version starts."""

import os

import psycopg

from agent_memory.cli.output import CommandError, note
from agent_memory.embedded.prepare import prepare
from agent_memory.runtime.settings import load


def migrate() -> None:
    """Make the database of DATABASE_URL when it is not there, and apply every step of the schema that is missing.

    Safe to run at any time, also from several places at once. `up` does this by itself.
    """
    load(os.environ)
    if not os.environ.get("DATABASE_URL", "").strip():
        raise CommandError("DATABASE_URL is not set", hint="set it to postgresql://user:password@host:5432/agent_memory")
    try:
        prepare(os.environ["DATABASE_URL"])
    except psycopg.Error as error:
        raise CommandError(f"the database cannot be prepared: {' '.join(str(error).split())}") from None
    note("the database is prepared")
