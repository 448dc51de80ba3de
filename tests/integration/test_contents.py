"""The table of contents through the gateway's port, over real servers: as it is, and as it was."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.eventlog.neighbours import NeighbourReader
from agent_memory.eventlog.said import SaidReader
from agent_memory.gateway.contents import LoggedContents
from agent_memory.readmodels.contents_reads import TableOfContents
from support.toc_worker import EVENING, NOON, TEXTS, TOLD, Desk, a_desk

DAY = "toc:day:2026-01-30"
ME = Scope()


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        yield made


def port(desk: Desk) -> LoggedContents:
    connections = desk.system.connections
    return LoggedContents(desk.toc, SaidReader(connections), NeighbourReader(connections))


async def test_every_version_of_a_segment_is_read_as_it_was(desk: Desk) -> None:
    worker, contents = desk.replica(), port(desk)
    await desk.say(*TOLD)
    segment = (await desk.path())[-1]
    assert (segment.version, segment.summary) == (1, None)
    await worker.write()
    second = await contents.node(ME, segment.node_id)
    await desk.say((EVENING, -2))
    await worker.write()
    third = await contents.node(ME, segment.node_id)
    assert second is not None
    assert third is not None
    assert (second.version, third.version, third.events) == (2, 3, 4)
    assert await contents.node_at(ME, segment.node_id, 3) == third
    then = await contents.node_at(ME, segment.node_id, 2)
    assert then is not None
    for field in ("node_id", "title", "summary", "bullets", "keywords", "version", "session_id", "parent_node_id"):
        assert getattr(then, field) == getattr(second, field), field
    assert (then.start_time_ms, then.end_time_ms) == (NOON, NOON + 2 * 60_000)
    first = await contents.node_at(ME, segment.node_id, 1)
    assert first is not None
    assert (first.version, first.summary, first.bullets, first.node_id) == (1, None, (), segment.node_id)
    for version in (-1, 0, 4, 2**31, 2**63 - 1):
        assert await contents.node_at(ME, segment.node_id, version) is None


async def test_an_earlier_day_names_the_parts_it_had_then_and_keeps_its_title(desk: Desk) -> None:
    worker, contents = desk.replica(), port(desk)
    await desk.say(*TOLD)
    await worker.write()
    before = await contents.node(ME, DAY)
    await desk.say((EVENING, 0), session="other")
    await worker.write()
    now = await contents.node(ME, DAY)
    assert before is not None
    assert now is not None
    assert (len(before.child_node_ids), len(now.child_node_ids), now.version) == (1, 2, 3)
    then = await contents.node_at(ME, "toc:day:2026-01-30", 2)
    assert then is not None
    assert (then.title, then.summary, then.child_node_ids) == (before.title, before.summary, before.child_node_ids)
    assert (then.parent_node_id, then.start_time_ms) == ("toc:week:2026-W05", before.start_time_ms)


async def test_of_a_segment_that_is_gone_only_what_was_written_before_can_be_read(desk: Desk) -> None:
    worker, contents = desk.replica(), port(desk)
    await desk.say((TEXTS[0], 0), (EVENING, 50))
    await worker.write()
    _, goes = (await desk.path())[3].child_node_ids
    await desk.say((TEXTS[2], 25))
    await worker.write()
    assert await contents.node(ME, goes) is None
    then = await contents.node_at(ME, goes, 2)
    assert then is not None
    assert "lighthouses" in f"{then.summary} {then.bullets}"
    assert [await contents.node_at(ME, goes, version) for version in (1, 3, 4)] == [None] * 3


async def test_what_nobody_knows_or_somebody_else_has_is_not_there(desk: Desk) -> None:
    contents = port(desk)
    await desk.say(*TOLD)
    await desk.replica().write()
    segment, other = (await desk.path())[-1], Scope(user_id="somebody else")
    grip_id = segment.bullets[0].grip_ids[0]
    assert await contents.grip(ME, grip_id) is not None
    assert await contents.grip(other, grip_id) is None
    for version in (1, 2):
        assert await contents.node_at(other, segment.node_id, version) is None
        assert await contents.node_at(ME, "toc:segment:01ARZ3NDEKTSV4RRFFQ69G5FAV", version) is None
        assert await contents.node_at(ME, "nonsense/../*", version) is None
        assert await contents.node_at(ME, "toc:day:1999-01-01", version) is None


async def test_a_table_of_contents_that_cannot_be_reached_is_unavailable_and_not_empty(desk: Desk) -> None:
    async with Redis.from_url("redis://127.0.0.1:1", protocol=2) as nowhere:
        contents = LoggedContents(
            TableOfContents(nowhere), SaidReader(desk.system.connections), NeighbourReader(desk.system.connections)
        )
        with pytest.raises(Unavailable):
            await contents.years(ME)
        with pytest.raises(Unavailable):
            await contents.node_at(ME, DAY, 2)
