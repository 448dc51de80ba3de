"""When writing about the table of contents goes wrong: nothing is lost, nothing is paid twice, nothing is written twice."""

import asyncio
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest

from agent_memory.contracts.commands import RecordRevision
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import node_stream
from agent_memory.readmodels import due
from agent_memory.runtime.embed import create_embedder
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer import revisions
from support.controls import wait_until
from support.forked import Forking
from support.stub_model import StubModel, Trouble, stub_model
from support.toc_worker import ANSWER, EVENING, FOREVER_MS, TEXTS, TOLD, Desk, a_desk


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model(dimensions=64) as provider:
        yield provider


@pytest.fixture
async def desk(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        yield made


def replica(desk: Desk, stub: StubModel) -> tuple[str, ...]:
    """What starts a replica as a process of its own."""
    return "support.toc_worker", desk.system.database_url, desk.system.redis_url, stub.base_url


async def test_an_answer_of_no_use_is_asked_for_three_times_and_then_the_texts_speak(desk: Desk, stub: StubModel) -> None:
    stub.reply = "no JSON at all"
    await desk.say(*TOLD)
    await desk.replica(stub.base_url).write()
    assert {(one.revision.made_by, one.use.model) for one in await desk.recorded()} == {("extractive", "")}
    assert stub.counts["completions"] == 3 * 5
    assert all(node.summary and node.bullets for node in await desk.path())


async def test_what_a_model_will_not_speak_about_is_written_about_without_it(desk: Desk, stub: StubModel) -> None:
    stub.reply, stub.refuse_completions_with = ANSWER, "lighthouses"
    await desk.say(*TOLD)
    await desk.say((EVENING, 0), session="other")
    await desk.replica(stub.base_url).write()
    assert {one.session_id: one.made_by for one in await desk.written()} == {"talk": "model", "other": "extractive"}
    await desk.assert_kept()


async def test_a_text_that_no_vector_is_to_be_had_of_keeps_nothing_from_being_written(desk: Desk, stub: StubModel) -> None:
    settings = Settings(openai_api_base=stub.base_url, embedding_model="openai/stub", redisvl_vector_dimensions=64)
    stub.trouble = Trouble(refuse_text=EVENING)
    await desk.say(*TOLD)
    await desk.say((EVENING, 0), session="other")
    await desk.replica(embedder=create_embedder(settings)).write()
    assert sorted(one.session_id for one in await desk.written()) == ["other", "talk"]
    assert all(node.summary for node in await desk.path())


async def test_a_provider_that_is_away_is_waited_for_longer_and_longer_and_nothing_is_lost(desk: Desk, stub: StubModel) -> None:
    stub.reply = ANSWER
    stub.trouble = Trouble(mode="500", retry_after="0")
    worker, redis = desk.replica(stub.base_url), desk.system.redis
    await desk.say(*TOLD)
    stream = node_stream(Scope(), (await desk.path())[-1].node_id)
    pauses = []
    for _ in range(2):
        await worker.hasten()
        assert await worker.revising.look() == 1
        pauses.append(await redis.zscore(due.AT, stream))
    assert pauses[1] - pauses[0] > 2_000
    assert await worker.revising.look() == 0
    assert await desk.recorded() == []
    stub.trouble = Trouble()
    await desk.replica(stub.base_url).write()
    assert [(node.version, bool(node.summary)) for node in await desk.path()] == [(2, True)] * 5
    assert {one.revision.made_by for one in await desk.recorded()} == {"model"}


async def test_one_node_that_cannot_be_written_about_keeps_no_other_waiting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    drafted = revisions.segment_revision

    def failing(*given: object) -> object:
        if given[1] == "other":
            raise ZeroDivisionError
        return drafted(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(revisions, "segment_revision", failing)
    worker = desk.replica()
    await desk.say(*TOLD)
    await desk.say((EVENING, 0), session="other")
    await worker.hasten()
    assert await worker.revising.look() == 2
    assert [one.session_id for one in await desk.written()] == ["talk"]
    assert (await due.waiting(desk.system.redis))["segments"] == 1
    monkeypatch.undo()
    await worker.write()
    assert [one.session_id for one in await desk.written()] == ["talk", "other"]


async def test_a_worker_that_is_killed_before_the_answer_comes_asks_again_under_the_same_key(
    desk: Desk, stub: StubModel, forked: Forking
) -> None:
    stub.reply = ANSWER
    await desk.say(*TOLD)
    await desk.replica().hasten()
    async with forked.process(*replica(desk, stub)) as first:
        stub.before_answering = lambda: first.send_signal(signal.SIGKILL)
        await asyncio.wait_for(first.wait(), 60)
    assert (await desk.recorded(), len(stub.charged)) == ([], 1)
    await finished(desk, stub, forked)
    assert stub.counts["completions"] == 6, "the one that was lost, and one for each level"


async def test_a_worker_that_is_killed_with_the_answer_in_its_hand_is_followed_by_one_that_asks_nobody(
    desk: Desk, stub: StubModel, forked: Forking
) -> None:
    stub.reply = ANSWER
    await desk.say(*TOLD)
    await desk.replica().hasten()
    async with forked.process(*replica(desk, stub), "dying") as first:
        await asyncio.wait_for(first.wait(), 60)
    assert (await desk.recorded(), len(stub.charged), stub.counts["completions"]) == ([], 1, 1)
    await finished(desk, stub, forked)
    assert stub.counts["completions"] == 5


async def finished(desk: Desk, stub: StubModel, forked: Forking) -> None:
    """After a worker's death another comes; every level is paid for once and written once."""
    # Its lease has run out: only who is heard of keeps a node.
    for stream, _ in await due.take(desk.system.redis, FOREVER_MS, until_ms=FOREVER_MS, most=9):
        await due.put_off(desk.system.redis, stream, 1)
    async with forked.process(*replica(desk, stub)):

        async def nothing_waits() -> bool:
            await desk.replica().hasten()
            return not sum((await due.waiting(desk.system.redis)).values())

        await wait_until(nothing_waits, "another has written about everything", 60)
    assert [node.version for node in await desk.path()] == [2] * 5
    assert {one.revision.made_by for one in await desk.recorded()} == {"model"}
    assert (len(await desk.recorded()), len(stub.charged)) == (5, 5)
    await desk.assert_kept()


async def test_what_a_dead_worker_held_comes_back_and_what_a_living_one_holds_does_not(desk: Desk, stub: StubModel) -> None:
    stub.trouble = Trouble(mode="hang")
    slow, other = desk.replica(stub.base_url, lease_ms=150), desk.replica()
    await desk.say(*TOLD)
    await slow.hasten()
    working = asyncio.create_task(slow.revising.look())
    await wait_until(lambda: stub.counts["completions"] == 1, "the model is asked")
    began = await desk.system.redis.zscore(due.AT, (await streams(desk))[0])

    async def renewed_twice() -> bool:
        return bool(await desk.system.redis.zscore(due.AT, (await streams(desk))[0]) > began + 60)

    await wait_until(renewed_twice, "the lease is renewed")
    assert await other.revising.look() == 0
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await other.write()
    assert [node.version for node in await desk.path()] == [2] * 5


async def streams(desk: Desk) -> list[str]:
    return [stream.decode() for stream in await desk.system.redis.zrange(due.AT, 0, -1)]


async def test_two_workers_write_one_revision_of_each_node(desk: Desk) -> None:
    one, two = desk.replica(), desk.replica()
    await desk.say(*TOLD)
    for number in range(12):
        await desk.say((EVENING, number * 40), (TEXTS[2], number * 40 + 1), session=f"s{number}")
    sessions = [(Scope(), (await desk.path())[-1].node_id)]
    both = [await each.revisions.revision(*sessions[0], await each.revisions.read(sessions)) for each in (one, two)]
    assert both[0] == both[1] is not None
    await asyncio.gather(one.write(), two.write())
    segments = await desk.written()
    assert len(segments) == len({revision.node_id for revision in segments}) == 13
    await desk.assert_kept()


async def test_a_revision_that_another_one_overtook_is_made_again_after_it(desk: Desk) -> None:
    worker = desk.replica()
    await desk.say(*TOLD)
    make = worker.revisions.revision

    async def overtaken(*given: object) -> object:
        made = await make(*given)  # type: ignore[arg-type]
        if made is not None and not await desk.recorded():
            other = msgspec.structs.replace(made[0], summary="Another was faster.", fingerprint="of something else")
            await desk.system.send(RecordRevision(revision=other, expected_version=0))
        return made

    worker.revisions.revision = overtaken  # type: ignore[method-assign, assignment]
    await worker.hasten()
    assert await worker.revising.look() == 1
    assert [one.summary for one in await desk.written()] == ["Another was faster."]
    await worker.write()
    assert [one.fingerprint == "of something else" for one in await desk.written()] == [True, False]
    assert (await desk.path())[-1].version == 3
    await desk.assert_kept()
