"""Background work as it runs: leases, back-off, and a service that is killed between asking a model and recording the answer."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AnyCommand, ReplaceWorkingMemory, StoreMemories
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import MemoryRecord, Message, Scope
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.holding import held
from agent_memory.runtime import telemetry
from agent_memory.runtime.leases import Leases
from agent_memory.summarizer.working import Worker
from support.controls import wait_until
from support.forked import Forking
from support.stub_model import StubModel, stub_model

NOW = datetime(2026, 1, 30, tzinfo=UTC)
START_SECONDS = 60.0
INGEST, SUMMARIZER = "agent_memory.ingest.app", "agent_memory.summarizer.app"
TOLD = msgspec.json.encode(
    {
        "memories": [
            {"type": "semantic", "text": "User likes tea.", "topics": ["t"], "entities": ["e"], "event_date": None, "sources": [1]}
        ]
    }
).decode()
PUT = ReplaceWorkingMemory(session_id="s", messages=[Message(role="user", content="I like tea", id="m1", created_at=NOW)])
LONG = ReplaceWorkingMemory(
    session_id="s",
    messages=[Message(role="user", content=f"{one} " * 40, id=f"m{one}", created_at=NOW) for one in range(4)],
    token_limit=150,
)
LACKING = StoreMemories(memories=[MemoryRecord(id="m", text="tea", created_at=NOW, updated_at=NOW, last_accessed=NOW)])


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[LogReader]:
    connections = Connections(database_url)
    yield LogReader(connections)
    await connections.close()


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model(384) as running:
        yield running


@pytest.fixture
def environment(database_url: str, redis_url: str, stub: StubModel) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_API_BASE": stub.base_url,
        "EMBEDDING_MODEL": "hash",
        "GENERATION_MODEL": "stub",
        "FAST_MODEL": "stub",
        "EXTRACTION_DEBOUNCE_SECONDS": "0",
        "WORK_LEASE_SECONDS": "1",
    }


async def send(redis: Redis, command: AnyCommand) -> None:
    envelope = CommandEnvelope(id="c1", scope=Scope(), issued_ms=1, command=command)
    await redis.xadd(COMMANDS, {DATA_FIELD: encode(envelope)})


async def recorded(log: LogReader, type_: str) -> int:
    return len(await log.after(0, types=[type_]))


WORKS: dict[str, tuple[AnyCommand, dict[str, str], str, str]] = {
    "extraction": (PUT, {"ENABLE_NER": "false", "ENABLE_TOPIC_EXTRACTION": "false"}, TOLD, "MemoriesExtracted"),
    "summary": (LONG, {"ENABLE_DISCRETE_MEMORY_EXTRACTION": "false"}, "tea", "WorkingMemorySummarized"),
    "enrichment": (LACKING, {}, '{"topics": ["drinks"], "entities": ["tea"]}', "MemoryEdited"),
}


@pytest.mark.parametrize("work", WORKS)
async def test_a_service_killed_before_it_heard_the_answer_leads_to_one_result_and_one_charge(
    work: str, environment: dict[str, str], redis: Redis, log: LogReader, stub: StubModel, forked: Forking
) -> None:
    command, settings, reply, outcome = WORKS[work]
    stub.replies = [reply]
    async with forked.process(INGEST, **environment):
        async with forked.process(SUMMARIZER, **environment, **settings) as first:
            stub.before_answering = lambda: os.kill(first.pid, signal.SIGKILL)
            await send(redis, command)
            await asyncio.wait_for(first.wait(), START_SECONDS)
        assert await recorded(log, outcome) == 0
        async with forked.process(SUMMARIZER, **environment, **settings):
            await wait_until(lambda: _is(recorded(log, outcome), 1), "the work is done", START_SECONDS)
    assert len(stub.charged) == 1
    assert stub.counts["completions"] == 2
    assert len({headers["Idempotency-Key"] for headers in stub.headers}) == 1


@pytest.mark.parametrize("work", WORKS)
async def test_a_service_killed_between_the_answer_and_the_record_asks_nobody_again(
    work: str, environment: dict[str, str], redis: Redis, log: LogReader, stub: StubModel, forked: Forking
) -> None:
    command, settings, reply, outcome = WORKS[work]
    stub.replies = [reply]
    async with forked.process(INGEST, **environment) as ingest:
        async with forked.process(SUMMARIZER, **environment, **settings) as first:
            # What is put on the bus from now on lies there.
            stub.before_answering = lambda: ingest.send_signal(signal.SIGSTOP)
            await send(redis, command)

            async def answered() -> bool:
                return bool(await kept(environment["DATABASE_URL"])) and bool(await redis.xlen(COMMANDS))

            await wait_until(answered, "the answer is kept", START_SECONDS)
            first.kill()
            await first.wait()
            await redis.delete(COMMANDS)  # as if it had been killed before the command was sent
        assert await recorded(log, outcome) == 0
        ingest.send_signal(signal.SIGCONT)
        async with forked.process(SUMMARIZER, **environment, **settings):
            await wait_until(lambda: _is(recorded(log, outcome), 1), "the work is done", START_SECONDS)
    assert stub.counts["completions"] == len(stub.charged) == 1


async def test_two_replicas_pay_once(
    environment: dict[str, str], redis: Redis, log: LogReader, stub: StubModel, forked: Forking
) -> None:
    stub.replies = [TOLD]
    settings = {**environment, "ENABLE_NER": "false", "ENABLE_TOPIC_EXTRACTION": "false"}
    async with (
        forked.process(INGEST, **environment),
        forked.process(SUMMARIZER, **settings),
        forked.process(SUMMARIZER, **settings),
    ):
        await send(redis, PUT)
        await wait_until(lambda: _is(recorded(log, "MemoriesExtracted"), 1), "the work is done", START_SECONDS)
        await wait_until(lambda: _is(recorded(log, "MemoryStored"), 1), "the memory is there", START_SECONDS)
    assert len(stub.charged) == 1


class Chores:
    """Work that notes who did it and fails as often as it is told to."""

    name = "chores"
    ready = True

    def __init__(self, *, fails: int = 0, gate: asyncio.Event | None = None) -> None:
        self.fails = fails
        self.done: list[str] = []
        self.begun = 0
        self.most = 0
        self._gate = gate

    async def waiting(self) -> int:
        return 3 - len(self.done)

    async def due(self, limit: int) -> list[str]:
        return [item for item in ("a", "b", "c") if item not in self.done]

    async def do(self, item: str) -> bool:
        self.begun += 1
        self.most = max(self.most, self.begun - len(self.done))
        if self.fails:
            self.fails -= 1
            raise Unavailable("not now")
        if self._gate is not None:
            await self._gate.wait()
        self.done.append(item)
        return True


async def test_replicas_share_the_items_and_none_is_done_twice(redis: Redis) -> None:
    gate = asyncio.Event()
    chores = Chores(gate=gate)
    one, other = (Worker(chores, Leases(redis, "chores")) for _ in range(2))
    await one.look()
    await wait_until(lambda: chores.begun == 3, "all are begun")
    await other.look()
    await other.idle()
    assert chores.begun == 3
    gate.set()
    await one.idle()
    assert sorted(chores.done) == ["a", "b", "c"]


async def test_what_cannot_be_done_here_at_all_is_not_told_as_late(redis: Redis) -> None:
    def pending() -> float | None:
        return telemetry.REGISTRY.get_sample_value("agent_memory_work_pending", {"work": "chores"})

    gate = asyncio.Event()
    chores = Chores(gate=gate)
    worker = Worker(chores, Leases(redis, "chores"))
    chores.ready = False
    await worker.look()
    assert (pending(), chores.begun) == (0, 0)
    chores.ready = True
    await worker.look()
    assert pending() == 3
    gate.set()
    await worker.idle()


async def test_no_more_is_done_at_once_than_was_said(redis: Redis) -> None:
    gate = asyncio.Event()
    chores = Chores(gate=gate)
    worker = Worker(chores, Leases(redis, "chores"), at_once=2)
    await worker.look()
    await wait_until(lambda: chores.begun == 2, "two are begun")
    await worker.look()
    gate.set()
    await worker.idle()
    await worker.look()
    await worker.idle()
    assert (sorted(chores.done), chores.most) == (["a", "b", "c"], 2)


async def test_what_fails_is_put_off_for_every_replica_and_done_in_the_end(redis: Redis) -> None:
    chores = Chores(fails=3)
    worker, other = (Worker(chores, Leases(redis, "chores")) for _ in range(2))
    await worker.look()
    await worker.idle()
    assert chores.done == []
    await other.look()
    await other.idle()
    assert chores.begun == 3, "nobody tries again at once"
    running_on = asyncio.create_task(worker.run())
    await wait_until(lambda: len(chores.done) == 3, "all are done")
    running_on.cancel()
    await asyncio.gather(running_on, return_exceptions=True)


async def test_pauses_between_attempts_grow_and_end_with_success(redis: Redis) -> None:
    leases = Leases(redis, "chores")
    pauses = [await leases.failed("a") for _ in range(15)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == 600
    await leases.succeeded("a")
    assert await leases.failed("a") == 1


async def test_what_failed_while_a_clock_was_ahead_is_not_put_off_until_then(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(redis, "chores")
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: 4_000_000_000 * 10**9)
        await leases.failed("a")
        async with leases.held("a") as mine:
            assert not mine
    async with leases.held("a") as mine:
        assert mine


async def test_who_did_not_hear_that_a_lease_was_given_and_asks_again_has_it(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = redis.eval

    async def answered_twice(*arguments: Any) -> Any:
        """As after a connection that was lost with the answer: the client sends the same again."""
        await evaluated(*arguments)
        return await evaluated(*arguments)

    monkeypatch.setattr(redis, "eval", answered_twice)
    async with Leases(redis, "chores").held("a") as mine, held(redis, "am:something", 30_000) as ours:
        assert mine
        assert ours
    assert not await redis.exists("am:something")


async def test_a_lease_of_somebody_who_died_runs_out(redis: Redis) -> None:
    async with Leases(redis, "chores", lease_ms=200).held("a") as mine:
        assert mine
        await redis.set("am:lease:chores:{a}:holder", "somebody who died", px=50)

    async def free() -> bool:
        async with Leases(redis, "chores").held("a") as now:
            return now

    await wait_until(free, "the lease has run out")


async def test_a_holder_that_could_not_reach_redis_for_a_moment_keeps_the_lease(redis: Redis) -> None:
    key = "am:lease:chores:{a}:holder"

    async def refused() -> bool:
        return "errorstat_WRONGTYPE" in await redis.info("errorstats")

    async def renewed() -> bool:
        return 0 < await redis.pttl(key) <= 300

    await redis.config_resetstat()
    async with Leases(redis, "chores", lease_ms=300).held("a"):
        token = await redis.getset(key, "")
        await redis.delete(key)
        await redis.hset(key, "of", "another kind")
        await wait_until(refused, "a renewal has failed")
        await redis.set(key, token)  # it never ends by itself
        await wait_until(renewed, "it is renewed again")


async def kept(database_url: str) -> int:
    connections = Connections(database_url)
    async with connections.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM completions")).fetchone()
    await connections.close()
    return int(row[0]) if row else 0


async def _is(value: Awaitable[int], wanted: int) -> bool:
    return await value == wanted
