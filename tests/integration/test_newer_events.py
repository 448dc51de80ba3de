"""Two versions at once: what a newer one wrote and an older replica cannot read is never lost, and hinders nothing."""

from collections.abc import AsyncIterator, Sequence

import pytest

from agent_memory.contracts.codec import decode_event, encode, known_types
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import NeedsUpgrade
from agent_memory.contracts.events import JobDue
from agent_memory.contracts.streams import DEAD_LETTERS, EVENTS
from agent_memory.contracts.upcasters import UPCASTERS, Upcaster
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.progress import Progress
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.projection import Runner
from support.controls import wait_until
from support.projecting import NAME, Bench

NEWEST = "JobPaused"
TYPES = frozenset({"JobDue", NEWEST})
OLD = known_types() - {NEWEST}


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Bench]:
    bench = Bench(database_url, redis_url)
    yield bench
    await bench.close()


def old(bench: Bench) -> Runner:
    """A replica of the version before the newest type."""
    return bench.runner(TYPES, OLD)


def new(bench: Bench) -> Runner:
    """An upgraded one."""
    return bench.runner(TYPES)


async def entries(bench: Bench) -> list[Entry]:
    """The log as the bus brings it."""
    events = await bench.reader.after(0)
    return [Entry(b"%d-0" % one.position, {b"__data__": encode(one), b"type": one.type.encode()}) for one in events]


async def test_an_old_replica_passes_over_what_it_cannot_read_and_a_new_one_applies_it(bench: Bench) -> None:
    async with bench.relaying(), bench.consuming(old(bench), "old"):
        await bench.append(2)
        await bench.append(1, kind=NEWEST)
        await bench.append(2)
        await bench.reached(5)
        assert set(bench.applied) == {1, 2, 4, 5}
        counters = {"applied": 4, "skipped": 0, "dead_lettered": 0}
        assert await bench.ledger.read() == Progress(checkpoint=5, waiting=1, counters=counters)
        assert await bench.ledger.covers(4)
        assert not await bench.ledger.covers(3)  # who wrote it and wants to read it waits on

        def told() -> bool:
            return telemetry.REGISTRY.get_sample_value("agent_memory_events_waiting", {"projection": NAME}) == 1

        await wait_until(told, "the metric shows the event that waits")
        async with bench.consuming(new(bench), "new"):

            async def taken_up() -> bool:
                return not await bench.ledger.count_waiting()

            await wait_until(taken_up, "the new replica has taken it up")
    assert set(bench.applied) == {1, 2, 3, 4, 5}
    assert await bench.ledger.covers(3)
    assert await bench.ledger.read() == Progress(checkpoint=5, counters=counters | {"applied": 5})
    assert (await bench.redis.xpending(EVENTS, NAME))["pending"] == 0
    assert await bench.redis.xlen(DEAD_LETTERS) == 0


async def test_old_and_new_replicas_beside_each_other_lose_nothing_and_count_once(bench: Bench) -> None:
    async with bench.relaying(), bench.consuming(old(bench), "old"), bench.consuming(new(bench), "new"):
        for _ in range(20):
            await bench.append(2)
            await bench.append(1, kind=NEWEST)
            await bench.append(1, kind="JobFinished")
        await bench.reached(80)

        async def taken_up() -> bool:
            return not await bench.ledger.count_waiting()

        await wait_until(taken_up, "nothing waits")
    assert set(bench.applied) == {position for position in range(1, 81) if position % 4 != 0}
    counters = (await bench.ledger.read()).counters
    assert (sum(counters.values()), counters["dead_lettered"]) == (80, 0)


async def test_an_old_replica_that_reads_the_log_itself_does_the_same(bench: Bench) -> None:
    await bench.append(3)
    await bench.append(2, kind=NEWEST)
    await bench.append(3)
    await old(bench).catch_up(8)
    assert bench.applied == [1, 2, 3, 6, 7, 8]
    assert await bench.ledger.waiting() == [4, 5]
    await new(bench).take_up_waiting()
    assert set(bench.applied) == set(range(1, 9))
    assert await bench.ledger.waiting() == []


async def test_what_is_of_no_interest_to_the_new_version_is_skipped_then(bench: Bench) -> None:
    await bench.append(1, kind=NEWEST)
    await old(bench).catch_up(1)
    await bench.runner(frozenset({"JobDue"})).take_up_waiting()
    assert await bench.ledger.read() == Progress(checkpoint=1, counters={"applied": 0, "skipped": 1, "dead_lettered": 0})
    assert bench.applied == []


async def test_an_event_that_leads_to_what_a_newer_version_wrote_waits_with_it_and_is_no_dead_letter(bench: Bench) -> None:
    """Where a projection folds a stream, one event of it that is not known keeps the others from being applied."""
    await bench.append(3)
    bench.fails[2] = NeedsUpgrade("the stream holds an event that this version cannot read")
    await old(bench).handle(await entries(bench))
    assert await bench.redis.xlen(DEAD_LETTERS) == 0
    assert (bench.applied, await bench.ledger.waiting()) == ([1, 3], [2])
    bench.fails.clear()
    await new(bench).take_up_waiting()
    assert (bench.applied, await bench.ledger.waiting()) == ([1, 3, 2], [])


async def test_what_a_new_replica_has_applied_does_not_wait_when_it_is_delivered_to_an_old_one_too(bench: Bench) -> None:
    await bench.append(1, kind=NEWEST)
    brought = await entries(bench)
    await new(bench).handle(brought)
    await old(bench).handle(brought)
    assert await bench.ledger.read() == Progress(checkpoint=1, counters={"applied": 1, "skipped": 0, "dead_lettered": 0})


async def test_an_old_replica_reads_what_it_cannot_read_only_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.append(3, kind=NEWEST)
    read: list[Sequence[int]] = []
    these = LogReader.these

    async def counted(self: LogReader, positions: Sequence[int]) -> list[EventEnvelope]:
        read.append(positions)
        return await these(self, positions)

    monkeypatch.setattr(LogReader, "these", counted)
    runner = old(bench)
    await runner.catch_up(3)
    for _ in range(3):
        await runner.take_up_waiting()
    assert read == [[1, 2, 3]]
    await bench.append(1, kind=NEWEST)
    await runner.catch_up(4)
    await runner.take_up_waiting()
    assert read == [[1, 2, 3], [4]]


async def test_two_new_replicas_that_take_up_the_same_count_it_once(bench: Bench) -> None:
    await bench.append(2, kind=NEWEST)
    await old(bench).catch_up(2)
    mark = await bench.ledger.mark()
    await new(bench).take_up_waiting()
    assert await bench.ledger.settle({1: "applied", 2: "applied"}, mark=mark)
    assert (await bench.ledger.read()).counters == {"applied": 2, "skipped": 0, "dead_lettered": 0}


async def test_what_was_taken_up_just_before_redis_lost_it_still_waits(bench: Bench) -> None:
    await bench.append(1, kind=NEWEST)
    await old(bench).catch_up(1)
    assert not await bench.ledger.settle({1: "applied"}, mark=b"an-earlier:life")
    assert await bench.ledger.waiting() == [1]


async def test_a_dead_letter_that_is_replayed_waits_for_a_replica_that_can_read_it(bench: Bench) -> None:
    await bench.append(1)
    asked = f"am:replay:{NAME}"
    await bench.redis.rpush(asked, 1)
    bench.fails[1] = NeedsUpgrade("of a newer version")
    assert await old(bench).replay_dead_letters() == 0
    assert await bench.redis.llen(asked) == 1
    bench.fails.clear()
    assert await new(bench).replay_dead_letters() == 1
    assert await bench.redis.llen(asked) == 0


async def test_events_of_an_earlier_tag_are_applied_as_what_they_are_today(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPCASTERS, "JobPlanned", Upcaster("JobDue", dict))  # type: ignore[arg-type]
    await bench.append(1, kind="JobPlanned")
    await bench.append(1)
    runner = bench.runner()
    await runner.handle((await entries(bench))[:1])
    await runner.catch_up(2)
    assert bench.applied == [1, 2]
    assert [one.position for one in await bench.reader.after(0, types=["JobDue"])] == [1, 2]


def test_an_event_that_is_not_known_says_what_to_do() -> None:
    with pytest.raises(NeedsUpgrade, match=r"JobRenamed was written by a newer version.*upgrade"):
        decode_event("JobRenamed", encode(JobDue(job="j", due_ms=1)).replace(b"JobDue", b"JobRenamed"))
    with pytest.raises(NeedsUpgrade, match="due_ms"):
        decode_event("JobDue", b'{"type":"JobDue","job":"j","due_ms":"in words"}')
