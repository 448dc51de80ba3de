"""Schema of the event log, step by step. `upgrade(url)` brings a database to the newest step."""

from agent_memory.migrations.upgrade import TABLES, migrating, revisions, sqlalchemy_url, step_to, upgrade

__all__ = ["TABLES", "migrating", "revisions", "sqlalchemy_url", "step_to", "upgrade"]
