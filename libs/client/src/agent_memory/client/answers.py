"""What the operations give back. Unknown fields of an answer are ignored, so a newer server is understood."""

from datetime import datetime
from typing import Any

import msgspec

from agent_memory.client.toc import TimelineMatch
from agent_memory.contracts.records import Message, TimelineEvent


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class EventOutcome(Answered, frozen=True, kw_only=True):
    """One event of a request. `created` is False when the timeline knew it already."""

    event_id: str
    created: bool


class Recorded(Answered, frozen=True, kw_only=True):
    """One outcome per event, in the order given. `created` counts the new ones; `position` is where the log holds the last."""

    events: list[EventOutcome]
    created: int
    position: int


class RecordedEvent(TimelineEvent, frozen=True, kw_only=True):
    """An event as the timeline keeps it, with its log position."""

    position: int = 0
    namespace: str | None = None
    user_id: str | None = None


class EventPage(Answered, frozen=True, kw_only=True):
    """Events in order of time. `next_cursor` continues; None: this was the last page."""

    events: list[RecordedEvent]
    next_cursor: str | None = None

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        return self.next_cursor is not None


class EventHit(RecordedEvent, frozen=True, kw_only=True):
    """A found event. `score` is 0 to 1, higher is closer."""

    score: float | None = None
    score_type: str | None = None


class EventHits(Answered, frozen=True, kw_only=True):
    """Found events, best first; where kinds were named, `matches` instead: nodes, grips and events in one order. `total` counts all
    that match; `next_offset` continues, None: no more.
    """

    events: list[EventHit] = []
    total: int
    next_offset: int | None = None
    matches: list[TimelineMatch] = []


class WorkingMemory(Answered, frozen=True, kw_only=True):
    """The document of a session. `position` is set on the answer to a write."""

    session_id: str
    messages: list[Message] = []
    memories: list[dict[str, Any]] = []
    data: dict[str, Any] | None = None
    context: str | None = None
    user_id: str | None = None
    namespace: str | None = None
    tokens: int = 0
    ttl_seconds: int | None = None
    long_term_memory_strategy: dict[str, Any] = {}
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_accessed: datetime | None = None
    context_percentage_total_used: float | None = None
    context_percentage_until_summarization: float | None = None
    position: int = 0


class SessionPage(Answered, frozen=True, kw_only=True):
    """Ids of sessions that have a working memory, newest change first; `total` counts all."""

    sessions: list[str]
    total: int


class Appended(Answered, frozen=True, kw_only=True):
    """`created[i]` tells whether message i is new; `version` is that of the session's document."""

    session_id: str
    created: list[bool]
    version: int = 0
    position: int = 0


class Written(Answered, frozen=True, kw_only=True):
    """Done. `status` is the server's word, `position` where the log holds the effect (0 when there was none)."""

    status: str = "ok"
    position: int = 0


class Stored(Written, frozen=True, kw_only=True):
    """Stored. `memory_ids`, where one is kept under another id than the one that was given (another memory says the same): the ids
    of all, in their order; otherwise empty.
    """

    memory_ids: list[str] = []


class Deleted(Answered, frozen=True, kw_only=True):
    """How many of the given ids existed and are gone now."""

    count: int
    position: int = 0


class Memory(Answered, frozen=True, kw_only=True):
    """One long-term memory. `extracted_from` names the events that it came from."""

    id: str
    text: str
    session_id: str | None = None
    user_id: str | None = None
    namespace: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_accessed: datetime | None = None
    persisted_at: datetime | None = None
    event_date: datetime | None = None
    pinned: bool = False
    access_count: int = 0
    topics: list[str] | None = None
    entities: list[str] | None = None
    memory_type: str = "message"
    memory_hash: str | None = None
    discrete_memory_extracted: str = "f"
    extracted_from: list[str] | None = None
    extraction_strategy: str = "discrete"
    extraction_strategy_config: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class MemoryHit(Memory, frozen=True, kw_only=True):
    """A found memory. `dist` is the cosine distance (semantic) or 1 - score; `score` is 0 to 1, None in a listing."""

    dist: float = 0.0
    score: float | None = None
    score_type: str | None = None


class MemoryHits(Answered, frozen=True, kw_only=True):
    """Found memories, best first. `total` counts all that match; `next_offset` continues, None: no more."""

    memories: list[MemoryHit]
    total: int
    next_offset: int | None = None


class Prompt(Answered, frozen=True, kw_only=True):
    """Messages for a model, in order (`role`, `content` with `type` and `text`), and the memories among them; None: not wanted."""

    messages: list[dict[str, Any]]
    long_term_memories: list[MemoryHit] | None = None


class Compacted(Answered, frozen=True, kw_only=True):
    """Memories that said the same are one now. `merged` counts those that became part of others."""

    status: str
    merged: int = 0
    position: int = 0


class Forgotten(Answered, frozen=True, kw_only=True):
    """What a policy let go of, out of `scanned` memories; after a dry run, what it would let go of."""

    scanned: int
    deleted: int
    deleted_ids: list[str]
    dry_run: bool
    position: int = 0


class MemoryHistory(Answered, frozen=True, kw_only=True):
    """What happened to a memory, the oldest first, each as the server tells it: what, when, by which command, with what effect."""

    memory_id: str
    events: list[dict[str, Any]]


class Health(Answered, frozen=True, kw_only=True):
    """The server's clock, UTC milliseconds."""

    now: float


class Identity(Answered, frozen=True, kw_only=True):
    """Whom a credential stands for. `namespaces` and `user_id`: what it is bound to; None: nothing."""

    subject: str
    tenant: str
    namespaces: list[str] | None = None
    user_id: str | None = None
    permissions: list[str] = []


class Readiness(Answered, frozen=True, kw_only=True):
    """Whether every part works, and the state of each."""

    ready: bool
    parts: dict[str, Any] = {}


class Projection(Answered, frozen=True, kw_only=True):
    """How far a view has come: `lag` is `head - position`, in log positions.

    `waiting`: events of a newer version, passed over until a replica that can read them runs.
    """

    projection: str
    service: str = ""
    position: int = 0
    head: int = 0
    lag: int = 0
    indexed: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    waiting: int = 0


class Status(Answered, frozen=True, kw_only=True):
    """Every projection, and the last position of the log."""

    projections: list[Projection]
    head: int = 0
