"""A view that is folded again while its session changes: what was read before a write is never shown after it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from agent_memory.contracts.commands import AnyCommand, AppendMessages, DeleteWorkingMemory, RecordEvents, ReplaceWorkingMemory
from agent_memory.contracts.records import Message, Scope, TimelineEvent
from agent_memory.contracts.streams import COMMANDS, session_stream, working_memory_keys
from agent_memory.ingest.reconcile import Reconciler
from agent_memory.readmodels.sessions import SessionReader, SessionWriter, ViewWrite
from agent_memory.runtime.broker import COUNTER_BITS, Entry
from support.slow import SlowReader
from support.small_system import SmallSystem

STREAM = session_stream(Scope(), "s")
WEEK_MS = 604_800_000


def message(message_id: str) -> Message:
    return Message(role="user", content=message_id, id=message_id, created_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    await small.send(ReplaceWorkingMemory(session_id="s", messages=[message("first")]))
    yield small
    await small.close()


async def shown(system: SmallSystem) -> bytes | None:
    found = await system.sessions.read(Scope(), "s")
    return None if found is None else found.messages


async def read_slowly(system: SmallSystem, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Somebody reads the session, whose view a flush took, and `meanwhile` happens in the middle."""
    await system.redis.flushall()
    log = SlowReader(system.connections)
    log.meanwhile = meanwhile
    await SessionReader(system.redis, log).read(Scope(), "s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (AppendMessages(session_id="s", messages=[message("second")]), b"second"),
        (RecordEvents(events=[TimelineEvent(event_id="third", session_id="s", timestamp_ms=1, text="third")]), b"third"),
        (ReplaceWorkingMemory(session_id="s", messages=[message("fourth")]), b"fourth"),
    ],
)
async def test_a_write_in_the_middle_of_a_read_is_seen_by_the_next(system: SmallSystem, command: AnyCommand, seen: bytes) -> None:
    await read_slowly(system, lambda: system.send(command))
    messages = await shown(system)
    assert messages is not None
    assert seen in messages
    await system.send(AppendMessages(session_id="s", messages=[message("last")]))
    after = await shown(system)
    assert after is not None
    assert seen in after
    assert after.count(b'"last"') == 2


async def test_a_session_deleted_in_the_middle_of_a_read_stays_deleted(system: SmallSystem) -> None:
    await read_slowly(system, lambda: system.send(DeleteWorkingMemory(session_id="s")))
    assert await shown(system) is None


async def test_a_view_dropped_in_the_middle_of_a_read_does_not_come_back_as_it_was(system: SmallSystem) -> None:
    async def changed_by_a_replica_that_died() -> None:
        await system.send(AppendMessages(session_id="s", messages=[message("second")]))
        await system.redis.flushall()
        await SessionWriter(system.redis).show([ViewWrite(how="drop", stream=STREAM, version=3)])

    await read_slowly(system, changed_by_a_replica_that_died)
    messages = await shown(system)
    assert messages is not None
    assert b"second" in messages


async def test_a_view_that_a_killed_redis_took_back_is_dropped_whatever_the_clock_of_the_newest_event(system: SmallSystem) -> None:
    before = await system.redis.mget(working_memory_keys(STREAM))
    await system.send(AppendMessages(session_id="s", messages=[message("second")]))
    await system.send(AppendMessages(session_id="another", messages=[message("third")]))
    await system.execute("UPDATE events SET recorded_ms = recorded_ms + 3600000 WHERE position = (SELECT position FROM log_head)")
    await system.redis.mset(dict(zip(working_memory_keys(STREAM), before, strict=True)))
    await Reconciler(system.connections, system.redis, system.redis).reconcile()
    messages = await shown(system)
    assert messages is not None
    assert b"second" in messages


async def test_commands_go_on_after_the_log_when_a_redis_takes_over_whose_clock_is_behind(system: SmallSystem) -> None:
    ahead = ((time.time_ns() // 1_000_000 + 3_600_000) << COUNTER_BITS) + 5
    await system.execute(f"UPDATE events SET data = jsonb_set(data::jsonb, '{{sequence}}', '{ahead}')::json")
    await system.redis.flushall()
    reconciler = Reconciler(system.connections, system.redis, system.redis)
    assert await reconciler.go_on_after_the_log()
    assert Entry(await system.redis.xadd(COMMANDS, {"a": "b"}), {}).sequence == ahead + 1
    assert not await reconciler.go_on_after_the_log()
    assert Entry(await system.redis.xadd(COMMANDS, {"a": "b"}), {}).sequence == ahead + 2


async def test_a_session_is_found_again_among_many_of_its_name(system: SmallSystem) -> None:
    for namespace in ("a", "b", "c"):
        await system.send(ReplaceWorkingMemory(session_id="t", messages=[message(namespace)]), scope=Scope(namespace=namespace))
    await system.send(ReplaceWorkingMemory(session_id="t", messages=[message("mine")]))
    await system.redis.flushall()
    found = await system.sessions.read(Scope(), "t")
    assert found is not None
    assert b"mine" in found.messages
    assert await system.sessions.read(Scope(user_id="nobody"), "t") is None


@pytest.mark.parametrize(("ttl_seconds", "longest"), [(None, WEEK_MS), (60, 60_000), (10_000_000, WEEK_MS)])
async def test_a_view_goes_a_week_after_it_was_shown_last_or_with_its_session(
    system: SmallSystem, ttl_seconds: int | None, longest: int
) -> None:
    keys = working_memory_keys(STREAM)
    await system.send(ReplaceWorkingMemory(session_id="s", messages=[message("first")], ttl_seconds=ttl_seconds))
    for key in keys:
        assert longest - 30_000 < await system.redis.pttl(key) <= longest
        await system.redis.expire(key, 5)
    await system.send(AppendMessages(session_id="s", messages=[message("second")]))
    for key in keys:
        assert longest - 30_000 < await system.redis.pttl(key) <= longest


@pytest.fixture
async def full(system: SmallSystem) -> AsyncIterator[SmallSystem]:
    """Whose Redis takes nothing more."""
    await system.redis.config_set("maxmemory", 1)
    try:
        yield system
    finally:
        await system.redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (AppendMessages(session_id="s", messages=[message("second")]), b"second"),
        (ReplaceWorkingMemory(session_id="s", messages=[message("third")]), b"third"),
    ],
)
async def test_what_a_full_redis_cannot_show_is_read_from_the_log(full: SmallSystem, command: AnyCommand, seen: bytes) -> None:
    await full.send(command)
    messages = await shown(full)
    assert messages is not None
    assert seen in messages
    await full.redis.config_set("maxmemory", 0)
    assert await shown(full) == messages
    await full.send(AppendMessages(session_id="s", messages=[message("last")]))
    after = await shown(full)
    assert after is not None
    assert seen in after
    assert b"last" in after


async def test_a_session_that_is_gone_is_gone_from_a_full_redis(full: SmallSystem) -> None:
    await full.send(DeleteWorkingMemory(session_id="s"))
    assert await shown(full) is None


async def test_a_session_that_a_full_redis_does_not_hold_is_read_from_the_log(full: SmallSystem) -> None:
    await full.redis.flushall()
    messages = await shown(full)
    assert messages is not None
    assert b"first" in messages
