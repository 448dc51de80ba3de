"""A reply that was lost: the log knows the outcome, and what is read afterwards knows it too."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.commands import AnyCommand, AppendMessages, DeleteWorkingMemory, RecordEvents, ReplaceWorkingMemory
from agent_memory.contracts.records import Message, Scope, TimelineEvent
from agent_memory.contracts.streams import COMMANDS, session_stream, working_memory_keys
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.gateway.bus import RedisCommandBus
from agent_memory.gateway.ids import Ids
from agent_memory.ingest.handlers import Ingest
from agent_memory.readmodels.sessions import SessionReader
from agent_memory.runtime.broker import Entry
from support.controls import wait_until
from support.slow import SlowReader
from support.small_system import SmallSystem

NOWHERE = "redis://127.0.0.1:1/0"


def message(message_id: str) -> Message:
    return Message(role="user", content=message_id, id=message_id, created_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    await small.send(ReplaceWorkingMemory(session_id="s", messages=[message("first")]))
    yield small
    await small.close()


@pytest.fixture
async def bus(system: SmallSystem) -> AsyncIterator[RedisCommandBus]:
    bus = RedisCommandBus(
        system.redis_url,
        system.log,
        gateway_id="one",
        timeout_seconds=0.5,
        new_id=Ids(),
        now_ms=lambda: int(time.time() * 1000),
    )
    await bus.start()
    yield bus
    await bus.stop()


async def recorded_and_not_shown(system: SmallSystem) -> None:
    """Ingest commits the command, and dies before it shows or answers it."""
    await wait_until(lambda: system.redis.xlen(COMMANDS), "the command is on the bus")
    [(entry_id, fields)] = await system.redis.xrange(COMMANDS)
    async with Redis.from_url(NOWHERE) as nowhere:
        dying = Ingest(EventStore(system.connections), nowhere, Relay(system.database_url, system.log, nowhere))
        with pytest.raises(RedisError):
            await dying.handle([Entry(entry_id, fields)])


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (AppendMessages(session_id="s", messages=[message("second")]), b"second"),
        (ReplaceWorkingMemory(session_id="s", messages=[message("third")]), b"third"),
        (RecordEvents(events=[TimelineEvent(event_id="fourth", session_id="s", timestamp_ms=1, text="fourth")]), b"fourth"),
        (DeleteWorkingMemory(session_id="s"), None),
    ],
)
async def test_a_write_that_the_log_answered_for_is_what_is_read_next(
    system: SmallSystem, bus: RedisCommandBus, command: AnyCommand, seen: bytes | None
) -> None:
    answer, _ = await asyncio.gather(bus.ask(Scope(), command), recorded_and_not_shown(system))
    assert answer.position > 0
    shown = await system.sessions.read(Scope(), "s")
    assert (None if shown is None else seen is not None and seen in shown.messages) == (None if seen is None else True)


async def test_who_read_before_a_write_whose_reply_was_lost_does_not_show_what_was_before_it(
    system: SmallSystem, bus: RedisCommandBus
) -> None:
    fourth = RecordEvents(events=[TimelineEvent(event_id="fourth", session_id="s", timestamp_ms=1, text="fourth")])
    log = SlowReader(system.connections)

    async def meanwhile() -> None:
        await asyncio.gather(bus.ask(Scope(), fourth), recorded_and_not_shown(system))

    log.meanwhile = meanwhile
    await system.redis.unlink(*working_memory_keys(session_stream(Scope(), "s")))
    await SessionReader(system.redis, log).read(Scope(), "s")  # type: ignore[arg-type]
    shown = await system.sessions.read(Scope(), "s")
    assert shown is not None
    assert b"fourth" in shown.messages
