"""The append-only log in Postgres, and its relay."""
