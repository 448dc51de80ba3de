"""Schema of the event log, step by step. `upgrade(url)` brings a database to the newest step."""

from agent_memory.migrations.upgrade import sqlalchemy_url, upgrade

__all__ = ["sqlalchemy_url", "upgrade"]
