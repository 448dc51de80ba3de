"""What is written to the log in one transaction, and what is read back from it."""

from typing import Literal

import msgspec

from agent_memory.contracts.records import MemoryRecord, Scope


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be appended at `version` of `stream` (the first version is 1). `data` and `metadata` are JSON.

    `event_id` and `timestamp_ms` are set for timeline events: they make it unique in its scope and findable by time.
    """

    stream: str
    version: int
    type: str
    scope: Scope
    data: bytes
    metadata: bytes = b"{}"
    event_id: str | None = None
    timestamp_ms: int | None = None


class CommandOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command was answered, kept so that it takes effect once. `outcome` is the reply as JSON; `position` counts the
    events of the batch up to and with the command's last.
    """

    id: str
    tenant: str
    outcome: bytes
    idempotency_key: str | None = None
    fingerprint: str = ""
    position: int = 0


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session stands. `alive`: it has a working memory; `expires_ms`: until when, UTC milliseconds. `first_event`: which
    event of the batch is its first; it orders listings, and counts for new sessions alone.
    """

    stream: str
    scope: Scope
    session_id: str
    version: int
    alive: bool
    expires_ms: int | None = None
    first_event: int = 1


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a stream at a version."""

    stream: str
    version: int
    state: bytes


class ClaimChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to the claim of a memory on a content, of which each tenant has at most one.

    `insert`: it must be free, else the whole batch fails with Duplicate; `offer`: taken if it is free; `move`: from `held_by` to
    this memory; `delete`: given up by this memory; `drop`: this memory gives up all it has.
    """

    kind: Literal["insert", "offer", "move", "delete", "drop"]
    tenant: str
    memory_id: str
    memory_hash: str = ""
    held_by: str = ""


class Batch(msgspec.Struct, kw_only=True):
    """Everything that one transaction writes: all of it or nothing."""

    events: list[NewEvent] = []
    commands: list[CommandOutcome] = []
    sessions: list[SessionRow] = []
    snapshots: list[Snapshot] = []
    claims: list[ClaimChange] = []


class StoredEvent(msgspec.Struct, frozen=True):
    """One row of a stream, as decisions read it."""

    stream: str
    version: int
    type: str
    data: bytes
    position: int
    recorded_ms: int


class KnownMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as it is: version of its stream, the commands that stored it, and those that took merges of it back."""

    record: MemoryRecord
    version: int
    position: int
    stored_by: frozenset[str] = frozenset()
    parted_by: frozenset[str] = frozenset()


class Duplicate(Exception):
    """An event id, stream version, command id, idempotency key or claim is in the log already; nothing of the batch was written."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"already recorded: {constraint}")
        self.constraint = constraint


class Unwritable(Exception):
    """Postgres refuses a value of the batch; nothing of it was written. Raised for one bad value, never for an outage."""


class LogUnavailable(Exception):
    """Postgres cannot be reached or went away. Whether the batch was written is not known."""
