"""Compaction on real servers: what says the same becomes one memory, and nothing else does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_memory.compactor.compaction import Compaction
from agent_memory.compactor.forgetting import Forgetting, policy_of
from agent_memory.compactor.handlers import AnswerRequests
from agent_memory.compactor.settings import CompactorSettings
from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import EditMemory, ForgetMemories, StoreMemories, TouchMemories, UnmergeMemory
from agent_memory.contracts.compaction import Compact
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.events import MemoryEdited
from agent_memory.contracts.records import MemoryRecord, MemoryType, Scope
from agent_memory.contracts.streams import COMMANDS, COMPACTIONS, DATA_FIELD, DUPLICATES, compaction_answer_key, memory_stream
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.memories import MemoryLog
from agent_memory.readmodels import duplicates
from agent_memory.readmodels.forgetting import ForgetPolicy
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.settings import Settings
from support.small_system import SmallSystem
from support.stub_model import StubModel, Trouble, stub_model

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)
OWN = CompactorSettings(settle_seconds=0.5)
ME = Scope(user_id="me")


def memory(
    id_: str,
    text: str,
    *,
    days: int = 0,
    user: str | None = "me",
    kind: MemoryType = "semantic",
    pinned: bool = False,
    event_date: datetime | None = None,
    topics: tuple[str, ...] = (),
    sources: tuple[str, ...] = (),
) -> MemoryRecord:
    at = NOON + timedelta(days=days)
    return MemoryRecord(
        id=id_,
        text=text,
        user_id=user,
        memory_type=kind,
        created_at=at,
        updated_at=at,
        last_accessed=at,
        pinned=pinned,
        event_date=event_date,
        topics=list(topics),
        extracted_from=list(sources),
    )


class World:
    """A small system with a compactor, whose commands go through ingest while it waits for them."""

    def __init__(self, system: SmallSystem, *, farthest: float, settings: Settings, semantic: bool = True) -> None:
        self.system = system
        self.log = MemoryLog(system.connections)
        own = CompactorSettings(settle_seconds=0.5, farthest=farthest)
        self.sender = Commanding(system.redis, self.log, "compactor", seconds=5.0)
        self.judge = Journal(create_completer(settings), CompletionStore(system.connections))
        self.compaction = Compaction(system.redis, self.log, system.vectors, self.sender, self.judge, own, semantic=semantic)
        self.requests = AnswerRequests(system.redis, self.compaction, own, seconds=20)

    async def store(self, *records: MemoryRecord, deduplicate: bool = False) -> None:
        """Each in a request of its own, and every view knows them."""
        for record in records:
            await self.system.send(StoreMemories(memories=[record], deduplicate=deduplicate))
        await self.system.catch_up()

    async def compact(self) -> int:
        """Until nothing is left to merge."""
        merged = 0
        while (done := await self.compaction.tenant("default", "test", wanted=lambda _: True)).merged:
            merged += done.merged
            await self.system.catch_up()
        return merged

    async def texts(self, *owners: Scope) -> dict[str, str]:
        """What is left, by id."""
        found: dict[str, str] = {}
        for owner in owners or (ME,):
            known = await self.log.memories("default", await duplicates.memory_ids(self.system.redis, owner))
            found |= {id_: one.record.text for id_, one in known.items()}
        return found

    async def last(self, memory_id: str) -> Any:
        """The newest event of a memory."""
        newest = (await self.log.history(memory_stream("default", memory_id)))[-1]
        return json.loads(bytes(newest.data))


async def served(system: SmallSystem) -> None:
    """What the compactor puts on the command stream goes through ingest, which replies."""
    while True:
        for id_, fields in await system.redis.xrange(COMMANDS, count=100):
            system._sequence += 1
            await system._ingest.handle([Entry(f"{system._sequence}-0".encode(), fields)])
            await system.redis.xdel(COMMANDS, id_)
        await asyncio.sleep(0.005)


@asynccontextmanager
async def a_world(
    database_url: str, redis_url: str, *, farthest: float = 0.2, settings: Settings | None = None, semantic: bool = True
) -> AsyncIterator[World]:
    system = SmallSystem(database_url, redis_url)
    world = World(system, farthest=farthest, settings=settings or Settings(), semantic=semantic)

    task = asyncio.create_task(served(system))
    try:
        yield world
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await world.judge.close()
        await system.close()


@pytest.fixture
async def world(database_url: str, redis_url: str) -> AsyncIterator[World]:
    async with a_world(database_url, redis_url) as one:
        yield one


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as model:
        yield model


def with_model(stub: StubModel) -> Settings:
    return Settings(openai_api_key="k", openai_api_base=stub.base_url, generation_model="stub")


ANYTHING = 2.0
"""So far apart may texts be for the tests' embedder, which knows nothing of meaning, to call them near."""


async def test_equal_texts_become_the_oldest_memory_which_knows_what_all_knew(world: World) -> None:
    await world.store(
        memory("b", "Likes tea", days=2, topics=("drinks", "tea"), sources=("e1",)),
        memory("a", "likes  TEA", days=1, topics=("tea",), sources=("e2",)),
        memory("c", "likes coffee"),
    )
    assert await world.compact() == 1
    assert await world.texts() == {"a": "likes  TEA", "c": "likes coffee"}
    known = (await world.log.memories("default", ["a"]))["a"].record
    assert (known.created_at, known.last_accessed) == (NOON + timedelta(days=1), NOON + timedelta(days=2))
    assert (known.topics, known.extracted_from) == (["tea", "drinks"], ["e2", "e1"])
    merged = await world.last("a")
    assert (merged["reason"], [one["id"] for one in merged["merge"]["sources"]]) == ("merged", ["b"])
    assert (await world.last("b"))["into"] == "a"


async def test_the_longer_text_survives_when_it_says_all_of_the_shorter(database_url: str, redis_url: str) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING) as world:
        await world.store(
            memory("a", "User prefers dark mode"),
            memory("b", "The user prefers dark mode in all applications", days=1),
            memory("c", "User does not prefer dark mode", days=1),
            memory("d", "User prefers dark mode 2", days=1),
        )
        assert await world.compact() == 1
        assert await world.texts() == {
            "a": "The user prefers dark mode in all applications",
            "c": "User does not prefer dark mode",
            "d": "User prefers dark mode 2",
        }


async def test_kinds_times_owners_and_pinned_ones_stay_apart(world: World) -> None:
    await world.store(
        memory("a", "likes tea"),
        memory("kind", "likes tea", kind="episodic"),
        memory("time", "likes tea", event_date=NOON),
        memory("other", "likes tea", user="you"),
        memory("nobody", "likes tea", user=None),
        memory("pinned", "likes tea", pinned=True),
    )
    assert await world.compact() == 0
    assert set(await world.texts()) == {"a", "kind", "time", "pinned"}
    await world.system.send(EditMemory(memory_id="pinned", pinned=False))
    await world.system.catch_up()
    assert await world.compact() == 1
    assert set(await world.texts()) == {"a", "kind", "time"}


async def test_near_identical_texts_of_one_request_stay_apart_and_equal_ones_do_not(database_url: str, redis_url: str) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING) as world:
        together = [
            memory("one", "User likes tea"),
            memory("two", "The user likes tea with milk", days=1),
            memory("three", "user likes TEA", days=2),
        ]
        await world.system.send(StoreMemories(memories=together, deduplicate=False))
        await world.system.catch_up()
        assert await world.compact() == 1
        assert await world.texts() == {"one": "User likes tea", "two": "The user likes tea with milk"}


async def test_what_was_taken_apart_stays_apart(world: World) -> None:
    await world.store(memory("a", "likes tea"), memory("b", "likes tea", days=1))
    assert await world.compact() == 1
    await world.system.send(UnmergeMemory(memory_id="a"))
    await world.system.catch_up()
    assert set(await world.texts()) == {"a", "b"}
    assert await world.compact() == 0
    await world.store(memory("c", "likes tea", days=2))
    assert await world.compact() == 1
    assert set(await world.texts()) == {"a", "b"}


async def test_many_that_say_the_same_become_one_however_many_they_are(world: World) -> None:
    await world.store(*(memory(f"m{number:02}", f"{' ' * number}likes tea", days=number) for number in range(35)))
    assert await world.compact() == 34
    assert set(await world.texts()) == {"m00"}
    assert await duplicates.waiting(world.system.redis, "default") == []


async def test_nothing_is_embedded_and_nothing_compared_twice(world: World) -> None:
    await world.store(memory("a", "likes tea"), memory("b", "likes coffee"))

    async def nobody_embeds(*_: object) -> list[bytes]:
        raise AssertionError("a text was embedded again")

    world.system.embedder.embed = nobody_embeds  # type: ignore[method-assign]
    assert await world.compact() == 0
    assert await duplicates.waiting(world.system.redis, "default") == []
    await world.system.send(TouchMemories(memory_ids=["a", "b"], every_seconds=0))
    await world.system.catch_up()
    assert await duplicates.waiting(world.system.redis, "default") == []


async def test_what_the_search_does_not_know_yet_waits(database_url: str, redis_url: str) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING) as world:
        await world.store(memory("a", "User likes tea"))
        await world.system.send(StoreMemories(memories=[memory("b", "User likes tea with milk")], deduplicate=False))
        await next(one for one in world.system.runners if one.projection.name == DUPLICATES).catch_up(await world.log.head())
        assert await world.compact() == 0
        assert await duplicates.work(world.system.redis, ME, up_to=9, limit=9) == [("b", 2)]
        await world.system.catch_up()
        assert await world.compact() == 1


async def test_without_meaning_equal_texts_alone_are_merged(database_url: str, redis_url: str) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING, semantic=False) as world:
        await world.store(
            memory("a", "User likes tea"), memory("b", "user likes tea", days=1), memory("c", "The user likes tea with milk")
        )
        assert await world.compact() == 1
        assert set(await world.texts()) == {"a", "c"}


async def test_a_model_is_asked_what_words_do_not_show_and_what_it_took_is_recorded(
    database_url: str, redis_url: str, stub: StubModel
) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING, settings=with_model(stub)) as world:
        await world.store(memory("a", "User enjoys tea"), memory("b", "User is fond of tea", days=1), memory("c", "Lives in Rome"))
        stub.replies[:] = [
            json.dumps({"same": [1, 3], "text": "User enjoys and is fond of tea"}),
            json.dumps({"same": [], "text": ""}),
        ]
        assert await world.compact() == 1
        assert await world.texts() == {"a": "User enjoys and is fond of tea", "c": "Lives in Rome"}
        merged = await world.last("a")
        assert (merged["use"]["model"], merged["use"]["prompt_tokens"] > 0) == ("stub", True)


async def test_an_answer_is_paid_for_once_and_both_memories_stay_when_it_says_so(
    database_url: str, redis_url: str, stub: StubModel
) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING, settings=with_model(stub)) as world:
        await world.store(memory("a", "User likes tea"), memory("b", "User likes green tea", days=1))
        stub.replies[:] = [json.dumps({"same": [1], "text": "User likes tea"})]
        assert await world.compact() == 0
        assert set(await world.texts()) == {"a", "b"}
        assert stub.counts["completions"] == 1
        assert await duplicates.waiting(world.system.redis, "default") == []


async def test_while_the_model_is_away_what_needs_it_waits_and_the_rest_goes_on(
    database_url: str, redis_url: str, stub: StubModel
) -> None:
    async with a_world(database_url, redis_url, farthest=ANYTHING, settings=with_model(stub)) as world:
        await world.store(memory("a", "User likes tea"), memory("b", "user likes tea", days=1), memory("c", "Fond of tea", days=2))
        stub.trouble = Trouble(mode="garbage")
        assert await world.compact() == 1
        assert set(await world.texts()) == {"a", "c"}
        waiting = await duplicates.work(world.system.redis, ME, up_to=99, limit=9)
        assert [memory_id for memory_id, _ in waiting] == ["a"]
        stub.trouble = Trouble()
        stub.replies[:] = [json.dumps({"same": [1, 2], "text": "User likes tea, is fond of it"})]
        assert await world.compact() == 1
        assert await world.texts() == {"a": "User likes tea, is fond of it"}


async def test_a_memory_that_changes_while_it_is_looked_at_is_not_merged_on_what_it_said(world: World) -> None:
    await world.store(memory("a", "likes tea"), memory("b", "likes tea", days=1))
    ask = world.sender.send

    async def late(envelopes: list[CommandEnvelope]) -> Any:
        if envelopes:
            await world.system.send(EditMemory(memory_id="b", text="likes milk"))
        return await ask(envelopes)

    world.sender.send = late  # type: ignore[method-assign, assignment]
    assert await world.compact() == 0
    assert await world.texts() == {"a": "likes tea", "b": "likes milk"}


async def test_two_replicas_at_once_merge_once(world: World) -> None:
    await world.store(*(memory(f"m{number}", "likes tea", days=number) for number in range(8)))
    other = World(world.system, farthest=0.2, settings=Settings())
    both = [one.compaction.tenant("default", "test", wanted=lambda _: True, patient=True) for one in (world, other)]
    assert sorted(done.merged for done in await asyncio.gather(*both)) == [0, 7]
    reasons = [json.loads(bytes(event.data)).get("reason") for event in await world.log.history(memory_stream("default", "m0"))]
    assert reasons == [None, "merged"]
    await other.judge.close()


async def test_a_merge_whose_reply_was_lost_is_not_made_twice(world: World) -> None:
    await world.store(memory("a", "likes tea"), memory("b", "likes tea", days=1))
    send = world.sender.send

    async def deaf(envelopes: list[CommandEnvelope]) -> Any:
        await send(envelopes)
        return {}

    world.sender.send = deaf  # type: ignore[method-assign, assignment]
    assert await world.compact() == 0
    world.sender.send = send  # type: ignore[method-assign]
    assert await world.compact() == 0
    await world.system.catch_up()
    assert await world.compact() == 0
    assert await world.texts() == {"a": "likes tea"}
    assert await duplicates.waiting(world.system.redis, "default") == []


async def test_a_request_is_answered_with_what_remains_of_those_it_is_about(world: World) -> None:
    await world.store(
        memory("a", "likes tea"),
        memory("b", "likes tea"),
        memory("c", "likes tea", user="you"),
        memory("d", "likes tea", user="you"),
    )
    request = Compact(id="r", tenant="default", position=await world.log.head(), user_id="me")
    answering = asyncio.create_task(world.requests.handle([await request_entry(world, request)]))
    while not answering.done():
        await world.system.catch_up()
        await asyncio.sleep(0.01)
    await answering
    answer = json.loads(await world.system.redis.get(compaction_answer_key("r")))
    assert (answer["remaining"], answer["merged"], answer["position"] > 4) == (1, 1, True)
    assert set(await world.texts(Scope(user_id="you"))) == {"c", "d"}
    assert await world.system.redis.xlen(COMPACTIONS) == 0


async def request_entry(world: World, request: Compact) -> Entry:
    id_ = await world.system.redis.xadd(COMPACTIONS, {DATA_FIELD: encode(request)})
    return Entry(id_, {DATA_FIELD.encode(): encode(request)})


async def test_a_request_whose_position_the_views_never_reach_is_told_so(world: World) -> None:
    request = Compact(id="r", tenant="default", position=10)
    await world.requests.handle([await request_entry(world, request)])
    answer = json.loads(await world.system.redis.get(compaction_answer_key("r")))
    assert answer["fault"]["name"] == "Unavailable"


async def test_a_request_that_fails_each_time_is_not_taken_up_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(world.compaction, "tenant", broken)
    entry = await request_entry(world, Compact(id="r", tenant="default", position=0))
    with pytest.raises(RuntimeError):
        await world.requests.handle([entry])
    await world.requests.handle([Entry(entry.id, entry.fields, 6)])
    answer = json.loads(await world.system.redis.get(compaction_answer_key("r")))
    assert answer["fault"]["name"] == "Unavailable"
    assert await world.system.redis.xlen(COMPACTIONS) == 0


async def test_the_log_and_every_view_agree_after_merges(world: World) -> None:
    await world.store(
        memory("a", "likes tea"), memory("b", "likes tea"), memory("c", "likes tea", days=1), memory("d", "likes milk")
    )
    await world.compact()
    await world.system.send(UnmergeMemory(memory_id="a"), ForgetMemories(memory_ids=["d"]))
    await world.system.catch_up()
    results = await world.system.examined()
    assert {number: result.examples for number, result in results.items() if not result.ok} == {}
    assert MemoryEdited.__name__ in [event.type for event in await world.log.history(memory_stream("default", "a"))]


def forgetting(world: World, policy: ForgetPolicy) -> Forgetting:
    return Forgetting(world.system.redis, world.log, world.sender, policy, clock=lambda: NOON + timedelta(days=100))


async def test_a_budget_is_kept_for_each_owner_apart_and_pinned_ones_never_go(world: World) -> None:
    mine = [memory(f"m{number}", f"fact {number}", days=number) for number in range(5)]
    await world.store(*mine, memory("old", "pinned fact", days=-900, pinned=True), memory("yours", "fact", days=-50, user="you"))
    assert await forgetting(world, ForgetPolicy(budget=2)).everywhere("forgetting/1") == 3
    await world.system.catch_up()
    assert set(await world.texts(ME, Scope(user_id="you"))) == {"m3", "m4", "old", "yours"}
    assert (await world.last("m0"))["reason"] == "policy"
    assert await forgetting(world, ForgetPolicy(budget=2)).everywhere("forgetting/2") == 0


async def test_a_policy_looks_at_what_memories_are_now_not_at_what_a_view_says(world: World) -> None:
    await world.store(memory("a", "fact", days=-10), memory("b", "other fact", days=-10), memory("c", "third fact", days=-10))
    await world.system.send(EditMemory(memory_id="a", pinned=True), EditMemory(memory_id="b", user_id="you"))
    assert await forgetting(world, ForgetPolicy(max_age_days=30)).everywhere("forgetting/1") == 1
    assert set(await world.log.memories("default", ["a", "b", "c"])) == {"a", "b"}


def test_the_settings_forget_only_when_they_are_told_to_and_how() -> None:
    assert policy_of(Settings(forgetting_max_age_days=3)) is None
    assert policy_of(Settings(forgetting_enabled=True)) is None
    wanted = Settings(forgetting_enabled=True, forgetting_max_inactive_days=3, forgetting_budget_keep_top_n=7)
    assert policy_of(wanted) == ForgetPolicy(max_inactive_days=3, budget=7)
