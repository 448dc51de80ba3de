"""Summary views from the index to the log: each group paid for once, nothing left out, and tasks that outlive their workers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_memory.contracts.codec import decode_json
from agent_memory.contracts.commands import (
    ChangeTask,
    CreateSummaryView,
    DeleteSummaryView,
    EditMemory,
    ForgetMemories,
    StoreMemories,
)
from agent_memory.contracts.errors import NotFound, Unavailable
from agent_memory.contracts.events import PartitionSummarized, TaskChanged
from agent_memory.contracts.records import MemoryRecord, Partition, Scope, SummaryView, Task
from agent_memory.contracts.streams import (
    MEMORY_INDEX,
    PARTITION_RUNS,
    PARTITION_RUNS_GROUP,
    checkpoint_key,
    heartbeat_key,
    partition_streams,
    task_stream,
    view_streams,
)
from agent_memory.eventlog.newest import NewestReader
from agent_memory.gateway import views as gateway_views
from agent_memory.gateway.views import LoggedViews
from agent_memory.readmodels import tasks
from agent_memory.readmodels.everything import everything
from agent_memory.readmodels.search import MemorySearch
from agent_memory.readmodels.view_filters import view_filters
from agent_memory.runtime.broker import Entry, ensure_group, make_broker, subscribe
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer import summary_views, view_runs
from agent_memory.summarizer.partitions import FAILED, NO_MODEL
from support.controls import wait_until
from support.forked import Forking
from support.small_system import SmallSystem
from support.stub_model import StubModel, Trouble, stub_model
from support.view_worker import ViewWorker, pump

NOW = datetime(2026, 1, 30, tzinfo=UTC)
OWNER = Scope(tenant="acme")
VIEW = SummaryView(id="v", group_by=["user_id"], model_name="stub")


def record(id_: str, text: str = "", user: str | None = "u", *, at: datetime = NOW, **fields: Any) -> MemoryRecord:
    return MemoryRecord(id=id_, text=text or f"says {id_}", user_id=user, created_at=at, updated_at=at, last_accessed=at, **fields)


class Room:
    """A system whose commands are heard, and replicas that work on its views."""

    def __init__(self, system: SmallSystem, stub: StubModel, stack: AsyncExitStack) -> None:
        self.system, self.stub = system, stub
        self.log = NewestReader(system.connections)
        self._stack = stack
        self._enough = asyncio.Event()
        self._pumping = asyncio.create_task(pump(system, self._enough))

    async def stop(self) -> None:
        """Hear no command any more, and show nothing."""
        self._enough.set()
        await self._pumping

    def replica(self, *, model: bool = True, lease_ms: int = 30_000) -> ViewWorker:
        room = ViewWorker(self.system.database_url, self.system.redis_url, self.stub.base_url if model else "", lease_ms=lease_ms)
        self._stack.push_async_callback(room.close)
        return room

    async def store(self, *records: MemoryRecord) -> None:
        await self.system.send(StoreMemories(memories=list(records), deduplicate=False), scope=OWNER)
        await self.system.catch_up()

    async def define(self, view: SummaryView = VIEW) -> None:
        await self.system.send(CreateSummaryView(view=view), scope=OWNER)

    async def begin(self, id_: str = "t", view_id: str = "v") -> str:
        task = Task(id=id_, view_id=view_id, created_at=NOW)
        await self.system.send(ChangeTask(task=task), scope=OWNER)
        await self.system.catch_up()
        return task_stream("acme", id_)

    async def task(self, id_: str = "t") -> Task:
        event = await self.log.newest(task_stream("acme", id_))
        assert isinstance(event, TaskChanged)
        return event.task

    async def partitions(self, view_id: str = "v") -> dict[str, Partition]:
        found = await self.log.newest_under(partition_streams("acme", view_id))
        return {
            ",".join(state.event.partition.group.values()): state.event.partition
            for state in found
            if isinstance(state.event, PartitionSummarized)
        }

    async def count(self, type_: str) -> int:
        return len(await self.log.after(0, types=[type_]))

    @property
    def asked(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.stub.requests]


@pytest.fixture
async def room(database_url: str, redis_url: str) -> AsyncIterator[Room]:
    system = SmallSystem(database_url, redis_url)
    async with AsyncExitStack() as stack, stub_model() as stub:
        await system.catch_up()
        room = Room(system, stub, stack)
        yield room
        await room.stop()
    await system.close()


async def test_each_group_gets_a_summary_that_names_its_memories(room: Room) -> None:
    await room.store(
        record("b", "likes cake"),
        record("a", "likes tea", at=NOW - timedelta(days=1)),
        record("c", user="w"),
        record("d", user=None),
    )
    await room.define()
    stream = await room.begin()
    room.stub.replies = ["nobody's", "of u", "of w"]
    views = room.replica()
    assert await views.runs.do(stream)
    found = await room.partitions()
    assert {group: (one.memory_ids, one.memory_count, one.empty) for group, one in found.items()} == {
        "": (["d"], 1, False),
        "u": (["a", "b"], 2, False),
        "w": (["c"], 1, False),
    }
    assert sorted(one.summary for one in found.values()) == sorted(["nobody's", "of u", "of w"])
    of_u = next(asked for asked in room.asked if "tea" in asked)
    assert of_u == "----------\n- 2026-01-29: likes tea\n- 2026-01-30: likes cake\n----------"
    task = await room.task()
    assert (task.status, task.error_message) == ("success", None)
    assert task.started_at is not None
    assert task.completed_at is not None
    assert await tasks.opened(room.system.redis) == {}
    await room.system.catch_up()
    events = await room.log.after(0, types=["PartitionSummarized"])
    assert {decode_json(event.data)["use"]["model"] for event in events} == {"stub"}
    assert [result.examples for result in (await room.system.examined()).values()] == [[]] * 8


async def test_what_did_not_change_is_not_paid_for_again(room: Room) -> None:
    await room.store(record("a"), record("b", user="w"))
    await room.define()
    views = room.replica()
    await views.runs.do(await room.begin("t1"))
    assert room.stub.counts["completions"] == 2
    await views.runs.do(await room.begin("t2"))
    assert (await room.task("t2")).status == "success"
    assert (room.stub.counts["completions"], await room.count("PartitionSummarized")) == (2, 2)
    await room.system.send(EditMemory(memory_id="b", text="says something else"), scope=OWNER)
    await room.store(record("c", user="x"))
    await views.runs.do(await room.begin("t3"))
    assert (room.stub.counts["completions"], await room.count("PartitionSummarized")) == (4, 4)
    await room.system.send(EditMemory(memory_id="b", topics=["nothing that it is made from"]), scope=OWNER)
    await views.runs.do(await room.begin("t4"))
    assert room.stub.counts["completions"] == 4


async def test_a_group_whose_memories_are_gone_is_empty_and_says_nothing_any_more(room: Room) -> None:
    await room.store(record("a", "a secret"), record("b", user="w"))
    await room.define()
    views = room.replica()
    await views.runs.do(await room.begin("t1"))
    await room.system.send(ForgetMemories(memory_ids=["a"]), scope=OWNER)
    await views.runs.do(await room.begin("t2"))
    gone = (await room.partitions())["u"]
    assert (gone.empty, gone.empty_reason, gone.summary, gone.memory_count, gone.memory_ids) == (
        True,
        "no_matching_memories",
        "",
        0,
        [],
    )
    events = await room.count("PartitionSummarized")
    await views.runs.do(await room.begin("t3"))
    assert await room.count("PartitionSummarized") == events


async def test_without_a_model_the_memories_themselves_are_told(room: Room) -> None:
    await room.store(record("a", "likes tea", at=NOW - timedelta(days=1)), record("b", "likes cake"))
    await room.define()
    views = room.replica(model=False)
    partition = await views.views.one("acme", "v", {"user_id": "u"})
    assert partition.summary == f"{NO_MODEL}\n- likes tea\n- likes cake"
    assert (await room.partitions())["u"] == partition
    assert await views.views.one("acme", "v", {"user_id": "u"}) == partition


async def test_a_model_that_comes_later_makes_the_summary_anew(room: Room) -> None:
    await room.store(record("a"))
    await room.define()
    await room.replica(model=False).views.one("acme", "v", {"user_id": "u"})
    room.stub.replies = ["a summary"]
    assert (await room.replica().views.one("acme", "v", {"user_id": "u"})).summary == "a summary"


async def test_filters_window_prompt_and_model_of_the_view_are_heeded(room: Room) -> None:
    recent = datetime.now(UTC) - timedelta(days=1)
    await room.store(
        record("a", at=recent, topics=["tea"]),
        record("b", at=recent, topics=["cake"]),
        record("c", at=recent - timedelta(days=30), topics=["tea"]),
        record("d", at=recent, topics=["tea"], memory_type="semantic"),
    )
    filters: dict[str, object] = {"topics": {"any": ["tea"]}, "memory_type": "message"}
    await room.define(SummaryView(id="v", filters=filters, time_window_days=7, prompt="In Dutch", model_name="other"))
    partition = await room.replica().views.one("acme", "v", {})
    assert (partition.group, partition.memory_ids) == ({}, ["a"])
    assert room.stub.requests[0]["model"] == "other"
    assert room.stub.requests[0]["messages"][0]["content"].startswith("In Dutch")


async def test_more_than_fits_one_prompt_goes_on_in_the_next_with_the_summary_so_far(room: Room) -> None:
    long = " ".join(["word"] * 400)
    await room.store(*(record(f"m{number:03}", f"{number:03} {long}", at=NOW + timedelta(seconds=number)) for number in range(90)))
    await room.define()
    room.stub.replies = [f"summary {number}" for number in range(1, 10)]
    views = room.replica()
    partition = await views.views.one("acme", "v", {"user_id": "u"})
    prompts = list(room.asked)
    assert len(prompts) > 2
    assert [number for prompt in prompts for number in range(90) if f": {number:03} word" in prompt] == list(range(90))
    assert ["Summary so far:" in prompt for prompt in prompts] == [False] + [True] * (len(prompts) - 1)
    assert prompts[1].startswith("Summary so far:\nsummary 1\n\n")
    assert partition.summary == f"summary {len(prompts)}"
    assert partition.memory_count == 90
    await room.store(record("m999", "one more", at=NOW + timedelta(days=1)))
    await views.views.one("acme", "v", {"user_id": "u"})
    assert len(room.asked) == len(prompts) + 1, "the prompts before the last one are in the journal"


async def test_a_refusal_is_told_and_an_earlier_summary_stays(room: Room) -> None:
    await room.store(record("a"))
    await room.define()
    views = room.replica()
    room.stub.trouble = Trouble(mode="400")
    failed = await views.views.one("acme", "v", {"user_id": "u"})
    assert (failed.summary, failed.memory_count, (await room.partitions())["u"].summary) == (FAILED, 1, FAILED)
    room.stub.trouble = Trouble()
    room.stub.replies = ["a summary"]
    assert (await views.views.one("acme", "v", {"user_id": "u"})).summary == "a summary"
    await room.store(record("b"))
    room.stub.trouble = Trouble(mode="400")
    assert (await views.views.one("acme", "v", {"user_id": "u"})).summary == FAILED
    assert (await room.partitions())["u"].summary == "a summary"


async def test_a_run_whose_model_fails_is_tried_again_and_fails_with_its_error_in_the_end(room: Room) -> None:
    await room.store(record("a"), record("b", user="w"))
    await room.define()
    stream = await room.begin()
    views = room.replica()
    room.stub.trouble = Trouble(mode="400")
    for attempt in range(1, view_runs.ATTEMPTS):
        with pytest.raises(summary_views.NoSummary):
            await views.runs.do(stream)
        await views.runs._leases.failed(stream)
        assert (attempt, (await room.task()).status) == (attempt, "running")
    assert await views.runs.do(stream)
    task = await room.task()
    assert (task.status, task.completed_at is not None) == ("failed", True)
    assert task.error_message is not None
    assert task.error_message.startswith("2 of 2 partitions have no summary: ")
    assert "stub says 400" in task.error_message
    assert {one.summary for one in (await room.partitions()).values()} == {FAILED}


async def test_a_failure_of_one_group_does_not_keep_the_others_from_their_summary(room: Room) -> None:
    await room.store(record("a"), record("b", "unspeakable", user="w"), record("c", user="x"))
    await room.define()
    stream = await room.begin()
    views = room.replica()
    room.stub.refuse_completions_with = "unspeakable"
    with pytest.raises(summary_views.NoSummary, match="1 of 3"):
        await views.runs.do(stream)
    found = await room.partitions()
    assert {group for group, one in found.items() if one.summary == FAILED} == {"w"}
    room.stub.refuse_completions_with = ""
    paid = len(room.stub.charged)
    assert await views.runs.do(stream)
    assert (await room.task()).status == "success"
    assert len(room.stub.charged) == paid + 1


async def test_a_run_of_a_view_that_is_gone_fails(room: Room) -> None:
    await room.define()
    stream = await room.begin()
    await room.system.send(DeleteSummaryView(view_id="v"), scope=OWNER)
    await room.replica().runs.do(stream)
    task = await room.task()
    assert (task.status, task.error_message) == ("failed", "SummaryView v not found")
    with pytest.raises(NotFound):
        await room.replica().views.one("acme", "v", {"user_id": "u"})


async def test_an_index_that_is_behind_the_log_is_not_taken_for_an_empty_one(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.store(record("a"))
    await room.define()
    views = room.replica()
    await views.views.one("acme", "v", {"user_id": "u"})
    monkeypatch.setattr(summary_views, "INDEX_SECONDS", 0.0)
    await room.stop()
    await room.system.redis.delete(checkpoint_key(MEMORY_INDEX))
    with pytest.raises(Unavailable, match="memory-index"):
        await views.views.one("acme", "v", {"user_id": "u"})
    assert not (await room.partitions())["u"].empty


async def test_two_workers_make_one_result(room: Room) -> None:
    await room.store(*(record(f"m{number}", user=f"u{number}") for number in range(12)))
    await room.define()
    streams = [await room.begin("t1"), await room.begin("t2")]
    one, two = room.replica(), room.replica()
    await asyncio.gather(
        one.runs.do(streams[0]), two.runs.do(streams[1]), *(each.views.one("acme", "v", {"user_id": "u3"}) for each in (one, two))
    )
    assert [(await room.task(id_)).status for id_ in ("t1", "t2")] == ["success", "success"]
    assert (room.stub.counts["completions"], await room.count("PartitionSummarized")) == (12, 12)


def replica(room: Room) -> tuple[str, ...]:
    """What starts one as a process of its own; its lease ends after 900 ms."""
    return "support.view_worker", room.system.database_url, room.system.redis_url, room.stub.base_url, "900"


async def test_a_worker_that_is_killed_in_the_middle_is_followed_by_another_and_nothing_is_paid_twice(
    room: Room, forked: Forking
) -> None:
    await room.store(*(record(f"m{number}", user=f"u{number}") for number in range(6)))
    await room.define()
    await room.begin()
    async with forked.process(*replica(room)) as first:
        room.stub.before_answering = lambda: first.send_signal(signal.SIGKILL)
        await asyncio.wait_for(first.wait(), 60)
    assert (await room.task()).status == "running"
    async with forked.process(*replica(room)):

        async def ended() -> bool:
            return (await room.task()).status == "success"

        await wait_until(ended, "another worker has finished the task", 60)
    found = await room.partitions()
    assert len(found) == 6
    assert all(one.summary and one.summary != FAILED for one in found.values())
    assert len(room.stub.charged) == 6, "what was paid for before the crash is asked again under the same key"
    assert await room.count("PartitionSummarized") == 6
    assert await room.count("TaskChanged") == 3


async def test_tasks_survive_the_loss_of_redis(room: Room) -> None:
    await room.store(record("a"))
    await room.define()
    stream = await room.begin()
    await room.system.redis.flushall()
    assert await tasks.opened(room.system.redis) == {}
    await room.system.catch_up()
    assert set(await tasks.opened(room.system.redis)) == {stream}
    assert [result.examples for result in (await room.system.examined()).values()] == [[]] * 8
    await room.replica().runs.do(stream)
    assert (await room.task()).status == "success"


async def test_an_entry_of_a_task_that_has_ended_is_only_taken_out(room: Room) -> None:
    await room.define()
    stream = await room.begin()
    views = room.replica()
    await views.runs.do(stream)
    await tasks.changed(room.system.redis, [(stream, Task(id="t", view_id="v", created_at=NOW))])
    assert await views.runs.due(10) == [stream]
    assert await views.runs.do(stream)
    assert (await views.runs.due(10), await views.runs.waiting()) == ([], 0)
    assert await room.count("TaskChanged") == 3


async def test_continuous_views_are_made_anew_when_the_job_is_due_once(room: Room) -> None:
    await room.store(record("a"))
    await room.define()
    await room.define(SummaryView(id="c", group_by=["user_id"], continuous=True, model_name="stub"))
    await room.system.send(CreateSummaryView(view=SummaryView(id="d", continuous=True)), scope=Scope(tenant="other"))
    one, two = room.replica(), room.replica()
    made = await asyncio.gather(one.refreshing.made(1_000), two.refreshing.made(1_000))
    assert {id_ for ids in made for id_ in ids} == {"c-1000", "d-1000"}
    assert await room.count("TaskChanged") == 2
    await room.system.catch_up()
    for stream in await one.runs.due(10):
        await one.runs.do(stream)
    assert list(await room.partitions("c")) == ["u"]
    assert await room.partitions("v") == {}
    await one.refreshing.made(1_000)
    assert await room.count("TaskChanged") == 6
    assert await one.refreshing.run(2_000) == {"tasks": "2"}
    assert await room.count("TaskChanged") == 8


async def test_a_partition_that_somebody_waits_for_is_answered_over_the_bus(room: Room) -> None:
    await room.store(record("a"))
    await room.define()
    views, settings = room.replica(), Settings(redis_url=room.system.redis_url)
    gateway = LoggedViews(room.log, room.system.redis, patience=30, new_id=lambda: "r1", clock=lambda: NOW)
    broker = make_broker(settings)
    subscribe(broker, PARTITION_RUNS, PARTITION_RUNS_GROUP, "c", views.requests.handle, batch=4, claim_after_ms=30_000)
    await broker.start()
    try:
        room.stub.replies = ["a summary"]
        partition = await gateway.run("acme", "v", {"user_id": "u"})
        assert (partition.summary, await gateway.partitions("acme", "v")) == ("a summary", [partition])
        assert await room.system.redis.xlen(PARTITION_RUNS) == 0
        other = LoggedViews(room.log, room.system.redis, patience=30, new_id=lambda: "r2", clock=lambda: NOW)
        with pytest.raises(NotFound, match="SummaryView w not found"):
            await other.run("acme", "w", {"user_id": "u"})
        await room.system.redis.xadd(PARTITION_RUNS, {"__data__": b"no request"})
        third = LoggedViews(room.log, room.system.redis, patience=30, new_id=lambda: "r3", clock=lambda: NOW)
        assert await third.run("acme", "v", {"user_id": "u"}) == partition
        await views.requests.drain()
    finally:
        await broker.stop()


async def test_a_partition_that_takes_too_long_is_told_to_come_later(room: Room) -> None:
    gateway = LoggedViews(room.log, room.system.redis, patience=0, new_id=lambda: "r", clock=lambda: NOW)
    with pytest.raises(Unavailable, match="still being summarised"):
        await gateway.run("acme", "v", {"user_id": "u"})


async def test_nobody_waits_for_a_partition_when_no_summarizer_is_there(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_views, "LOOK_SECONDS", 0.0)
    gateway = LoggedViews(room.log, room.system.redis, patience=60, new_id=lambda: "r", clock=lambda: NOW)
    with pytest.raises(Unavailable, match="no replica of the summarizer is alive"):
        await gateway.run("acme", "v", {"user_id": "u"})


async def test_a_request_that_a_flush_took_away_is_made_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.store(record("a"))
    await room.define()
    monkeypatch.setattr(gateway_views, "LOOK_SECONDS", 0.0)
    redis = room.system.redis
    await redis.hset(heartbeat_key("summarizer"), "somebody", int(datetime.now(UTC).timestamp() * 1000) + 60_000)
    gateway = LoggedViews(room.log, redis, patience=60, new_id=lambda: "r", clock=lambda: NOW)
    waiting = asyncio.create_task(gateway.run("acme", "v", {"user_id": "u"}))
    await wait_until(lambda: redis.xlen(PARTITION_RUNS), "the request is there")
    await redis.delete(PARTITION_RUNS)
    await wait_until(lambda: redis.xlen(PARTITION_RUNS), "the request is there again")
    ((id_, fields),) = await redis.xrange(PARTITION_RUNS)
    await ensure_group(redis, PARTITION_RUNS, PARTITION_RUNS_GROUP)
    views = room.replica(model=False)
    await views.requests.handle([Entry(id_, fields)])
    assert (await waiting).summary.startswith(NO_MODEL)
    await views.requests.drain()


async def test_readers_see_views_in_order_and_tasks_for_a_week(room: Room) -> None:
    for id_ in ("z", "a", "m"):
        await room.define(SummaryView(id=id_))
    await room.system.send(DeleteSummaryView(view_id="a"), scope=OWNER)
    await room.system.send(CreateSummaryView(view=SummaryView(id="x")), scope=Scope(tenant="acm"))
    await room.system.send(CreateSummaryView(view=SummaryView(id="y")), scope=Scope(tenant="acme/b"))
    clock = [datetime.now(UTC)]
    gateway = LoggedViews(room.log, room.system.redis, patience=1, new_id=str, clock=lambda: clock[0])
    assert [view.id for view in await gateway.views("acme")] == ["z", "m"]
    assert await gateway.view("acme", "a") is None
    assert [state.stream for state in await room.log.newest_under(view_streams())] == sorted(
        ["view/acm/x", "view/acme/a", "view/acme/m", "view/acme/z", "view/acme%2Fb/y"]
    )
    stream = await room.begin("t", "z")
    await room.replica().runs.do(stream)
    assert (await room.task()).status == "success"
    assert await gateway.task("acme", "t") == await room.task()
    clock[0] += timedelta(days=7, minutes=1)
    assert await gateway.task("acme", "t") is None
    await room.begin("open", "z")
    assert await gateway.task("acme", "open") is not None


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
async def test_everything_is_seen_once_however_many_share_a_moment(room: Room, page: int) -> None:
    times = [NOW] * 7 + [NOW + timedelta(microseconds=1)] + [NOW - timedelta(days=1)] * 4
    await room.store(*(record(f"m{number}", at=at) for number, at in enumerate(times)), record("x", user="w"))
    found = [one.id async for one in everything(MemorySearch(room.system.redis), "acme", view_filters({"user_id": "u"}), page=page)]
    assert sorted(found) == sorted(f"m{number}" for number in range(len(times)))
