"""What is written about the timeline, and its grips, as search documents: the newest of each node, in any order it comes in."""

import json
from collections.abc import AsyncIterator
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.cli.reach import Servers
from agent_memory.cli.rebuild_index import rebuild
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import document_key, document_prefix
from agent_memory.contracts.toc import Bullet, Grip, Revision, Span
from agent_memory.eventlog.counts import CountReader
from agent_memory.indexer.checking import CheckIndexes, Differs
from agent_memory.readmodels import generations
from agent_memory.readmodels.contents_documents import grip_document, node_document, revise
from agent_memory.readmodels.documents import Revise
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.writes import Applied, apply
from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings
from support.toc_worker import EVENING, TEXTS, TOLD, Desk, a_desk

ME, SOMEBODY = Scope(), Scope(user_id="somebody else")
NODE = "toc:segment:01HXYZ"
VECTOR = np.array([1, 0], "<f4").tobytes()
SCOPES = (Scope(user_id=f"u{number}") for number in count())
SETTINGS = Settings(embedding_model="hash", redisvl_vector_dimensions=8)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def live(redis: Redis) -> Generation:
    return await generations.ensure(redis, "contents", "m", 2, "FLAT")


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        yield made


def written(version: int, *grips: str, scope: Scope = ME, node_id: str = NODE) -> Revise:
    """A revision of a segment as it is written, with grips by name; none of them: the segment is gone."""
    if not grips:
        return revise(scope, node_id, version, [])
    made = tuple(
        Grip(
            grip_id=f"grip:{name}",
            session_id="s",
            node_id=node_id,
            excerpt=f"words of {name}",
            spans=(Span(event_id="e", start=0, end=5),),
            timestamp_ms=5,
        )
        for name in grips
    )
    revision = Revision(
        node_id=node_id,
        level="segment",
        title=f"revision {version}",
        start_ms=1,
        end_ms=9,
        fingerprint="f",
        session_id="s",
        grips=made,
        bullets=(Bullet(text="b", grip_ids=tuple(one.grip_id for one in made)),),
    )
    documents = [node_document(revision, scope, version, VECTOR), *(grip_document(one, scope, version, VECTOR) for one in made)]
    return revise(scope, node_id, version, documents)


async def shown(redis: Redis, scope: Scope = ME, number: int = 1) -> dict[str, int]:
    """The versions of the documents of a scope, by id."""
    start = document_key("contents", number, scope.path, "")
    keys = [key async for key in redis.scan_iter(match=start.replace("[", "\\[") + "*")]
    return {key.decode().removeprefix(start): int(await redis.hget(key, "version")) for key in keys}


async def test_a_newer_revision_replaces_the_older_one_and_grips_that_it_lacks_are_gone(redis: Redis, live: Generation) -> None:
    assert await apply(redis, [live], [written(3, "a", "b")], model="m") == Applied(changed=1, stale=0)
    assert await shown(redis) == {NODE: 3, "grip:a": 3, "grip:b": 3}
    await apply(redis, [live], [written(7, "b", "c")], model="m")
    assert await shown(redis) == {NODE: 7, "grip:b": 7, "grip:c": 7}


async def test_an_older_revision_or_the_same_once_more_never_overwrites_a_newer_one(redis: Redis, live: Generation) -> None:
    await apply(redis, [live], [written(7, "b")], model="m")
    late = [written(3, "a"), written(7, "b"), written(6)]
    assert await apply(redis, [live], late, model="m") == Applied(changed=0, stale=3)
    assert await shown(redis) == {NODE: 7, "grip:b": 7}


async def test_a_node_that_is_gone_takes_its_grips_along_and_does_not_come_back(redis: Redis, live: Generation) -> None:
    await apply(redis, [live], [written(3, "a"), written(4, "z", node_id="toc:segment:OTHER")], model="m")
    await apply(redis, [live], [written(5)], model="m")
    assert await shown(redis) == {"toc:segment:OTHER": 4, "grip:z": 4}
    assert await apply(redis, [live], [written(4, "a")], model="m") == Applied(changed=0, stale=1)
    await apply(redis, [live], [written(6, "a")], model="m")
    assert (await shown(redis))[NODE] == 6


async def test_the_same_node_of_somebody_else_is_another_one(redis: Redis, live: Generation) -> None:
    await apply(redis, [live], [written(1, "a"), written(2, "a", scope=SOMEBODY)], model="m")
    await apply(redis, [live], [written(3, scope=SOMEBODY)], model="m")
    assert (await shown(redis), await shown(redis, SOMEBODY)) == ({NODE: 1, "grip:a": 1}, {})


async def test_a_node_is_written_to_every_generation_or_to_none(redis: Redis, live: Generation) -> None:
    await generations.begin_build(redis, "contents", "m", 2, "FLAT")
    active = (await generations.registry(redis, "contents")).active
    await apply(redis, active, [written(1, "a")], model="m")
    assert await shown(redis) == await shown(redis, number=2) == {NODE: 1, "grip:a": 1}
    wrong = written(2, "b")
    wrong.documents[1].fields["vector"] = b"\0\0\0\0"
    with pytest.raises(ValueError, match="1 dimensions"):
        await apply(redis, active, [wrong], model="m")
    assert await shown(redis) == {NODE: 1, "grip:a": 1}


GRIPS = st.lists(st.lists(st.sampled_from("abc"), unique=True, max_size=3), min_size=1, max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(GRIPS, st.randoms(), st.booleans())
async def test_any_order_of_revisions_shows_the_newest(
    redis: Redis, live: Generation, revisions: list[list[str]], random: object, repeat: bool
) -> None:
    scope = next(SCOPES)
    writes = [written(version, *grips, scope=scope) for version, grips in enumerate(revisions, start=1)] * (2 if repeat else 1)
    random.shuffle(writes)  # type: ignore[attr-defined]
    for write in writes:
        await apply(redis, [live], [write], model="m")
    last = len(revisions)
    expected = {NODE: last, **{f"grip:{name}": last for name in revisions[-1]}} if revisions[-1] else {}
    assert await shown(redis, scope) == expected


async def test_what_is_recorded_is_found_by_its_newest_revision_alone(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say(*TOLD)
    await worker.write()
    await desk.assert_kept()
    before = await shown(desk.system.redis)
    await desk.say((EVENING, -2))
    await worker.write()
    await desk.assert_kept()
    segment = (await desk.path())[-1]
    newest = {revision.node_id: revision for revision in [one.revision for one in await desk.recorded()]}
    grips = {grip.grip_id for grip in newest[segment.node_id].grips}
    after = await shown(desk.system.redis)
    assert set(after) == {*newest, *grips}
    assert all(after[one] > before[one] for one in newest)
    record = json.loads(await desk.system.redis.hget(document_key("contents", 1, ME.path, segment.node_id), "record"))
    assert (record["title"], "grips" in record) == (segment.title, False)


async def test_a_segment_that_late_events_end_is_not_found_any_more(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say((TEXTS[0], 0), (EVENING, 50))
    await worker.write()
    _, goes = (await desk.path())[3].child_node_ids
    assert goes in await shown(desk.system.redis)
    await desk.say((TEXTS[2], 25))
    await worker.write()
    await desk.assert_kept()
    left = await shown(desk.system.redis)
    gone = {grip.grip_id for one in await desk.recorded() if one.revision.node_id == goes for grip in one.revision.grips}
    assert goes not in left
    assert gone
    assert not gone & set(left)


async def test_a_flush_brings_it_all_back_and_a_rebuild_is_the_same_without_embedding_anything(desk: Desk) -> None:
    await desk.say(*TOLD)
    await desk.say((EVENING, 0), session="other", scope=SOMEBODY)
    await desk.replica().write()
    await desk.assert_kept()
    system = desk.system

    async def digest() -> str:
        live = (await generations.registry(system.redis, "contents")).live
        assert live is not None
        return await generations.digest(system.redis, live)

    before = await digest()
    await system.redis.flushall()
    await system.catch_up()
    assert await digest() == before
    where = Servers(database_url=system.database_url, redis_url=system.redis_url)
    done = await rebuild("contents", where, SETTINGS, lambda _: None)
    assert (done.generation, done.embedded) == (2, 0)
    assert done.documents == sum([1 async for _ in system.redis.scan_iter(match=document_prefix("contents", 2) + "*")]) > 10
    assert await digest() == before
    await desk.assert_kept()


async def test_documents_that_somebody_took_away_are_missed_by_the_check_and_by_doctor(desk: Desk) -> None:
    await desk.say((TEXTS[0], 0), (EVENING, 50))
    await desk.replica().write()
    await desk.assert_kept()
    system, segment = desk.system, (await desk.path())[-1]
    rebuilds: list[str] = []

    async def built_anew() -> None:
        rebuilds.append("contents")
        where = Servers(database_url=system.database_url, redis_url=system.redis_url)
        await rebuild("contents", where, SETTINGS, lambda _: None)

    async def nothing() -> None:
        rebuilds.append("in vain")

    check = CheckIndexes(system.redis, CountReader(system.connections), {"contents": built_anew})
    elsewhere = CheckIndexes(system.redis, CountReader(system.connections), {"contents": nothing})
    told = await check.check(0)
    assert (told["contents_documents"], rebuilds) == (told["contents_expected"], [])
    await system.redis.delete(document_key("contents", 1, ME.path, segment.bullets[0].grip_ids[0]))
    found = await desk.broken()
    assert list(found) == [4]
    assert "contents" in found[4][0]
    with pytest.raises(Differs, match="the contents index holds"):
        await elsewhere.check(0)
    await check.show()
    assert (shown_difference(), rebuilds.pop()) == (-1, "in vain")
    await system.redis.delete(document_key("contents", 1, ME.path, segment.bullets[0].grip_ids[0]), "am:index-check:contents:left")
    again = await check.check(0)
    assert (again["contents_rebuilt"], again["contents_documents"], rebuilds) == ("yes", told["contents_documents"], ["contents"])
    await elsewhere.show()
    assert shown_difference() == 0
    await desk.assert_kept()


def shown_difference() -> float | None:
    """What operators see of the last check."""
    return telemetry.REGISTRY.get_sample_value("agent_memory_index_difference", {"index": "contents"})


async def test_the_count_of_the_log_leaves_out_what_is_gone(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say((TEXTS[0], 0), (EVENING, 50))
    await worker.write()
    await desk.say((TEXTS[2], 25))
    await worker.write()
    await desk.assert_kept()
    assert await CountReader(desk.system.connections).nodes_and_grips() == len(await shown(desk.system.redis))
