"""The append-only log in Postgres, its relay and its checkpoints."""
