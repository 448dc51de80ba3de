"""Events of the log into the segments of their sessions."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import (
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import TimelineEvent
from agent_memory.readmodels import segments
from agent_memory.readmodels.segments import Advance, Segmentation
from agent_memory.summarizer.domain import evolve_all, follows

TYPES: frozenset[str] = frozenset(
    kind.__name__
    for kind in (
        EventRecorded,
        WorkingMemoryReplaced,
        MessagesRestored,
        WorkingMemoryDeleted,
        WorkingMemorySummarized,
        MemoriesExtracted,
    )
)
"""All that stands in a session's stream: the others say nothing, but without them its versions would seem to have gaps."""

ATTEMPTS = 5


class Row(Protocol):
    """One version of a stream, as the log keeps it or the bus brings it."""

    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> bytes | msgspec.Raw: ...


History = Callable[[str], Awaitable[Sequence[Row]]]
"""All versions of a log stream, oldest first (`LogReader.stream`)."""


class KeepSegments:
    """Projection SEGMENTS. Idempotent by version: a session's state moves on only from the version before, read from the log
    itself when the bus brings a later one first."""

    def __init__(self, redis: Redis, history: History) -> None:
        self._redis = redis
        self._history = history

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Move each session of the batch on. Raises Unavailable when others keep moving the same sessions or the log is away,
        and redis.RedisError; the batch may then be given again."""
        sessions: dict[str, list[EventEnvelope]] = defaultdict(list)
        for envelope in sorted(batch, key=lambda envelope: envelope.version):
            sessions[envelope.stream].append(envelope)
        for _ in range(ATTEMPTS):
            sessions = await self._attempt(sessions)
            if not sessions:
                return
        raise Unavailable(f"{len(sessions)} sessions were moved on by others at the same time")

    async def _attempt(self, sessions: dict[str, list[EventEnvelope]]) -> dict[str, list[EventEnvelope]]:
        """Returns the sessions that somebody else moved on meanwhile."""
        known = await segments.states(self._redis, list(sessions))
        steps: dict[str, Advance] = {}
        for (stream, rows), state in zip(sessions.items(), known, strict=True):
            after, closed = evolve_all(state, await self._versions(stream, rows, state))
            if after.version > state.version:
                steps[stream] = Advance(stream=stream, expected_version=state.version, state=after, closed=closed)
        taken = await segments.advance(self._redis, list(steps.values()))
        return {stream: sessions[stream] for stream, done in zip(steps, taken, strict=True) if not done}

    async def _versions(self, stream: str, rows: Sequence[Row], state: Segmentation) -> list[tuple[int, TimelineEvent | None]]:
        if not follows(state, [row.version for row in rows]):
            rows = await self._history(stream)
        return [(row.version, _said(row)) for row in rows if row.version > state.version]


def _said(row: Row) -> TimelineEvent | None:
    if row.type != EventRecorded.__name__:
        return None
    event = decode_event(row.type, row.data)
    return event.event if isinstance(event, EventRecorded) else None
