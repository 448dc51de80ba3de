"""What the tools answer, beside the answers of the client that they pass on."""

from datetime import datetime
from typing import Any

import msgspec

from agent_memory.client.answers import EventHit, Memory, MemoryHit, Prompt, WorkingMemory
from agent_memory.client.toc import Event, Grip, TimelineMatch, TocNode


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The time, as ISO 8601 in UTC and as unix seconds."""

    iso_utc: str
    unix_ts: int


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Done, and durably so."""

    status: str


class Created(Ack, frozen=True, kw_only=True):
    """Stored under these ids, in the order given; what was known already keeps the id it is known by."""

    memory_ids: list[str]


class FoundMemories(msgspec.Struct, frozen=True, kw_only=True):
    """Memories, best first. `total` counts all that match; `next_offset` continues. `note`: what may be missing."""

    memories: list[MemoryHit]
    total: int
    next_offset: int | None = None
    note: str | None = None


class PromptMade(Prompt, frozen=True, kw_only=True):
    """A prompt. `note`: what may be missing."""

    note: str | None = None


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """How long-term memories are drawn from a session."""

    strategy: str = "discrete"
    config: dict[str, Any] = {}


class Session(WorkingMemory, frozen=True, kw_only=True):
    """A session's working memory. `unsaved`: there is none under that id yet."""

    memories: list[Memory] = msgspec.field(default_factory=list)  # type: ignore[assignment]
    long_term_memory_strategy: Strategy = Strategy()  # type: ignore[assignment]
    unsaved: bool = False


def session_of(found: WorkingMemory) -> Session:
    """A session with its memories as those of everywhere else."""
    return msgspec.convert(msgspec.to_builtins(found), Session)


def unsaved_session(session_id: str, namespace: str | None, user_id: str | None, now: datetime) -> Session:
    """What stands for a session that nobody wrote to. It has times, as clients that know the schema of old expect of any."""
    return Session(
        session_id=session_id, namespace=namespace, user_id=user_id, created_at=now, updated_at=now, last_accessed=now, unsaved=True
    )


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """`created` is false when the event was recorded before."""

    event_id: str
    created: bool


class FoundEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What was said, best first; where kinds were named, `matches` instead: nodes, grips and events in one order. `total` counts
    all that match; `next_offset` continues. `note`: what may be missing.
    """

    events: list[EventHit]
    matches: list[TimelineMatch] = []
    total: int
    next_offset: int | None = None
    note: str | None = None


class Browsed(msgspec.Struct, frozen=True, kw_only=True):
    """A node, and a page of what stands under it; without a node, the years. Times are UTC milliseconds. `note`: what may be
    missing.
    """

    node: TocNode | None
    children: list[TocNode]
    continuation_token: str | None = None
    has_more: bool = False
    note: str | None = None


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """The words that a bullet comes from, and what was said around them. `note`: what may be missing."""

    grip: Grip
    events_before: list[Event]
    excerpt_events: list[Event]
    events_after: list[Event]
    note: str | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a memory, the oldest first; each change with what caused it and the memory as it was after."""

    memory_id: str
    events: list[dict[str, Any]]
