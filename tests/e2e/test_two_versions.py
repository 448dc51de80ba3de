"""An upgrade while the system is used: two versions of ingest and of the indexer on one bus, the newer with a kind of event and a
step of the schema that the older has never heard of."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from redis.asyncio import Redis

from agent_memory.client import ConnectionFailed, MemoryClient, Retry
from agent_memory.contracts.streams import DEAD_LETTERS, INGEST_GROUP, MEMORY_INDEX, heartbeat_key
from agent_memory.embedded.ports import free_ports
from agent_memory.embedded.prepare import last_step, prepare
from agent_memory.readmodels.progress import Ledger
from support.controls import wait_until
from support.next_version import IS, WAS, made, running

PREPARE = "import os; from agent_memory.embedded.prepare import prepare; print(prepare(os.environ['DATABASE_URL']))"


@asynccontextmanager
async def gateway(environment: dict[str, str], **more: str) -> AsyncIterator[MemoryClient]:
    """A gateway, and a client of it."""
    http, grpc = free_ports(2)
    ports = {"HOST": "127.0.0.1", "GRPC_HOST": "127.0.0.1", "PORT": str(http), "GRPC_PORT": str(grpc), "DRAIN_SECONDS": "0"}
    client = MemoryClient(f"http://127.0.0.1:{http}", retry=Retry(attempts=20, first_wait=0.2, longest_wait=1.0))
    async with running("gateway", **environment, **ports, **more) as process, client:

        async def ready() -> bool:
            if process.returncode is not None and process.stderr is not None:
                raise AssertionError((await process.stderr.read()).decode())
            try:
                return (await client.ready()).ready
            except ConnectionFailed:
                return False

        await wait_until(ready, "the gateway is ready", timeout=60)
        yield client


def types(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [str(kind) for (kind,) in connection.execute("SELECT type FROM events ORDER BY position")]


def memory_at(database_url: str, position: int) -> str:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT data -> 'record' ->> 'id' FROM events WHERE position = %s", (position,)).fetchone()
    assert row is not None
    return str(row[0])


async def test_an_upgrade_under_way_loses_nothing_and_can_be_taken_back(database_url: str, redis_url: str, tmp_path: Path) -> None:
    old = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "EMBEDDING_MODEL": "hash", "METRICS_PORT": "0"}
    new = {**old, "PYTHONPATH": made(tmp_path / "next", before=last_step())}
    redis = Redis.from_url(redis_url)
    ledger = Ledger(redis, MEMORY_INDEX)
    told = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", PREPARE], env={**os.environ, **new}, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "9001"
    async with running("ingest", **old), running("indexer", **old), running("ingest", **new), gateway(new) as memory:

        async def both() -> bool:
            return len(await redis.hgetall(heartbeat_key(INGEST_GROUP))) == 2

        await wait_until(both, "both ingests", timeout=60)
        number = 0
        while not {WAS, IS} <= set(types(database_url)):
            number += 1
            # The two take turns. Three commands a round, so that the edit is each one's in its turn.
            await memory.record_events([{"event_id": f"e{number}", "session_id": "s", "timestamp_ms": 1, "text": "on we go"}])
            await memory.create_long_term_memory([{"id": f"m{number}", "text": f"fact number {number}"}])
            await memory.edit_long_term_memory(f"m{number}", {"text": f"truth number {number}"})
        await wait_until(ledger.count_waiting, "the old indexer has met what it cannot read", timeout=60)
        async with running("indexer", **new):

            async def shown() -> bool:
                found = await memory.search_long_term_memory("", limit=100)
                return {one.text for one in found.memories} == {f"truth number {n}" for n in range(1, number + 1)}

            async def nothing_waits() -> bool:
                return await ledger.count_waiting() == 0

            await wait_until(shown, "every edit is found", timeout=60)
            await wait_until(nothing_waits, "every event is accounted for")
            # The old ingest cannot read what this is about: when it gets it, it leaves it to the new one.
            changed = types(database_url).index(IS) + 1
            edited = await memory.edit_long_term_memory(memory_at(database_url, changed), {"text": "nothing but the truth"})
            assert edited.text == "nothing but the truth"
        assert await redis.xlen(DEAD_LETTERS) == 0
    assert prepare(database_url) == "9001"  # the older one again
    await redis.aclose()
