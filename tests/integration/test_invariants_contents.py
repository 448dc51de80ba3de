"""A table of contents that is not what the log says, or that nobody goes on writing about, is seen by `doctor`."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from agent_memory.contracts.records import Scope, escape
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import TocNode
from agent_memory.readmodels import contents, due
from support.toc_worker import EVENING, TOLD, Desk, a_desk

DAY = "toc:day:2026-01-30"
Harm = Callable[[Desk, TocNode], Awaitable[object]]


def key(kind: str, name: str) -> str:
    return contents.key(1, Scope(), kind, name)


async def another_excerpt(desk: Desk, segment: TocNode) -> None:
    name = key("grip", escape(segment.bullets[0].grip_ids[0]))
    kept = await desk.system.redis.get(name)
    await desk.system.redis.set(name, kept.replace(b'"excerpt":"', b'"excerpt":"Never said: '))


async def another_summary(desk: Desk, segment: TocNode) -> None:
    kept = await desk.system.redis.hget(key("node", segment.node_id), "revision")
    await desk.system.redis.hset(key("node", segment.node_id), "revision", kept.replace(b'"summary":"', b'"summary":"Not so: '))


HARM: dict[str, Harm] = {
    "a grip says what was never said": another_excerpt,
    "a grip is gone": lambda desk, segment: desk.system.redis.delete(key("grip", escape(segment.bullets[0].grip_ids[0]))),
    "a summary was changed": another_summary,
    "a revision is missing": lambda desk, _: desk.system.redis.hdel(key("node", DAY), "revised", "revision"),
    "a count is wrong": lambda desk, _: desk.system.redis.hincrby(key("node", DAY), "events", -1),
    "a session is counted twice": lambda desk, _: desk.system.redis.hincrby(key("sessions", DAY), "talk", 1),
    "a segment is not listed": lambda desk, segment: desk.system.redis.zrem(key("children", DAY), segment.node_id),
}


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        await made.say(*TOLD)
        await made.replica().write()
        yield made


@pytest.mark.parametrize("what", HARM)
async def test_harm_to_what_is_written_is_seen(desk: Desk, what: str) -> None:
    assert await desk.broken() == {}
    await HARM[what](desk, (await desk.path())[-1])
    found = await desk.broken()
    assert list(found) == [4], found
    assert "contents" in found[4][0]


async def test_a_node_that_changed_and_that_nobody_is_about_to_write_about_is_seen(desk: Desk) -> None:
    await desk.say((EVENING, 90))
    assert await desk.broken() == {}, "it waits for its turn"
    segment = (await desk.toc.children(Scope(), DAY, offset=1, limit=1))[0][0]
    assert len(await due.take(desk.system.redis, 2**45, until_ms=2**45, most=9)) == 2
    assert await desk.broken() == {}, "somebody holds it"
    await desk.system.redis.delete(due.AT)
    (example,) = (await desk.broken())[4]
    assert segment.node_id in example
    assert DAY not in example, "the day's turn comes after it"
    await due.put_off(desk.system.redis, node_stream(Scope(), segment.node_id), 1)
    assert await desk.broken() == {}
    await desk.replica().write()
    assert await desk.broken() == {}


async def test_a_period_whose_parts_are_written_about_and_itself_is_not_is_seen(desk: Desk) -> None:
    await desk.say((EVENING, 90))
    worker = desk.replica()
    await worker.revising.sweep("segments", seconds=10)
    assert await desk.broken() == {}
    await desk.system.redis.delete(due.AT)
    (example,) = (await desk.broken())[4]
    assert DAY in example
