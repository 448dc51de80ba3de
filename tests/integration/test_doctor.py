"""`agent-memory doctor` as a person and a program meet it, where there is nothing to examine or too much to wait for."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import COMMANDS, DEAD_LETTERS, INGEST_GROUP, PROJECTIONS, heartbeat_key, waiting_key
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.dead_letters import DeadLetter, bury
from support.servers import stack_environment, temporary_home
from support.small_system import SmallSystem
from support.typed import Ran, Typed

Telling = Callable[..., Awaitable[Ran]]


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    await small.send(RecordEvents(events=[TimelineEvent(event_id="e1", session_id="s", timestamp_ms=1, text="tea")]))
    yield small
    await small.close()


@pytest.fixture
def told(typed: Typed) -> Telling:
    """What `agent-memory doctor` says where the environment is this one."""

    async def tell(environment: dict[str, str], *arguments: str) -> Ran:
        return await asyncio.to_thread(typed.where, environment, "doctor", *arguments)

    return tell


def here(system: SmallSystem) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url}


async def test_where_nothing_runs_it_says_so(home: Path) -> None:
    argv = [sys.executable, "-m", "agent_memory.cli.main", "doctor"]
    environment = stack_environment(AGENT_MEMORY_HOME=str(home))
    said = await asyncio.to_thread(subprocess.run, argv, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 3
    assert "nothing runs" in said.stderr
    assert "agent-memory up" in said.stderr


async def test_a_server_that_does_not_answer_is_named(system: SmallSystem, told: Telling) -> None:
    no_redis = await told({**here(system), "REDIS_URL": "redis://127.0.0.1:1/0"})
    no_postgres = await told({**here(system), "DATABASE_URL": "postgresql://127.0.0.1:1/x"})
    assert (no_redis.code, no_redis.err.count("\n")) == (3, 2)
    assert "Redis does not answer" in no_redis.err
    assert (no_postgres.code, "Postgres does not answer" in no_postgres.err) == (3, True)


async def test_it_shows_servers_settings_lag_and_who_is_alive(system: SmallSystem, told: Telling) -> None:
    await system.catch_up()
    await system.redis.hset(heartbeat_key("indexer"), "one", 2**42)
    said = await told(here(system), "--json")
    found = json.loads(said.out)
    assert said.code == 0
    assert found["condition"]["head"] == 1
    postgres, redis = found["condition"]["servers"]
    assert {"fsync", "synchronous_commit", "full_page_writes"} == postgres["settings"].keys()
    assert {"appendonly", "maxmemory-policy", "search"} == redis["settings"].keys()
    views = {view["projection"]: view for view in found["condition"]["views"]}
    assert views.keys() == PROJECTIONS.keys()
    assert [(view["lag"], view["in_flight"]) for view in views.values()] == [(0, 0)] * len(views)
    assert views["memory-index"]["alive"] == 1
    assert [result["number"] for result in found["invariants"]] == list(range(1, 9))


async def test_it_waits_for_lag_only_as_long_as_it_is_told_to(system: SmallSystem, told: Telling) -> None:
    for service in set(PROJECTIONS.values()):
        await system.redis.hset(heartbeat_key(service), "one", 2**42)
    late = await told(here(system), "--wait", "0.3")
    assert "views still lag" in late.err
    await system.catch_up()
    assert (await told(here(system), "--wait", "30")).err == ""


async def test_commands_that_were_given_up_are_a_warning(system: SmallSystem, told: Telling) -> None:
    for _ in range(2):
        await bury(system.redis, DeadLetter(body=b"{", source=COMMANDS, group=INGEST_GROUP, error=ValueError("odd"), attempts=1))
    await system.catch_up()
    said = await told(here(system))
    assert said.code == 0
    assert "2 commands were given up" in said.out


async def test_dead_letters_are_a_warning_that_says_what_to_do(system: SmallSystem, told: Telling) -> None:
    await system.catch_up()
    await system.redis.xadd(DEAD_LETTERS, {"group": "contents", "position": 1, "source": "am:events"})
    await system.redis.hincrby("am:projection:{contents}:counters", "applied", -1)
    await system.redis.hincrby("am:projection:{contents}:counters", "dead_lettered", 1)
    said = await told(here(system))
    assert said.code == 0
    assert "agent-memory dead-letters list" in said.out


async def test_events_that_wait_for_an_upgrade_are_in_flight_and_a_warning_that_says_so(system: SmallSystem, told: Telling) -> None:
    await system.catch_up()
    await system.redis.hset(heartbeat_key("rollup"), "one", 2**42)
    await system.redis.zadd(waiting_key("contents"), {"1": 1})
    await system.redis.hincrby("am:projection:{contents}:counters", "applied", -1)
    said = await told(here(system), "--json")
    assert said.code == 0
    [contents] = [view for view in json.loads(said.out)["condition"]["views"] if view["projection"] == "contents"]
    assert (contents["lag"], contents["in_flight"]) == (0, 1)
    assert "contents: 1 events of a newer version wait for an upgraded replica of rollup" in said.out


async def test_a_log_that_a_newer_version_wrote_to_is_left_to_the_doctor_of_that_version(
    system: SmallSystem, told: Telling
) -> None:
    newer = NewEvent(stream="thought/1", version=1, type="ThoughtRecorded", scope=Scope(), data=b'{"type":"ThoughtRecorded"}')
    await EventStore(system.connections).append(Batch(events=[newer]), 1)
    said = await told(here(system))
    assert said.code == 1
    assert "ThoughtRecorded was written by a newer version" in said.err
    assert "Traceback" not in said.err
    await system.catch_up()
    assert [await Ledger(system.redis, name).waiting() for name in PROJECTIONS] == [[2]] * len(PROJECTIONS)
