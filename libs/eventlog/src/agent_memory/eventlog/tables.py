"""The tables of the log, as SQLAlchemy knows them. Made by the migrations; a test holds the two against each other."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSON

metadata = MetaData()

log_head = Table(
    "log_head",
    metadata,
    Column("only_row", Boolean, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("scope", Text),
    Column("event_id", Text),
    Column("timestamp_ms", BigInteger),
    Column("data", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("fingerprint", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("outcome", JSON, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("first_position", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("alive", Boolean, nullable=False),
    Column("expires_ms", BigInteger),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("memory_hash", Text, primary_key=True),
    Column("memory_id", Text, nullable=False),
)

completions = Table(
    "completions",
    metadata,
    Column("request_hash", LargeBinary, primary_key=True),
    Column("answer", JSON, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("namespaces", JSON),
    Column("user_id", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("model", Text, primary_key=True),
    Column("content_hash", LargeBinary, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)
