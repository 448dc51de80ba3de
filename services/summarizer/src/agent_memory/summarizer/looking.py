"""Events of the log into what is to be done: messages to read, documents to shorten, memories to look at closer."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import (
    EventRecorded,
    MemoriesExtracted,
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
APPENDING = frozenset(kind.__name__ for kind in (EventRecorded, MessagesRestored, MemoriesExtracted))
REMEMBERED = 10_000
"""Documents of which it is remembered how long they were: what is added has no more tokens than bytes."""
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
        self._measured: dict[str, tuple[int, int, int]] = {}

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
        await self._examine(sessions)
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

    async def _examine(self, sessions: Mapping[str, Sequence[EventEnvelope]]) -> None:
        streams = list(sessions)
        states = await session_work.states(self._redis, [(stream, set()) for stream in streams])
        looks = await session_work.looked(self._redis, streams)
        todo = [
            Look(stream, state, since, known, _appended(sessions[stream], since, state.version))
            for stream, state, (since, known) in zip(streams, states, looks, strict=True)
            if since < state.version
        ]
        shown = await self._shown({look.stream: look.state.version for look in todo})
        unseen = [stream for stream, view in shown.items() if view is None]
        sizes = await self._log.sizes(unseen, HOLDING_TEXT) if unseen else {}
        found = [await self._look(look, shown[look.stream], sizes) for look in todo]
        await session_work.examined(self._redis, [one for one in found if one is not None])

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

    async def _look(self, look: "Look", view: Shown | None, sizes: Mapping[str, int]) -> tuple[str, int, Overfull | None] | None:
        """What is to be noted of a document; None for nothing, because what comes next will tell."""
        stream, state = look.stream, look.state
        if view is None:
            if sizes.get(stream, 0) <= threshold(state.limit, self._share):
                return stream, state.version, None
            return await self._measured_anew(look, None)
        # No text has more tokens than bytes: most documents are told to be short without being read.
        if view.gone or view.size <= threshold(state.limit, self._share):
            return stream, view.version, None
        if look.appended and look.known is not None:
            over = Overfull(version=view.version, expires_ms=view.expires_ms)
            return (stream, view.version, over) if view.version == state.version else None
        version, size, tokens = self._measured.get(stream, (0, 0, 0))
        if look.appended and version == look.since and view.version == state.version:
            tokens += view.size - size
            if tokens <= threshold(state.limit, self._share):
                self._measured[stream] = (view.version, view.size, tokens)
                return stream, view.version, None
        return await self._measured_anew(look, view)

    async def _measured_anew(self, look: "Look", view: Shown | None) -> tuple[str, int, Overfull | None]:
        document = await self._documents.read(look.stream, at_least=look.state.version)
        if document is None:
            return look.stream, look.state.version, None
        over, tokens = await asyncio.to_thread(
            session_work.too_long, document.messages, look.state.limit, self._share, self._counter.count
        )
        if view is not None and view.version == document.version:
            if len(self._measured) >= REMEMBERED:
                self._measured.clear()
            self._measured[look.stream] = (view.version, view.size, tokens)
        found = Overfull(version=document.version, expires_ms=document.expires_ms) if over else None
        return look.stream, document.version, found


class Look(msgspec.Struct, frozen=True):
    """A document to look at. `since`: the version at which it was looked at last, and what was `known` then; `appended`: all that
    happened since is that messages were added at its end.
    """

    stream: str
    state: Unfinished
    since: int
    known: Overfull | None
    appended: bool


def _appended(rows: Sequence[EventEnvelope], since: int, version: int) -> bool:
    kinds = {row.version: row.type for row in rows}
    return since > 0 and all(kinds.get(number) in APPENDING for number in range(since + 1, version + 1))


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
