"""The event log and the query tables that commit with it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
oldest = "0001"

STATEMENTS = (
    # One row. Appending updates it, so writers queue on its row lock until they commit: positions are assigned in commit
    # order and without gaps (a rollback gives its numbers back). A reader can never see 7 before 6.
    """
    CREATE TABLE log_head (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        position bigint NOT NULL
    ) WITH (fillfactor = 10)
    """,
    "INSERT INTO log_head (position) VALUES (0)",
    # Text sorts by bytes (COLLATE "C"): the order of a page never depends on the server's language.
    # `json`, not `jsonb`: what was written is read back byte for byte. `scope`, `event_id` and `timestamp_ms` are set for
    # timeline events alone; they live here, and not in a table of their own, so that an event is one row and one write.
    """
    CREATE TABLE events (
        position bigint PRIMARY KEY,
        stream text COLLATE "C" NOT NULL,
        version integer NOT NULL,
        type text COLLATE "C" NOT NULL,
        tenant text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        scope text COLLATE "C",
        event_id text COLLATE "C",
        timestamp_ms bigint,
        data json NOT NULL,
        metadata json NOT NULL,
        recorded_ms bigint NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX events_stream_version ON events (stream, version)",
    "CREATE UNIQUE INDEX events_once ON events (scope, event_id) WHERE event_id IS NOT NULL",
    "CREATE INDEX events_by_time ON events (scope, timestamp_ms, event_id) WHERE event_id IS NOT NULL",
    # What a command led to: the answer to a lost reply and to a repeated idempotency key.
    """
    CREATE TABLE commands (
        id text COLLATE "C" PRIMARY KEY,
        tenant text COLLATE "C" NOT NULL,
        idempotency_key text COLLATE "C",
        fingerprint text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        outcome json NOT NULL,
        recorded_ms bigint NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX commands_idempotency ON commands (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL",
    # Which sessions exist and at which version. No index on what changes with every write, so updates stay in the page.
    """
    CREATE TABLE sessions (
        stream text COLLATE "C" PRIMARY KEY,
        tenant text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        session_id text COLLATE "C" NOT NULL,
        first_position bigint NOT NULL,
        version integer NOT NULL,
        alive boolean NOT NULL,
        expires_ms bigint
    ) WITH (fillfactor = 70)
    """,
    "CREATE INDEX sessions_by_tenant ON sessions (tenant, first_position)",
    "CREATE INDEX sessions_by_owner ON sessions (tenant, namespace, user_id, first_position)",
    "CREATE INDEX sessions_by_id ON sessions (tenant, session_id)",
    """
    CREATE TABLE snapshots (
        stream text COLLATE "C" PRIMARY KEY,
        version integer NOT NULL,
        state bytea NOT NULL
    )
    """,
    # Which memory stands for a content: one fact becomes one memory, however many say it at once.
    """
    CREATE TABLE claims (
        tenant text COLLATE "C" NOT NULL,
        memory_hash text COLLATE "C" NOT NULL,
        memory_id text COLLATE "C" NOT NULL,
        PRIMARY KEY (tenant, memory_hash)
    )
    """,
    "CREATE INDEX claims_by_memory ON claims (tenant, memory_id)",
    # What models answered, by what they were asked: kept before anything is made of it, so that it is never paid for twice.
    """
    CREATE TABLE completions (
        request_hash bytea PRIMARY KEY,
        answer json NOT NULL,
        recorded_ms bigint NOT NULL
    )
    """,
    # Who may come in. `id` is found in the token itself, so that one read finds the hash of it.
    """
    CREATE TABLE tokens (
        id text COLLATE "C" PRIMARY KEY,
        hash text COLLATE "C" NOT NULL,
        description text NOT NULL,
        scopes json NOT NULL,
        tenant text COLLATE "C" NOT NULL,
        namespaces json,
        user_id text COLLATE "C",
        created_ms bigint NOT NULL,
        expires_ms bigint
    )
    """,
    """
    CREATE TABLE embeddings (
        model text COLLATE "C" NOT NULL,
        content_hash bytea NOT NULL,
        vector bytea NOT NULL,
        PRIMARY KEY (model, content_hash)
    )
    """,
    # Vectors are not worth compressing: random floats do not shrink.
    "ALTER TABLE embeddings ALTER COLUMN vector SET STORAGE EXTERNAL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("embeddings", "tokens", "completions", "claims", "snapshots", "sessions", "commands", "events", "log_head"):
        op.execute(f"DROP TABLE {table}")
