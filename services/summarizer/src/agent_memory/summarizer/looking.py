"""Events of the log into what is to be done: messages to read, documents to shorten, memories to look at closer."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import (
    EventRecorded,
    MemoryEdited,
    MemoryForgotten,
    MemoryStored,
    MessagesRestored,
    WorkingMemoryReplaced,
)
from agent_memory.eventlog.rows import StoredEvent
from agent_memory.readmodels import enrichment, session_work
from agent_memory.readmodels.overflow import threshold
from agent_memory.readmodels.session_work import Overfull, Shown, Step
from agent_memory.readmodels.unfinished import Unfinished, asks_about, evolve
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.documents import Documents
from agent_memory.summarizer.handlers import ATTEMPTS
from agent_memory.summarizer.handlers import TYPES as SESSION_TYPES

MEMORY_TYPES: frozenset[str] = frozenset(kind.__name__ for kind in (MemoryStored, MemoryEdited, MemoryForgotten))
HOLDING_TEXT = tuple(kind.__name__ for kind in (EventRecorded, WorkingMemoryReplaced, MessagesRestored))
LOOKS, LOOK_SECONDS = 10, 0.02
"""The view of a session is written right after its events are committed: so long it may be behind what the bus brings."""

__all__ = ["MEMORY_TYPES", "SESSION_TYPES", "KeepEnrichment", "KeepSessionWork"]

Row = EventEnvelope | StoredEvent


class Log(Protocol):
    """What is asked of the log."""

    async def stream(self, stream: str) -> list[StoredEvent]: ...
    async def sizes(self, streams: Sequence[str], types: Sequence[str]) -> dict[str, int]: ...


class KeepSessionWork:
    """Projection SESSION_WORK. Idempotent by version: a session's state moves on only from the version before, read from the log
    itself when the bus brings a later one first; a look at a document never undoes a later one.

    `share`: of the limit, beyond which a document is too long. `found`: called when work may have come.
    """

    def __init__(
        self, redis: Redis, log: Log, counter: TokenCounter, share: float, found: Callable[[], None] = lambda: None
    ) -> None:
        self._redis = redis
        self._log = log
        self._counter = counter
        self._share = share
        self._found = found
        self._documents = Documents(redis, log)

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Raises Unavailable when others keep moving the same sessions or the log is away, and redis.RedisError."""
        sessions: dict[str, list[EventEnvelope]] = defaultdict(list)
        for envelope in sorted(batch, key=lambda envelope: envelope.version):
            sessions[envelope.stream].append(envelope)
        moving: Mapping[str, Sequence[EventEnvelope]] = sessions
        for _ in range(ATTEMPTS):
            moving = await self._attempt(moving)
            if not moving:
                break
        else:
            raise Unavailable(f"{len(moving)} sessions were moved on by others at the same time")
        await self._examine(list(sessions))
        self._found()

    async def _attempt(self, sessions: Mapping[str, Sequence[EventEnvelope]]) -> dict[str, Sequence[EventEnvelope]]:
        """Returns the sessions that somebody else moved on meanwhile."""
        decoded = {stream: [decode_event(row.type, row.data) for row in rows] for stream, rows in sessions.items()}
        known = await session_work.states(self._redis, [(stream, asks_about(events)) for stream, events in decoded.items()])
        steps = []
        for (stream, rows), before in zip(sessions.items(), known, strict=True):
            step = await self._step(stream, rows, before)
            if step.after.version > step.before.version:
                steps.append(step)
        taken = await session_work.advance(self._redis, steps)
        return {step.stream: sessions[step.stream] for step, done in zip(steps, taken, strict=True) if not done}

    async def _step(self, stream: str, given: Sequence[EventEnvelope], before: Unfinished) -> Step:
        rows: Sequence[Row] = [row for row in given if row.version > before.version]
        if rows and [row.version for row in rows] != list(range(before.version + 1, rows[-1].version + 1)):
            rows = [row for row in await self._log.stream(stream) if row.version > before.version]
            before = await session_work.state(self._redis, stream)
        after = replace(before, unread=dict(before.unread), taken_back=dict(before.taken_back))
        for row in rows:
            if row.version == after.version + 1:
                evolve(after, decode_event(row.type, row.data), row.recorded_ms)
        return Step(stream=stream, before=before, after=after)

    async def _examine(self, streams: Sequence[str]) -> None:
        states = await session_work.states(self._redis, [(stream, set()) for stream in streams])
        shown = await self._shown({stream: state.version for stream, state in zip(streams, states, strict=True)})
        unseen = [stream for stream in streams if shown[stream] is None]
        sizes = await self._log.sizes(unseen, HOLDING_TEXT) if unseen else {}
        found = [await self._look(stream, state, shown[stream], sizes) for stream, state in zip(streams, states, strict=True)]
        await session_work.examined(self._redis, found)

    async def _shown(self, versions: dict[str, int]) -> dict[str, Shown | None]:
        """What views say of documents that have come so far; None for one that is not there."""
        shown: dict[str, Shown | None] = {}
        for _ in range(LOOKS):
            missing = [stream for stream in versions if stream not in shown]
            for stream, view in zip(missing, await session_work.shown(self._redis, missing), strict=True):
                if view is None or view.version >= versions[stream]:
                    shown[stream] = view
            if len(shown) == len(versions):
                break
            await asyncio.sleep(LOOK_SECONDS)
        return {stream: shown.get(stream) for stream in versions}

    async def _look(
        self, stream: str, state: Unfinished, view: Shown | None, sizes: Mapping[str, int]
    ) -> tuple[str, int, Overfull | None]:
        size = sizes.get(stream, 0) if view is None else view.size
        version = state.version if view is None else view.version
        # No text has more tokens than bytes: most documents are told to be short without being read.
        if (view is not None and view.gone) or size <= threshold(state.limit, self._share):
            return stream, version, None
        document = await self._documents.read(stream, at_least=state.version)
        if document is None:
            return stream, version, None
        measured = partial(session_work.excess, version=document.version, expires_ms=document.expires_ms)
        found = await asyncio.to_thread(measured, document.messages, state.limit, self._share, self._counter.count)
        return stream, document.version, found


class KeepEnrichment:
    """Projection ENRICHMENT. Idempotent by version: what is known of a memory is only replaced by what is newer."""

    def __init__(self, redis: Redis, found: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._found = found

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Raises redis.RedisError; the batch may then be given again."""
        ordered = sorted(batch, key=lambda envelope: envelope.version)
        changes = [enrichment.project(one.stream, one.version, decode_event(one.type, one.data)) for one in ordered]
        await enrichment.note(self._redis, [change for change in changes if change is not None])
        self._found()
