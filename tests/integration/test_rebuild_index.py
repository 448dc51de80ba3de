"""Rebuilding an index: the same documents, no model called, no search that fails, no write that is lost."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agent_memory.cli.output import CommandError
from agent_memory.cli.reach import Servers
from agent_memory.cli.rebuild_index import Rebuilt, rebuild
from agent_memory.contracts.commands import ForgetMemories, RecordEvents, StoreMemories
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.queries import SearchMemories
from agent_memory.contracts.records import MemoryRecord, TimelineEvent
from agent_memory.readmodels import generations, indexing
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.indexing import RebuildStep
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime.settings import Settings
from support.controls import wait_until
from support.small_system import SmallSystem
from support.typed import Ran, Typed

NOW = datetime(2026, 1, 30, tzinfo=UTC)
STEP, MEMORIES = 200, 450
"""Of a rebuild, and more than two of them."""
MANY = 4_500
"""More than two of the steps that a rebuild takes by itself."""
SETTINGS = Settings(embedding_model="hash", redisvl_vector_dimensions=8)


def memory(number: int, text: str = "") -> MemoryRecord:
    said = text or f"memory {number} about tea"
    return MemoryRecord(id=f"m{number}", text=said, created_at=NOW, updated_at=NOW, last_accessed=NOW)


@asynccontextmanager
async def filled(database_url: str, redis_url: str, memories: int) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    for start in range(0, memories, 450):
        await small.send(StoreMemories(memories=[memory(number) for number in range(start, start + 450)]))
    await small.send(
        RecordEvents(events=[TimelineEvent(event_id="e1", session_id="s", timestamp_ms=1, text="tea is served")]),
        ForgetMemories(memory_ids=["m7"]),
    )
    await small.catch_up()
    yield small
    await small.close()


@pytest.fixture
async def system(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmallSystem]:
    """With steps so short that a rebuild of few memories takes several."""
    monkeypatch.setattr(indexing, "REBUILD_CHUNK", STEP)
    async with filled(database_url, redis_url, MEMORIES) as small:
        yield small


@pytest.fixture
async def large(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    async with filled(database_url, redis_url, MANY) as small:
        yield small


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
    assert len(steps) > (3 if kind == "memory" else 0)
    # Events that a later one of the same step undoes are not written first.
    assert done.documents >= (MEMORIES if kind == "memory" else 1)
    assert steps[-1].position == steps[-1].head
    assert (await generations.registry(system.redis, kind)).old == ()


async def test_no_search_fails_and_no_write_is_lost_while_it_is_rebuilt(large: SmallSystem) -> None:
    search, totals, over = MemorySearch(large.redis), [], asyncio.Event()
    vector = large.embedder.vectors(["tea"])[0]

    async def searching() -> None:
        while not over.is_set():
            for text, known in ((None, None), ("tea", vector)):
                page = await search.search(SearchMemories(tenant="default", text=text, limit=5), known)
                assert len(page.hits) == 5
                totals.append(page.total)

    async def writing() -> None:
        number = MANY
        while not over.is_set():
            number += 1
            await large.send(StoreMemories(memories=[memory(number), memory(number % 50 + 10, f"changed by {number}")]))
            await large.send(ForgetMemories(memory_ids=[f"m{number - 100}"]))
            await large.catch_up()

    tasks = [asyncio.create_task(searching()), asyncio.create_task(writing())]
    done = [await rebuilt(large, "memory") for _ in range(2)]
    over.set()
    await asyncio.gather(*tasks)
    await large.catch_up()
    found = await large.examined()
    assert {number: result.examples for number, result in found.items()} == {number: [] for number in range(1, 9)}
    assert [one.generation for one in done] == [2, 3]
    assert totals
    assert min(totals) >= MANY // 2


async def test_a_rebuild_is_alone_however_long_a_step_of_it_takes(system: SmallSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "LOCK_MS", 1_500)
    redis, key, what = system.redis, indexing.lock_key("timeline"), ("hash@8", 8, "FLAT")
    async with indexing.building(redis, "timeline", *what):
        await redis.pexpire(key, 1_400)

        async def renewed() -> bool:
            return int(await redis.pttl(key)) > 1_400

        await wait_until(renewed, "the lock is renewed in the middle of a step")
        with pytest.raises(Conflict, match="being rebuilt already"):
            async with indexing.building(redis, "timeline", *what):
                pass
        await redis.set(key, "another, who came when it had run out all the same")
    assert await redis.exists(key)


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


async def test_the_command_prints_what_it_did_and_doctor_finds_nothing_wrong(system: SmallSystem, typed: Typed) -> None:
    places = {"DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url, "EMBEDDING_MODEL": "hash"}

    async def told(*arguments: str) -> Ran:
        return await asyncio.to_thread(typed.where, {**os.environ, **places}, *arguments)

    one = await told("rebuild-index", "--kind", "timeline")
    both = await told("rebuild_index", "--json")
    healthy = await told("doctor", "--json")
    table = await told("doctor", "--quick")
    await system.redis.hdel("am:projection:{contents}:counters", "applied")
    ill = await told("doctor")
    assert one.out.startswith("timeline index: generation 2, 1 documents")
    assert [(done["kind"], done["generation"], done["embedded"]) for done in json.loads(both.out)] == [
        ("memory", 2, 0),
        ("timeline", 3, 0),
        ("contents", 2, 0),
    ]
    assert (healthy.code, json.loads(healthy.out)["ok"]) == (0, True)
    assert (table.code, "all 8 hold" in table.out) == (0, True)
    assert ill.code == 1
    assert "contents counted" in ill.out
    assert "1 of 8 do not hold" in ill.out
