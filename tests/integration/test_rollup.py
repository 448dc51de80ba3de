"""The table of contents in Redis: the same whatever way the events come."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope
from agent_memory.readmodels import contents
from agent_memory.rollup.handlers import KeepContents
from support.logged import MadeUpLog

HOUR = 3_600_000
JANUARY_30 = 1_769_731_200_000
SOMEBODY = Scope(tenant="acme", namespace="n", user_id="u")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def a_winter() -> MadeUpLog:
    log, choice = MadeUpLog(), random.Random(7)
    for number in range(300):
        scope = choice.choice([Scope(), SOMEBODY])
        log.said(JANUARY_30 + choice.randrange(-40 * 24, 40 * 24) * HOUR, f"session-{number % 9}", scope=scope)
    return log


async def test_a_node_says_how_much_was_said_when_and_in_how_many_sessions(redis: Redis) -> None:
    log = MadeUpLog()
    log.said(JANUARY_30 + HOUR, "a")
    log.said(JANUARY_30, "b")
    log.said(JANUARY_30 + 2 * 24 * HOUR, "a")
    await KeepContents(redis).apply(log.envelopes)
    week = await contents.node(redis, Scope(), "toc:week:2026-W05")
    assert week is not None
    assert (week.events, week.sessions, week.first_ms, week.last_ms) == (3, 2, JANUARY_30, JANUARY_30 + 48 * HOUR)
    assert week.children == ["toc:day:2026-01-30", "toc:day:2026-02-01"]
    day = await contents.node(redis, Scope(), "toc:day:2026-01-30")
    assert day is not None
    assert (day.events, day.sessions, day.children) == (2, 2, [])


async def test_any_order_and_any_repetition_give_the_same_contents(redis: Redis) -> None:
    log, choice = a_winter(), random.Random(1)
    keeper = KeepContents(redis)
    await keeper.apply(log.envelopes)
    live = await contents.digest(redis)
    await contents.clear(redis)
    assert await contents.digest(redis) != live
    shuffled = [*log.envelopes, *choice.sample(log.envelopes, 150)]
    choice.shuffle(shuffled)
    batches = [shuffled[start : start + 17] for start in range(0, len(shuffled), 17)]
    await asyncio.gather(*(keeper.apply(batch) for batch in batches))
    assert await contents.digest(redis) == live
    years = await contents.children(redis, Scope()) + await contents.children(redis, SOMEBODY)
    assert sum(year.events for year in years) == 300


async def test_the_contents_of_one_scope_are_not_seen_from_another(redis: Redis) -> None:
    log = MadeUpLog()
    log.said(JANUARY_30, scope=SOMEBODY)
    await KeepContents(redis).apply(log.envelopes)
    assert await contents.node(redis, Scope(tenant="acme", namespace="n"), "toc:year:2026") is None
    assert await contents.children(redis, Scope(tenant="acme", namespace="n/u")) == []
    assert len(await contents.children(redis, SOMEBODY)) == 1


async def test_years_at_the_ends_of_the_calendar_are_kept_exactly(redis: Redis) -> None:
    log = MadeUpLog()
    log.said(MAX_TIMESTAMP_MS)
    log.said(MIN_TIMESTAMP_MS)
    await KeepContents(redis).apply(log.envelopes)
    years = await contents.children(redis, Scope(), newest_first=True)
    assert [(year.first_ms, year.last_ms) for year in years] == [(MAX_TIMESTAMP_MS,) * 2, (MIN_TIMESTAMP_MS,) * 2]


async def test_children_come_in_order_of_time_page_by_page(redis: Redis) -> None:
    log = MadeUpLog()
    for day in (2, 0, 1):
        log.said(JANUARY_30 + day * 24 * HOUR)
    await KeepContents(redis).apply(log.envelopes)
    first = await contents.children(redis, Scope(), "toc:week:2026:W05", limit=2)
    then = await contents.children(redis, Scope(), "toc:week:2026-W05", offset=2, limit=2)
    assert [node.title for node in first + then] == ["January 30, 2026", "January 31, 2026", "February 1, 2026"]
    assert await contents.children(redis, Scope(), "no such node") == []
