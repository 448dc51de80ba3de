"""What is written about the table of contents: by the texts themselves or a model, once, and again when something changes."""

from collections.abc import AsyncIterator

import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import CONTENTS, checkpoint_key, node_stream
from agent_memory.readmodels import due
from agent_memory.readmodels.contents import zones_of
from agent_memory.runtime.embed import create_embedder
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer import revising
from support.stub_model import StubModel, stub_model
from support.toc_worker import ANSWER, EVENING, FOREVER_MS, NOON, TEXTS, TOLD, Desk, a_desk

DAY, HOUR = 24 * 60, 60


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model(dimensions=64) as provider:
        yield provider


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        yield made


async def versions(desk: Desk, *node_ids: str) -> list[int]:
    return [one.version for one in await desk.toc.nodes(Scope(), node_ids)]


async def test_every_level_is_written_about_and_keeps_the_grips_of_what_it_quotes(desk: Desk) -> None:
    await desk.say(*TOLD)
    await desk.replica().write()
    path = await desk.path()
    assert [node.version for node in path] == [2] * 5
    assert all(node.summary and node.keywords and node.bullets for node in path)
    assert [node.title for node in path[:4]] == ["2026", "January 2026", "Week 5, 2026", "January 30, 2026"]
    texts = {f"talk-{minute}": text for minute, text in enumerate(TEXTS)}
    of_segment = {one for bullet in path[-1].bullets for one in bullet.grip_ids}
    for node in path:
        assert all(bullet.grip_ids and of_segment.issuperset(bullet.grip_ids) for bullet in node.bullets)
    for grip_id in of_segment:
        grip = await desk.toc.grip(Scope(), grip_id)
        assert grip is not None
        assert " ".join(texts[span.event_id][span.start : span.end] for span in grip.spans) == grip.excerpt
    await desk.assert_kept()


async def test_what_did_not_change_is_neither_asked_about_nor_written_again(desk: Desk, stub: StubModel) -> None:
    stub.reply = ANSWER
    settings = Settings(openai_api_base=stub.base_url, embedding_model="openai/stub", redisvl_vector_dimensions=64)
    worker = desk.replica(stub.base_url, embedder=create_embedder(settings))
    await desk.say(*TOLD)
    await worker.write()
    before, asked = len(await desk.recorded()), dict(stub.counts)
    await desk.system.redis.flushall()
    await desk.system.catch_up()
    assert sum((await due.waiting(desk.system.redis)).values()) >= 5
    await worker.write()
    assert (len(await desk.recorded()), dict(stub.counts)) == (before, asked)
    await desk.assert_kept()


async def test_nothing_is_written_while_the_view_does_not_show_all_of_the_log(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = desk.replica()
    await desk.say(*TOLD)
    await worker.write()
    await desk.say((EVENING, 5))
    await desk.stop()
    before = await desk.recorded()
    await desk.system.redis.flushall()
    (contents,) = (one for one in desk.system.runners if one.projection.name == "contents")
    await contents.catch_up(2)
    await worker.hasten()
    monkeypatch.setattr(revising, "SEEN_SECONDS", 0.0)
    with pytest.raises(Unavailable, match="does not show all of the log"):
        await worker.revising.look()
    assert await desk.recorded() == before
    assert (await due.waiting(desk.system.redis))["segments"] == 1, "what was taken is given back"


async def test_what_comes_late_is_written_about_with_the_levels_above_and_nothing_else(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say(*TOLD)
    await desk.say((EVENING, 20 * DAY), session="february")
    await worker.write()
    first, *above = [node.node_id for node in reversed(await desk.path())]
    february = ["toc:day:2026-02-19", "toc:week:2026-W08", "toc:month:2026-02"]
    before = await versions(desk, *above, *february)
    await desk.say(("A late note: the exclusion constraint refuses the same seat twice.", -3))
    await worker.write()
    assert await versions(desk, first) == [3]
    after = await versions(desk, *above, *february)
    assert all(now > then for now, then in zip(after[:4], before[:4], strict=True))
    assert after[4:] == before[4:]
    (segment,) = await desk.toc.nodes(Scope(), [first])
    assert (segment.events, segment.start_time_ms) == (4, NOON - 3 * 60_000)


async def test_a_segment_that_a_late_event_joins_to_another_is_gone_and_its_day_does_not_name_it(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say((TEXTS[0], 0), (EVENING, 50))
    await worker.write()
    day = (await desk.path())[3]
    stays, goes = day.child_node_ids
    assert {grip for bullet in day.bullets for grip in bullet.grip_ids} != set()
    await desk.say((TEXTS[2], 25))
    await worker.write()
    assert [(one.node_id, one.gone) for one in await desk.written()][-2:] in (
        [(stays, False), (goes, True)],
        [(goes, True), (stays, False)],
    )
    day = (await desk.path())[3]
    assert (day.child_node_ids, day.events) == ((stays,), 3)
    assert (await desk.written("day"))[-1].child_ids == (stays,)
    quoted = [await desk.toc.grip(Scope(), grip_id) for bullet in day.bullets for grip_id in bullet.grip_ids]
    assert {grip.node_id for grip in quoted if grip is not None} == {stays}
    assert await desk.toc.node(Scope(), goes) is None
    await desk.assert_kept()


async def test_a_segment_belongs_to_the_day_of_its_first_event_as_its_tenant_counts_days(database_url: str, redis_url: str) -> None:
    zones, acme = zones_of("UTC", {"acme": "Pacific/Auckland"}), Scope(tenant="acme")
    async with a_desk(database_url, redis_url, zones=zones) as desk:
        for scope in (acme, Scope()):
            await desk.say((TEXTS[0], 12 * HOUR - 10), (TEXTS[1], 12 * HOUR + 10), scope=scope)
        await desk.replica().write()
        here, there = await desk.path(), await desk.path(acme)
        assert [node.node_id for node in here[:-1]][-1] == "toc:day:2026-01-30"
        assert [node.node_id for node in there[:-1]][-1] == "toc:day:2026-01-31"
        assert (here[3].events, there[3].events, there[3].start_time_ms) == (2, 2, NOON - 60 * 60_000)
        assert {node.version for node in (*here, *there)} == {2}
        await desk.assert_kept()


async def test_a_day_that_has_lost_its_only_segment_to_the_day_before_is_gone(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say((TEXTS[0], 12 * HOUR + 5))
    await worker.write()
    assert (await desk.path())[3].node_id == "toc:day:2026-01-31"
    await desk.say((TEXTS[1], 12 * HOUR - 5))
    await worker.write()
    assert (await desk.path())[3].node_id == "toc:day:2026-01-30"
    assert [(one.node_id, one.gone) for one in await desk.written("day")][-1] != ("toc:day:2026-01-31", False)
    assert ("toc:day:2026-01-31", True) in [(one.node_id, one.gone) for one in await desk.written("day")]
    assert await desk.toc.node(Scope(), "toc:day:2026-01-31") is None
    assert (await desk.written("week"))[-1].child_ids == ("toc:day:2026-01-30",)
    await desk.assert_kept()


async def test_what_a_model_writes_is_recorded_with_what_it_took(desk: Desk, stub: StubModel) -> None:
    stub.reply = ANSWER
    await desk.say(*TOLD)
    await desk.replica(stub.base_url).write()
    path = await desk.path()
    assert path[-1].title == "Booking rehearsal"
    assert [bullet.grip_ids for node in path for bullet in node.bullets] == [path[-1].bullets[0].grip_ids] * 5
    grip = await desk.toc.grip(Scope(), path[0].bullets[0].grip_ids[0])
    assert grip is not None
    assert (grip.excerpt, grip.spans[0].event_id) == ("37 double bookings", "talk-2")
    made = await desk.recorded()
    assert {(one.revision.made_by, one.use.model) for one in made} == {("model", "stub")}
    assert all(one.use.prompt_tokens and one.use.completion_tokens for one in made)
    assert stub.counts["completions"] == len(made) == 5


async def test_a_sweep_sees_to_all_of_a_kind_and_leaves_the_other(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say(*TOLD)
    await desk.say((EVENING, 0), session="other")
    assert await worker.revising.sweep("periods", seconds=10) == {"hastened": "0"}
    assert await worker.revising.sweep("segments", seconds=10) == {"hastened": "2"}
    assert ([one.level for one in (await desk.path())], len(await desk.recorded())) == (
        ["year", "month", "week", "day", "segment"],
        2,
    )
    for level in ("day", "week", "month", "year"):
        assert await worker.revising.sweep("periods", seconds=10) == {"hastened": "1"}
        assert [len(await desk.written(level)), (await due.waiting(desk.system.redis))["segments"]] == [1, 0]
    assert await worker.revising.sweep("segments", seconds=10) == {"hastened": "0"}


async def test_a_sweep_leaves_to_others_what_they_hold_and_says_when_it_is_not_in_time(desk: Desk) -> None:
    await desk.say(*TOLD)
    segment = (await desk.path())[-1]
    redis, worker = desk.system.redis, desk.replica()
    ((stream, _),) = await due.take(redis, FOREVER_MS, until_ms=FOREVER_MS, most=1)
    assert stream == node_stream(Scope(), segment.node_id)
    assert await worker.revising.sweep("segments", seconds=0) == {"hastened": "0"}
    assert await desk.recorded() == []
    await due.put_off(redis, stream, 1)
    await desk.stop()
    await redis.delete(checkpoint_key(CONTENTS))
    with pytest.raises(Unavailable):
        await worker.revising.sweep("segments", seconds=0)
