"""Changes of memories that leave their text alone: the documents follow without their vectors being fetched, or written, again."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from agent_memory.contracts.commands import EditMemory, EnrichMemory, ForgetMemories, StoreMemories, TouchMemories
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.queries import MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.ingest.memories import memory_hash
from agent_memory.readmodels import generations, writes
from agent_memory.readmodels.indexing import Indexing
from agent_memory.readmodels.search import MemorySearch
from support.small_system import SmallSystem

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)
TYPES = ["MemoryStored", "MemoryEdited", "MemoryForgotten"]


def record(id_: str, text: str = 'likes tea,"session_id":', **fields: object) -> MemoryRecord:
    return MemoryRecord(id=id_, text=text, created_at=NOON, updated_at=NOON, last_accessed=NOON, **fields)  # type: ignore[arg-type]


class Counting:
    """The stored vectors, and how many were asked for."""

    def __init__(self, system: SmallSystem) -> None:
        self._vectors = system.vectors
        self.asked = 0

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        self.asked += len(hashes)
        return await self._vectors.find(model, hashes)

    async def keep(self, model: str, vectors: dict[bytes, bytes]) -> dict[bytes, bytes]:
        return await self._vectors.keep(model, vectors)


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    one = SmallSystem(database_url, redis_url)
    await one.catch_up()
    yield one
    await one.close()


async def events(system: SmallSystem) -> list[EventEnvelope]:
    return await system.log.after(0, types=TYPES)


async def documents(system: SmallSystem) -> dict[bytes, dict[bytes, bytes]]:
    keys = [key async for key in system.redis.scan_iter(match="am:doc:memory:*")]
    return {key: await system.redis.hgetall(key) for key in keys}


async def test_an_access_a_topic_and_a_pin_change_documents_without_any_vector(system: SmallSystem) -> None:
    await system.send(StoreMemories(memories=[record("a", session_id="s", topics=["x"]), record("b", "other")]))
    await system.catch_up()
    before = await documents(system)
    vectors = Counting(system)
    indexing = Indexing("memory", system.redis, system.embedder, vectors)
    topics = EnrichMemory(memory_id="a", memory_hash=memory_hash(record("a", session_id="s")), topics=["drinks"])
    await system.send(TouchMemories(memory_ids=["a"]), topics, EditMemory(memory_id="a", pinned=True, session_id="t"))
    for event in (await events(system))[2:]:
        await indexing.apply([event])
    assert vectors.asked == 0
    after = await documents(system)
    (key,) = (key for key in after if key.endswith(b":a"))
    assert after[key][b"vector"] == before[key][b"vector"]
    assert (after[key][b"pinned"], after[key][b"version"]) == (b"1", b"5")
    page = await MemorySearch(system.redis).search(
        SearchMemories(tenant="default", filters=MemoryFilters(topics=TagFilter(eq="drinks"), session_id=TagFilter(eq="t"))), None
    )
    assert [hit.id for hit in page.hits] == ["a"]
    assert {key: one for key, one in after.items() if key.endswith(b":b")} == {
        key: one for key, one in before.items() if key.endswith(b":b")
    }


async def test_a_field_that_went_leaves_the_document_and_one_of_another_text_is_written_whole(system: SmallSystem) -> None:
    await system.send(
        StoreMemories(memories=[record("a", topics=["x"])]),
        EditMemory(memory_id="a", text="likes milk"),
        EditMemory(memory_id="a", topics=[]),
    )
    first, second, third = await events(system)
    vectors = Counting(system)
    indexing = Indexing("memory", system.redis, system.embedder, vectors)
    await indexing.apply([first])
    await indexing.apply([third])  # the document still has the text of before: no amendment
    await indexing.apply([second])
    (document,) = (await documents(system)).values()
    assert (document[b"text"], document[b"version"], b"topics" in document) == (b"likes milk", b"3", False)
    await system.send(EditMemory(memory_id="a", topics=["y"]), EditMemory(memory_id="a", topics=[]))
    asked = vectors.asked
    for event in (await events(system))[3:]:
        await indexing.apply([event])
    (document,) = (await documents(system)).values()
    assert (document[b"version"], b"topics" in document, vectors.asked) == (b"5", False, asked)


async def test_any_order_and_any_batches_give_the_documents_that_the_log_says(system: SmallSystem) -> None:
    choice = random.Random(7)
    for number in range(120):
        memory_id = choice.choice("abcd")
        await system.send(
            choice.choice(
                [
                    StoreMemories(memories=[record(memory_id, choice.choice(["tea", "milk"]))], deduplicate=False),
                    TouchMemories(memory_ids=[memory_id], every_seconds=0),
                    ForgetMemories(memory_ids=[memory_id]),
                ]
            )
        )
        if number % 3 == 0 and await system.log.memory_record("default", memory_id):
            await system.send(EditMemory(memory_id=memory_id, topics=[str(number)]))
    await system.catch_up()
    expected = await documents(system)
    assert expected
    live = (await generations.registry(system.redis, "memory")).live
    assert live is not None
    for _ in range(3):
        await system.redis.delete(*expected, *[writes.tombstone_key("memory", "default", one) for one in "abcd"])
        shuffled = await events(system) * 2
        choice.shuffle(shuffled)
        indexing = system.indexing("memory")
        while shuffled:
            size = choice.randint(1, 9)
            await indexing.apply(sorted(shuffled[:size], key=lambda event: event.position))
            del shuffled[:size]
        assert await documents(system) == expected
    examined = await system.examined()
    assert {number: one.examples for number, one in examined.items() if not one.ok} == {}
    assert (await system.redis.exists(f"am:projection:{{{MEMORY_INDEX}}}:checkpoint")) == 1


async def test_a_rebuild_writes_amended_memories_whole(system: SmallSystem) -> None:
    await system.send(StoreMemories(memories=[record("a")]), TouchMemories(memory_ids=["a"], every_seconds=0))
    await system.catch_up()
    before = [one for one in (await documents(system)).values()]
    async for _ in system.indexing("memory").rebuild(system.log, "FLAT"):
        pass
    assert [one for one in (await documents(system)).values()] == before
