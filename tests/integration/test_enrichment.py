"""Topics and entities for memories that lack them: added to what is there, looked for once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from agent_memory.contracts.commands import EditMemory, ForgetMemories, StoreMemories, TouchMemories
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import MemoryRecord
from agent_memory.contracts.streams import ENRICHMENT, memory_stream
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.readmodels import enrichment
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer.enriching import Enrichment, Finders
from agent_memory.summarizer.looking import MEMORY_TYPES, KeepEnrichment
from agent_memory.summarizer.recording import Recorder
from support.small_system import SmallSystem
from support.stub_model import StubModel, Trouble, stub_model

NOW = datetime(2026, 1, 30, tzinfo=UTC)
FOUND = '{"topics": ["Drinks", "tea", "a,b", "more"], "entities": ["Oslo", "Anna"]}'


def memory(id_: str = "m", text: str = "Anna drinks tea in Oslo", **given: object) -> MemoryRecord:
    record = MemoryRecord(id=id_, text=text, created_at=NOW, updated_at=NOW, last_accessed=NOW)
    return msgspec.structs.replace(record, **given)


class Room:
    """A system and who looks closer."""

    def __init__(self, system: SmallSystem, stub: StubModel) -> None:
        self.system, self.stub = system, stub
        self.model = Journal(
            create_completer(Settings(fast_model="stub", openai_api_base=stub.base_url), fast=True),
            CompletionStore(system.connections),
        )

    def looking(self, finders: Finders | None = None) -> Enrichment:
        recorder = Recorder(self.system.redis, self.system.log, ENRICHMENT, patience=0)
        finders = finders or Finders(topics="model", entities="model", most_topics=3)
        return Enrichment(self.system.redis, self.system.log, self.model, recorder, finders)

    async def enriched(self, finders: Finders | None = None) -> int:
        looking = self.looking(finders)
        await self.system.catch_up()
        done = [await looking.do(stream) for stream in await looking.due(100)]
        await self.system.deliver()
        await self.system.catch_up()
        return sum(done)

    async def record(self, id_: str = "m") -> MemoryRecord:
        found = await self.system.log.memory_record("default", id_)
        assert found is not None
        return msgspec.json.decode(found[0], type=MemoryRecord)


@pytest.fixture
async def room(database_url: str, redis_url: str) -> AsyncIterator[Room]:
    system = SmallSystem(database_url, redis_url)
    async with stub_model() as stub:
        room = Room(system, stub)
        yield room
        await room.model.close()
    await system.close()


async def test_what_is_found_is_added_and_nobody_looks_again(room: Room) -> None:
    room.stub.replies = [FOUND]
    await room.system.send(StoreMemories(memories=[memory()]))
    assert await room.enriched() == 1
    record = await room.record()
    assert (record.topics, record.entities) == (["Drinks", "tea", "a b"], ["Oslo", "Anna"])
    assert await room.enriched() == 0
    assert [result.examples for result in (await room.system.examined()).values()] == [[]] * 8


async def test_given_topics_stay_and_only_what_is_lacking_is_looked_for(room: Room) -> None:
    room.stub.replies = [FOUND]
    await room.system.send(StoreMemories(memories=[memory(topics=["mine"])]))
    await room.enriched()
    record = await room.record()
    assert (record.topics, record.entities) == (["mine"], ["Oslo", "Anna"])


async def test_a_memory_that_has_both_is_left_alone(room: Room) -> None:
    await room.system.send(StoreMemories(memories=[memory(topics=["a"], entities=["b"])]))
    assert await room.enriched() == 0
    assert room.stub.counts["completions"] == 0


async def test_that_nothing_was_found_is_remembered(room: Room) -> None:
    room.stub.replies = ['{"topics": [], "entities": []}']
    await room.system.send(StoreMemories(memories=[memory()]))
    before = (await room.record()).updated_at
    assert await room.enriched() == 1
    await room.system.send(TouchMemories(memory_ids=["m"], every_seconds=0))
    assert await room.enriched() == 0
    assert (await room.record()).updated_at == before
    assert await enrichment.waiting(room.system.redis) == 0


async def test_a_memory_that_says_something_new_is_looked_at_again(room: Room) -> None:
    room.stub.replies = ['{"topics": [], "entities": []}', FOUND]
    await room.system.send(StoreMemories(memories=[memory()]))
    await room.enriched()
    await room.system.send(EditMemory(memory_id="m", text="Anna drinks coffee"))
    assert await room.enriched() == 1
    assert (await room.record()).entities == ["Oslo", "Anna"]


async def test_what_was_found_in_an_older_text_is_not_added_to_a_newer_one(room: Room) -> None:
    room.stub.replies = [FOUND]
    await room.system.send(StoreMemories(memories=[memory()]))
    await room.system.catch_up()
    (stream,) = await room.looking().due(10)
    await room.looking().do(stream)
    await room.system.send(EditMemory(memory_id="m", text="nothing of it"))
    await room.system.deliver()
    assert (await room.record()).topics == []
    await room.system.catch_up()
    assert await room.looking().due(10) == [stream]


async def test_a_forgotten_memory_is_not_looked_at(room: Room) -> None:
    await room.system.send(StoreMemories(memories=[memory()]), ForgetMemories(memory_ids=["m"]))
    assert await room.enriched() == 0
    assert not await room.looking().do(memory_stream("default", "m"))


async def test_a_model_that_is_away_leaves_them_waiting(room: Room) -> None:
    room.stub.trouble = Trouble(mode="429", retry_after="3600")
    await room.system.send(StoreMemories(memories=[memory()]))
    with pytest.raises(Unavailable):
        await room.enriched()
    assert await room.looking().waiting() == 1


async def test_models_on_this_machine_look_too_and_who_is_off_does_not(room: Room) -> None:
    await room.system.send(StoreMemories(memories=[memory()]))
    assert await room.enriched(Finders(topics=None, entities=None)) == 0
    assert not room.looking(Finders()).ready
    assert await room.enriched(Finders(topics=lambda text: [text.split()[0]], entities=None)) == 1
    assert ((await room.record()).topics, room.stub.counts["completions"]) == (["Anna"], 0)


async def test_events_in_any_order_and_twice_leave_the_same_waiting(room: Room) -> None:
    await room.system.send(
        StoreMemories(memories=[memory("a"), memory("b", "b"), memory("c", "c", topics=["t"])]),
        EditMemory(memory_id="b", text="other"),
        EditMemory(memory_id="c", entities=["e"]),
        ForgetMemories(memory_ids=["a"]),
    )
    await room.system.catch_up()
    live = await enrichment.lacking(room.system.redis, limit=10)
    assert list(live) == [memory_stream("default", "b")]
    await enrichment.clear(room.system.redis)
    events = await room.system.log.after(0, types=sorted(MEMORY_TYPES))
    for event in [*reversed(events), *events]:
        await KeepEnrichment(room.system.redis).apply([event])
    assert await enrichment.lacking(room.system.redis, limit=10) == live
