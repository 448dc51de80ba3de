"""Rebuilding an index: the same documents, no model called, no search that fails, no write that is lost."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from agent_memory.cli.output import CommandError
from agent_memory.cli.reach import Servers
from agent_memory.cli.rebuild_index import Rebuilt, rebuild
from agent_memory.contracts.commands import ForgetMemories, RecordEvents, StoreMemories
from agent_memory.contracts.queries import SearchMemories
from agent_memory.contracts.records import MemoryRecord, TimelineEvent
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.indexing import RebuildStep
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime.settings import Settings
from support.small_system import SmallSystem

NOW = datetime(2026, 1, 30, tzinfo=UTC)
MEMORIES = 4_500
"""More than two steps of a rebuild."""
SETTINGS = Settings(embedding_model="hash", redisvl_vector_dimensions=8)


def memory(number: int, text: str = "") -> MemoryRecord:
    said = text or f"memory {number} about tea"
    return MemoryRecord(id=f"m{number}", text=said, created_at=NOW, updated_at=NOW, last_accessed=NOW)


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    for start in range(0, MEMORIES, 500):
        await small.send(StoreMemories(memories=[memory(number) for number in range(start, start + 500)]))
    await small.send(
        RecordEvents(events=[TimelineEvent(event_id="e1", session_id="s", timestamp_ms=1, text="tea is served")]),
        ForgetMemories(memory_ids=["m7"]),
    )
    await small.catch_up()
    yield small
    await small.close()


async def rebuilt(
    system: SmallSystem, kind: Kind, steps: list[RebuildStep] | None = None, settings: Settings = SETTINGS
) -> Rebuilt:
    where = Servers(database_url=system.database_url, redis_url=system.redis_url)
    return await rebuild(kind, where, settings, (steps if steps is not None else []).append)


async def digest(system: SmallSystem, kind: Kind) -> str:
    live = (await generations.registry(system.redis, kind)).live
    assert live is not None
    return await generations.digest(system.redis, live)


@pytest.mark.parametrize("kind", ["memory", "timeline"])
async def test_the_rebuilt_index_is_the_same_and_no_text_was_embedded(system: SmallSystem, kind: Kind) -> None:
    before, steps = await digest(system, kind), []  # type: ignore[var-annotated]
    done = await rebuilt(system, kind, steps)
    assert await digest(system, kind) == before
    assert (done.generation, done.embedded) == (2, 0)
    # Events that a later one of the same step undoes are not written first.
    assert done.documents >= (MEMORIES if kind == "memory" else 1)
    assert steps[-1].position == steps[-1].head
    assert (await generations.registry(system.redis, kind)).old == ()


async def test_no_search_fails_and_no_write_is_lost_while_it_is_rebuilt(system: SmallSystem) -> None:
    search, totals, over = MemorySearch(system.redis), [], asyncio.Event()
    vector = system.embedder.vectors(["tea"])[0]

    async def searching() -> None:
        while not over.is_set():
            for text, known in ((None, None), ("tea", vector)):
                page = await search.search(SearchMemories(tenant="default", text=text, limit=5), known)
                assert len(page.hits) == 5
                totals.append(page.total)

    async def writing() -> None:
        number = MEMORIES
        while not over.is_set():
            number += 1
            await system.send(StoreMemories(memories=[memory(number), memory(number % 50 + 10, f"changed by {number}")]))
            await system.send(ForgetMemories(memory_ids=[f"m{number - 100}"]))
            await system.catch_up()

    tasks = [asyncio.create_task(searching()), asyncio.create_task(writing())]
    done = [await rebuilt(system, "memory") for _ in range(2)]
    over.set()
    await asyncio.gather(*tasks)
    await system.catch_up()
    found = await system.examined()
    assert {number: result.examples for number, result in found.items()} == {number: [] for number in range(1, 9)}
    assert [one.generation for one in done] == [2, 3]
    assert totals
    assert min(totals) >= MEMORIES // 2


async def test_a_rebuild_needs_no_model_and_does_not_change_it(system: SmallSystem) -> None:
    before = await digest(system, "memory")
    done = await rebuilt(system, "memory", settings=Settings(openai_api_key="of nobody"))
    live = (await generations.registry(system.redis, "memory")).live
    assert live is not None
    assert (live.model, done.embedded) == ("hash@8", 0)
    assert await digest(system, "memory") == before


async def test_a_text_without_a_vector_is_refused_when_the_settings_name_another_model(system: SmallSystem) -> None:
    await system.execute("DELETE FROM embeddings")
    with pytest.raises(CommandError, match="have no vector"):
        await rebuilt(system, "memory", settings=Settings(openai_api_key="of nobody"))
    known = await generations.registry(system.redis, "memory")
    assert known.live is not None
    assert (known.live.number, known.building) == (1, None)
    assert (await rebuilt(system, "memory")).embedded > 0


async def test_the_command_prints_what_it_did_and_doctor_finds_nothing_wrong(system: SmallSystem) -> None:
    here = {"DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url, "EMBEDDING_MODEL": "hash"}

    async def told(*arguments: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "agent_memory.cli.main", *arguments]
        run = subprocess.run
        return await asyncio.to_thread(run, argv, env={**os.environ, **here}, capture_output=True, text=True, check=False)

    one = await told("rebuild-index", "--kind", "timeline")
    both = await told("rebuild_index", "--json")
    healthy = await told("doctor", "--json")
    table = await told("doctor", "--quick")
    await system.redis.hdel("am:projection:{contents}:counters", "applied")
    ill = await told("doctor")
    assert one.stdout.startswith("timeline index: generation 2, 1 documents")
    assert [(done["kind"], done["generation"], done["embedded"]) for done in json.loads(both.stdout)] == [
        ("memory", 2, 0),
        ("timeline", 3, 0),
        ("contents", 2, 0),
    ]
    assert (healthy.returncode, json.loads(healthy.stdout)["ok"]) == (0, True)
    assert (table.returncode, "all 8 hold" in table.stdout) == (0, True)
    assert ill.returncode == 1
    assert "contents counted" in ill.stdout
    assert "1 of 8 do not hold" in ill.stdout
