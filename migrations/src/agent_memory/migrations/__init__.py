"""Schema of the event log, step by step. `upgrade(url)` brings a database to the newest step."""

from agent_memory.migrations.upgrade import (
    TABLES,
    UnsupportedSchema,
    migrating,
    revisions,
    sql_of,
    sqlalchemy_url,
    step_to,
    upgrade,
)

__all__ = ["TABLES", "UnsupportedSchema", "migrating", "revisions", "sql_of", "sqlalchemy_url", "step_to", "upgrade"]
