"""What was said around some words: events of a session by time."""

from alembic import op

from agent_memory.migrations.steps import add_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
oldest = "0001"


def upgrade() -> None:
    add_index("events_by_session_time", "events (stream, timestamp_ms, event_id) WHERE event_id IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX events_by_session_time")
