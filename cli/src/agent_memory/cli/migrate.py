"""`agent-memory migrate`: the database as this version wants it, before any service of this version starts."""

import os

import psycopg

from agent_memory.cli.output import CommandError, note
from agent_memory.embedded.prepare import CannotPrepare, last_step, prepare
from agent_memory.runtime.settings import load


def migrate() -> None:
    """Make the database of DATABASE_URL when it is not there, and apply every step of the schema that is missing.

    Safe to run at any time, also from several places at once, and again after it was interrupted. `up` does this by itself. A
    schema that a newer version has made is left alone where this version can work with it, and refused where it cannot.
    """
    load(os.environ)
    if not os.environ.get("DATABASE_URL", "").strip():
        raise CommandError(
            "DATABASE_URL is not set",
            hint="set it to postgresql://user:password@host:5432/agent_memory; on this machine `agent-memory up` migrates",
        )
    try:
        found = prepare(os.environ["DATABASE_URL"])
    except (psycopg.Error, CannotPrepare) as error:
        raise CommandError(f"the database cannot be prepared: {' '.join(str(error).split())}") from None
    note(
        "the database is prepared"
        if found == last_step()
        else f"the database is at schema {found}, newer than {last_step()}: it will do"
    )
