"""Segments in Redis: whoever applies the events, in whatever order, the sessions are cut at the same places."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.events import WorkingMemoryDeleted
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream
from agent_memory.readmodels import segments
from agent_memory.summarizer.handlers import TYPES, KeepSegments
from support.logged import MadeUpLog

MINUTE = 60_000


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def many_sessions() -> MadeUpLog:
    log, choice, clock = MadeUpLog(), random.Random(3), 0
    for _ in range(200):
        clock += choice.choice([1, 1, 1, 9]) * MINUTE
        session = choice.choice(["a", "b/c", "d{e}"])
        log.said(clock, session, text="x" * choice.randrange(4000), kind=choice.choice(["user_message", "assistant_message"]))
        if choice.random() < 0.1:
            at = datetime(2026, 1, 1, tzinfo=UTC)
            log.append(session_stream(Scope(), session), WorkingMemoryDeleted(session_id=session, at=at, sequence=1), Scope())
    return log


async def test_segments_of_a_session_are_listed_with_the_open_one_last(redis: Redis) -> None:
    log = MadeUpLog()
    for minute in (0, 1, 45):
        log.said(minute * MINUTE, "b/c")
    await KeepSegments(redis, log.stream).apply(log.envelopes)
    first, second = await segments.segments(redis, Scope(), "b/c")
    assert (first.events, first.closed_by, first.last_ms) == (2, "gap", MINUTE)
    assert (second.events, second.closed_by, second.number) == (1, "", 1)
    assert await segments.segments(redis, Scope(), "other") == []


async def test_several_replicas_out_of_order_and_twice_give_the_same_segments(redis: Redis) -> None:
    log, choice = many_sessions(), random.Random(1)
    assert {envelope.type for envelope in log.envelopes} <= TYPES
    keeper = KeepSegments(redis, log.stream)
    await keeper.apply(log.envelopes)
    live = await segments.digest(redis)
    assert len(await segments.segments(redis, Scope(), "d{e}")) > 3
    await segments.clear(redis)
    assert await segments.digest(redis) != live
    shuffled = log.envelopes * 2
    choice.shuffle(shuffled)
    for start in range(0, len(shuffled), 60):
        await asyncio.gather(*(keeper.apply(shuffled[at : at + 20]) for at in range(start, start + 60, 20)))
    assert await segments.digest(redis) == live


async def test_a_version_that_the_bus_did_not_bring_is_read_from_the_log(redis: Redis) -> None:
    log = MadeUpLog()
    for minute in range(4):
        log.said(minute * MINUTE)
    await KeepSegments(redis, log.stream).apply([log.envelopes[3]])
    (only,) = await segments.segments(redis, Scope(), "s")
    assert (only.events, only.first_ms) == (4, 0)


async def test_events_in_order_never_ask_the_log(redis: Redis) -> None:
    log = many_sessions()

    async def refused(stream: str) -> list[object]:
        raise AssertionError(f"asked the log for {stream}")

    keeper = KeepSegments(redis, refused)  # type: ignore[arg-type]
    for start in range(0, len(log.envelopes), 50):
        await keeper.apply(log.envelopes[start : start + 50])
    alone = await segments.digest(redis)
    await KeepSegments(redis, log.stream).apply(log.envelopes)
    assert await segments.digest(redis) == alone, "what was kept without the log is all there is to keep"
