"""A rolling restart under load: every process is told to stop, one replica of each service at a time, and who writes meanwhile
notices nothing but a wait."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Self

import psycopg
import pytest
from redis.asyncio import Redis

from agent_memory.client import MemoryClient
from agent_memory.client.grpc_clients import TimelineClient
from agent_memory.contracts.streams import (
    COMMANDS,
    COMPACTIONS,
    COMPACTOR_GROUP,
    EVENTS,
    INGEST_GROUP,
    PARTITION_RUNS,
    PARTITION_RUNS_GROUP,
    PROJECTIONS,
    heartbeat_key,
)
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until
from support.forks import fork
from support.forwarder import Replica, forwarding
from support.servers import stack_environment, temporary_home

NOW_MS = 1_772_000_000_000
TWICE = {"gateway": 2, "ingest": 2, "indexer": 2}
ROUNDS = (
    ("ingest", "gateway", "indexer"),
    ("rollup", "summarizer", "compactor", "scheduler"),
    ("ingest-2", "gateway-2", "indexer-2"),
)
GROUPS = {
    (COMMANDS, INGEST_GROUP): "ingest",
    (COMPACTIONS, COMPACTOR_GROUP): "compactor",
    (PARTITION_RUNS, PARTITION_RUNS_GROUP): "summarizer",
    **{(EVENTS, projection): service for projection, service in PROJECTIONS.items()},
}
Write = Callable[[str], Awaitable[bool]]


class Writers:
    """Write one thing after the other, each of its own id, while the block runs. `acknowledged` are the ids that were answered."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[str]] = {}
        self.old: list[str] = []
        self._stopping = False
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Each finishes what it is about; raises what a client raised. After a failure they are ended at once."""
        self._stopping = True
        for task in self._running if kind else ():
            task.cancel()
        failures = await asyncio.gather(*self._running, return_exceptions=True)
        for failure in failures:
            if failure is not None and not kind:
                raise failure

    def start(self, kind: str, number: int, write: Write) -> None:
        self._running.append(asyncio.create_task(self._run(kind, number, write)))

    def progress(self) -> int:
        """How much has been acknowledged. Raises what a client has raised by now."""
        for task in self._running:
            if task.done():
                task.result()
        return sum(map(len, self.acknowledged.values()))

    async def _run(self, kind: str, number: int, write: Write) -> None:
        done = self.acknowledged.setdefault(kind, [])
        while not self._stopping:
            id_ = f"{kind}-{number}-{len(done)}"
            if not await write(id_):
                self.old.append(id_)
            done.append(id_)


@pytest.fixture
async def stack() -> AsyncIterator[tuple[Stack, list[str]]]:
    """And what its supervisor told."""
    told: list[str] = []
    with temporary_home() as path:
        stack = Stack(path, environment=stack_environment(EMBEDDING_MODEL="hash"), replicas=TWICE, tell=told.append, spawn=fork)
        await asyncio.to_thread(stack.start)
        try:
            yield stack, told
        finally:
            await asyncio.to_thread(stack.stop)


async def restart(stack: Stack, names: Sequence[str]) -> None:
    """SIGTERM to all of them, their end, successors that are ready."""
    pids = {name: stack.kill(name, signal.SIGTERM) for name in names}

    def replaced() -> bool:
        return all(stack.pids().get(name, pid) != pid for name, pid in pids.items())

    await wait_until(replaced, f"{names} have successors", timeout=60)
    await asyncio.to_thread(stack.wait_ready, 90)


def start_writers(writers: Writers, memory: MemoryClient, timeline: TimelineClient, number: int) -> None:
    def event(id_: str) -> dict[str, object]:
        return {"event_id": id_, "session_id": f"talk-{number}", "timestamp_ms": NOW_MS, "event_type": "user_message", "text": id_}

    async def by_http(id_: str) -> bool:
        return (await memory.record_events([event(id_)])).created == 1

    async def by_grpc(id_: str) -> bool:
        return (await timeline.ingest(event(id_)))[1]

    async def message(id_: str) -> bool:
        sent = {"id": id_, "role": "user", "content": id_}
        return (await memory.append_messages(f"session-{number}", [sent])).created == [True]

    async def remember(id_: str) -> bool:
        await memory.create_long_term_memory([{"id": id_, "text": id_}], deduplicate=False)
        return True

    for kind, write in (("http", by_http), ("grpc", by_grpc), ("message", message), ("memory", remember)):
        writers.start(kind, number, write)


def recorded(database_url: str) -> tuple[Counter[str], Counter[str]]:
    """How often each event and message, and each memory, stands in the log."""
    with psycopg.connect(database_url) as connection:
        events = connection.execute("SELECT event_id FROM events WHERE event_id IS NOT NULL").fetchall()
        memories = connection.execute("SELECT stream FROM events WHERE type = 'MemoryStored'").fetchall()
    return Counter(id_ for (id_,) in events), Counter(stream.rpartition("/")[2] for (stream,) in memories)


async def test_a_rolling_restart_under_load_costs_no_write_and_no_client_an_error(stack: tuple[Stack, list[str]]) -> None:
    system, told = stack
    grpc = [Replica(ready=f"{url}/ready", port=port) for url, port in zip(system.http_urls, system.grpc_ports, strict=True)]
    http = [Replica(ready=f"{url}/ready", port=int(url.rpartition(":")[2])) for url in system.http_urls]
    async with (
        forwarding(http) as http_port,
        forwarding(grpc) as grpc_port,
        MemoryClient(f"http://127.0.0.1:{http_port}") as one,
        MemoryClient(f"http://127.0.0.1:{http_port}") as two,
        await TimelineClient.connect(f"http://127.0.0.1:{grpc_port}") as three,
        await TimelineClient.connect(f"http://127.0.0.1:{grpc_port}") as four,
        Writers() as writers,
    ):
        start_writers(writers, one, three, 1)
        start_writers(writers, two, four, 2)
        for names in ROUNDS:
            before = writers.progress()
            await restart(system, names)
            await wait_until(lambda before=before: writers.progress() > before, f"writes go on after {names}", timeout=30)

    events, memories = recorded(system.database_url)
    said = [id_ for kind in ("http", "grpc", "message") for id_ in writers.acknowledged[kind]]
    assert all(len(ids) > len(ROUNDS) for ids in writers.acknowledged.values())
    assert events == Counter(said)
    assert memories == Counter(writers.acknowledged["memory"])
    assert writers.old == []
    ends = Counter(match.groups() for line in told if (match := re.match(r"(\S+) died \((.+)\)", line)))
    assert ends == Counter((name, "exit code 0") for names in ROUNDS for name in names)
    async with Redis.from_url(system.redis_url, decode_responses=True) as redis:
        await groups_are_tidy(redis)


async def groups_are_tidy(redis: Redis) -> None:
    """Nothing is pending, and those who read are those who live."""
    for (stream, group), service in GROUPS.items():

        async def done(stream: str = stream, group: str = group) -> bool:
            return bool((await redis.xpending(stream, group))["pending"] == 0)

        async def present(stream: str = stream, group: str = group, service: str = service) -> bool:
            names = {consumer["name"] for consumer in await redis.xinfo_consumers(stream, group)}
            return names == set(await redis.hkeys(heartbeat_key(service))) and len(names) == TWICE.get(service, 1)

        await wait_until(done, f"nothing is pending in {group}", timeout=30)
        await wait_until(present, f"who reads {group} lives, and is there once for each replica", timeout=30)
