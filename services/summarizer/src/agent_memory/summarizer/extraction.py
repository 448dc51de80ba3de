"""Draws memories from the messages of sessions that went quiet: the new ones alone, each once."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.commands import RecordExtraction
from agent_memory.contracts.events import EventRecorded, MessagesRestored, WorkingMemoryReplaced
from agent_memory.contracts.records import MemoryRecord, Message, Strategy, message_of, to_datetime
from agent_memory.contracts.streams import owner_of
from agent_memory.eventlog.rows import StoredEvent
from agent_memory.readmodels import session_work
from agent_memory.runtime.llm import Completion, CompletionRefused
from agent_memory.runtime.llm_journal import Journal
from agent_memory.summarizer import prompts, strategies
from agent_memory.summarizer.recording import Recorder, used
from agent_memory.summarizer.strategies import Reading, Said

READ_TOGETHER = 40
CHARACTERS_TOGETHER = 24_000
"""About 6,000 tokens: what a model reads carefully. A longer message is read alone."""
LONGEST_MESSAGE = 200_000
LINES_BEFORE = 6
LONGEST_LINE = 500

log = structlog.get_logger(__name__)


class History(Protocol):
    """What is asked of the log (`HistoryReader`)."""

    async def version(self, stream: str) -> int: ...
    async def versions(self, stream: str, versions: Sequence[int]) -> list[StoredEvent]: ...
    async def before(self, stream: str, version: int, *, type_: str, limit: int) -> list[StoredEvent]: ...
    async def recorded_as(self, stream: str, scope_path: str, event_ids: Sequence[str]) -> set[str]: ...
    async def memory_record(self, tenant: str, memory_id: str) -> tuple[bytes, int] | None: ...


class Piece(msgspec.Struct, frozen=True):
    """A message with the version that has its text, and when that was recorded."""

    said: Said
    version: int
    recorded_ms: int


class Extraction:
    """Work: sessions with unread messages that were quiet for `debounce_seconds`. Once by the id of the command, which names the
    messages; a failure leaves them unread.
    """

    name = "extraction"

    def __init__(
        self,
        redis: Redis,
        history: History,
        model: Journal,
        recorder: Recorder,
        *,
        debounce_seconds: int,
        enabled: bool = True,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._history = history
        self._model = model
        self._recorder = recorder
        self._debounce_ms = debounce_seconds * 1000
        self._enabled = enabled
        self._clock_ms = clock_ms

    @property
    def ready(self) -> bool:
        """Whether it is switched on and a model is there."""
        return self._enabled and bool(self._model.model)

    async def waiting(self) -> int:
        """Sessions with unread messages."""
        return (await session_work.waiting(self._redis))["extraction"] if self._enabled else 0

    async def due(self, limit: int) -> list[str]:
        """Streams of sessions whose deadline, the last unread message's time and the debounce, has passed."""
        return await session_work.unread_since(self._redis, self._clock_ms() - self._debounce_ms, limit=limit)

    async def do(self, item: str) -> bool:
        """Reads what is unread in one session, part by part. A part that the model refuses does not keep it from the others."""
        state = await session_work.state(self._redis, item)
        if not state.unread or state.newest_ms > self._clock_ms() - self._debounce_ms:
            return False
        if await self._history.version(item) != state.version:
            return False  # the newest of what was recorded, perhaps by this very work, is not known here yet
        refused: CompletionRefused | None = None
        for part in parts(await self._pieces(item, state.unread)):
            try:
                await self._read_apart(item, state.strategy, part)
            except CompletionRefused as error:
                refused = error
        if refused is not None:
            raise refused
        return True

    async def _read_apart(self, stream: str, strategy: Strategy, part: Sequence[Piece]) -> None:
        """When a part is refused for what it says, its halves are asked about, so that one message fails alone."""
        try:
            await self._read(stream, strategy, part, await self._lines_before(stream, part))
        except CompletionRefused as error:
            if not error.about_input:
                raise
            if len(part) == 1:
                await self._read(stream, strategy, part, [])  # it may be the lines before that are not to be spoken of
                return
            refused: CompletionRefused | None = None
            for half in (part[: len(part) // 2], part[len(part) // 2 :]):
                try:
                    await self._read_apart(stream, strategy, half)
                except CompletionRefused as again:
                    refused = again
            if refused is not None:
                raise refused from None

    async def _read(self, stream: str, strategy: Strategy, part: Sequence[Piece], before: Sequence[str]) -> None:
        scope, session_id = owner_of(stream)
        reading = Reading(
            scope=scope,
            session_id=session_id,
            strategy=strategy,
            said=[piece.said for piece in part],
            before=before,
            recorded_at=to_datetime(max(piece.recorded_ms for piece in part)),
        )
        drawn, completion = await (self._summed_up(reading) if strategy.strategy == "summary" else self._drawn(reading))
        command = RecordExtraction(
            session_id=session_id,
            message_ids=[one.message_id for one in reading.said],
            memories=drawn,
            strategy=strategy,
            use=used(completion),
        )
        await self._recorder.record(scope, f"extract/{scope.tenant}/{reading.identity}", command)
        log.info("messages read", session=session_id, messages=len(reading.said), memories=len(drawn))

    async def _drawn(self, reading: Reading) -> tuple[list[MemoryRecord], Completion]:
        asked = strategies.question(reading, self._model.model)
        answer = await self._model.ask(reading.scope.tenant, asked, strategies.answered, schema=prompts.MEMORIES_SCHEMA)
        return strategies.records(answer.value, reading), answer.completion

    async def _summed_up(self, reading: Reading) -> tuple[list[MemoryRecord], Completion]:
        known = await self._history.memory_record(reading.scope.tenant, strategies.summary_id(reading.scope, reading.session_id))
        so_far = None if known is None else msgspec.json.decode(known[0], type=MemoryRecord)
        asked = strategies.summary_question(reading, so_far)
        answer = await self._model.ask(reading.scope.tenant, asked, strategies.summary_answered, schema=prompts.SUMMARY_SCHEMA)
        return [strategies.summary_record(answer.value, reading, so_far)], answer.completion

    async def _lines_before(self, stream: str, part: Sequence[Piece]) -> list[str]:
        rows = await self._history.before(stream, part[0].version, type_=EventRecorded.__name__, limit=LINES_BEFORE)
        events = [decode_event(row.type, row.data) for row in rows]
        said = [event.event for event in events if isinstance(event, EventRecorded)]
        # A message that was edited was recorded before its newest text.
        read_now = {piece.said.event_id for piece in part}
        lines = [event for event in said if event.text.strip() and event.event_id not in read_now]
        return [f"{event.role}: {event.text[:LONGEST_LINE]}" for event in lines]

    async def _pieces(self, stream: str, unread: dict[str, int]) -> list[Piece]:
        """The unread messages with their newest text, in the order in which it was recorded."""
        rows = await self._history.versions(stream, sorted(set(unread.values())))
        found = [
            (row, message, event_id) for row in rows for message, event_id in _held(row) if unread.get(message.id) == row.version
        ]
        ids = await self._event_ids(stream, [message.id for _, message, event_id in found if not event_id])
        return [
            Piece(
                Said(
                    message_id=message.id,
                    event_id=event_id or ids[message.id],
                    role=message.role,
                    text=message.content[:LONGEST_MESSAGE],
                    at=message.created_at,
                ),
                row.version,
                row.recorded_ms,
            )
            for row, message, event_id in found
        ]

    async def _event_ids(self, stream: str, message_ids: Sequence[str]) -> dict[str, str]:
        if not message_ids:
            return {}
        scope, session_id = owner_of(stream)
        qualified = {id_: f"{session_id}:{id_}" for id_ in message_ids}
        known = await self._history.recorded_as(stream, scope.path, [*message_ids, *qualified.values()])
        return {id_: id_ if id_ in known or qualified[id_] not in known else qualified[id_] for id_ in message_ids}


def parts(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Messages that are read together: not too many, not too long."""
    part: list[Piece] = []
    size = 0
    for piece in pieces:
        length = len(piece.said.text)
        if part and (len(part) >= READ_TOGETHER or size + length > CHARACTERS_TOGETHER):
            yield part
            part, size = [], 0
        part.append(piece)
        size += length
    if part:
        yield part


def _held(row: StoredEvent) -> list[tuple[Message, str]]:
    """The messages whose text an event has, with the event id where it says it."""
    match decode_event(row.type, row.data):
        case EventRecorded(event=event):
            return [(message_of(event), event.event_id)]
        case WorkingMemoryReplaced(edits=messages) | MessagesRestored(messages=messages):
            return [(message, "") for message in messages]
        case _:
            return []
