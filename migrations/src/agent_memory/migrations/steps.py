"""What steps are made of, where a plain statement would make those who work meanwhile wait."""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import op
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script

from agent_memory.migrations.upgrade import OLDEST

LEFT_BEHIND = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{name}') AND NOT indisvalid)"


def add_index(name: str, on: str, *, unique: bool = False) -> None:
    """Makes an index on a table that is in use: writers go on meanwhile. It has to be the last statement of its step.

    Runs outside of a transaction, so it may be interrupted: then Postgres leaves an index that is not valid, which is made anew
    when the step is run again. Within a transaction of the caller (a restore, where nobody writes) it is made in one go.
    """
    create = f"CREATE {'UNIQUE ' if unique else ''}INDEX"
    context = op.get_context()
    if not context.as_sql and context.config is not None and context.config.attributes["whole"]:
        op.execute(f"{create} {name} ON {on}")
        return
    with context.autocommit_block():
        if context.as_sql:
            op.execute(f"{create} CONCURRENTLY IF NOT EXISTS {name} ON {on}")
            return
        # A connection of its own: when that one breaks, its error is what is told.
        with op.get_bind().engine.execution_options(isolation_level="AUTOCOMMIT").connect() as apart:
            # It waits for older transactions to end (a backup's, say), and nobody queues behind it: no reason to give up.
            apart.exec_driver_sql("SET lock_timeout = 0")
            if apart.exec_driver_sql(LEFT_BEHIND.format(name=name)).scalar():
                apart.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
            apart.exec_driver_sql(f"{create} CONCURRENTLY IF NOT EXISTS {name} ON {on}")


def note_oldest(ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], run_args: Mapping[str, Any]) -> None:
    """Writes down, together with a step, the oldest schema whose programs work with it: what the step calls `oldest`."""
    if step.is_upgrade and isinstance(step.up_revision, Script):
        op.execute(f"COMMENT ON TABLE alembic_version IS '{OLDEST}{step.up_revision.module.oldest}'")
