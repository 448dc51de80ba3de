"""What was said around some words: events of a session by time."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX events_by_session_time ON events (stream, timestamp_ms, event_id) WHERE event_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX events_by_session_time")
