"""Groups of equal memories in Redis: kept right through edits, moves, forgetting and late redelivery."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from agent_memory.compactor.handlers import KeepDuplicates
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.contracts.streams import memory_stream
from agent_memory.readmodels import duplicates
from support.logged import MadeUpLog

NOW = datetime(2026, 1, 30, tzinfo=UTC)


class MemoryLog(MadeUpLog):
    def stored(self, name: str, text: str, *, user: str = "u", tenant: str = "t") -> EventEnvelope:
        event = MemoryStored(record=_record(name, text, user), sequence=0)
        return self.append(memory_stream(tenant, name), event, Scope(tenant=tenant))

    def edited(self, name: str, text: str, *, user: str = "u") -> EventEnvelope:
        event = MemoryEdited(record=_record(name, text, user), changed=["text"], sequence=0)
        return self.append(memory_stream("t", name), event, Scope(tenant="t"))

    def forgotten(self, name: str) -> EventEnvelope:
        return self.append(memory_stream("t", name), MemoryForgotten(memory_id=name, at=NOW, sequence=0), Scope(tenant="t"))


def _record(name: str, text: str, user: str) -> MemoryRecord:
    return MemoryRecord(id=name, text=text, user_id=user, created_at=NOW, updated_at=NOW, last_accessed=NOW)


def owner(user: str = "u", tenant: str = "t") -> Scope:
    return Scope(tenant=tenant, user_id=user)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_memories_of_one_owner_that_say_the_same_are_a_group(redis: Redis) -> None:
    log = MemoryLog()
    for name, text in (("a", "Likes tea"), ("b", "likes  TEA"), ("c", "likes coffee")):
        log.stored(name, text)
    await KeepDuplicates(redis).apply(log.envelopes)
    assert await duplicates.duplicates(redis, owner()) == [["a", "b"]]


async def test_other_users_and_tenants_are_other_owners(redis: Redis) -> None:
    log = MemoryLog()
    log.stored("a", "likes tea")
    log.stored("b", "likes tea", user="v")
    log.stored("c", "likes tea", tenant="t2")
    log.stored("a", "likes tea", tenant="t2")
    await KeepDuplicates(redis).apply(log.envelopes)
    assert await duplicates.duplicates(redis, owner()) == []
    assert await duplicates.duplicates(redis, owner(tenant="t2")) == [["a", "c"]]


async def test_an_edit_moves_a_memory_to_another_group_or_owner(redis: Redis) -> None:
    log, keeper = MemoryLog(), KeepDuplicates(redis)
    log.stored("a", "likes tea")
    log.stored("b", "likes tea")
    await keeper.apply(log.envelopes)
    await keeper.apply([log.edited("b", "likes coffee")])
    assert await duplicates.duplicates(redis, owner()) == []
    await keeper.apply([log.edited("b", "likes tea", user="v"), log.stored("c", "likes tea", user="v")])
    assert await duplicates.duplicates(redis, owner()) == []
    assert await duplicates.duplicates(redis, owner("v")) == [["b", "c"]]


async def test_a_late_older_event_does_not_bring_back_what_was_forgotten(redis: Redis) -> None:
    log, keeper = MemoryLog(), KeepDuplicates(redis)
    log.stored("a", "likes tea")
    late = log.stored("b", "likes tea")
    await keeper.apply([*log.envelopes, log.forgotten("b")])
    await keeper.apply([late])
    assert await duplicates.duplicates(redis, owner()) == []
    await keeper.apply([log.stored("b", "likes tea")])
    assert await duplicates.duplicates(redis, owner()) == [["a", "b"]]


async def test_any_order_and_any_repetition_give_the_same_groups(redis: Redis) -> None:
    log, choice, keeper = MemoryLog(), random.Random(5), KeepDuplicates(redis)
    for _ in range(200):
        name, text = choice.choice("abcdefgh"), choice.choice(["tea", "coffee"])
        choice.choice([log.stored, log.edited, lambda name, _text, **_: log.forgotten(name)])(name, text, user=choice.choice("uv"))
    await keeper.apply(log.envelopes)
    live = await duplicates.digest(redis)
    await duplicates.clear(redis)
    assert await duplicates.digest(redis) != live
    shuffled = log.envelopes * 2
    choice.shuffle(shuffled)
    for start in range(0, len(shuffled), 13):
        await keeper.apply(shuffled[start : start + 13])
    assert await duplicates.digest(redis) == live


async def test_what_is_new_or_says_something_else_is_to_be_looked_at_once(redis: Redis) -> None:
    log, keeper = MemoryLog(), KeepDuplicates(redis)
    log.stored("a", "likes tea")
    log.stored("b", "likes coffee")
    await keeper.apply(log.envelopes)
    assert await duplicates.waiting(redis, "t") == [owner()]
    assert await duplicates.work(redis, owner(), up_to=1, limit=9) == [("a", 1)]
    everything = await duplicates.work(redis, owner(), up_to=9, limit=9)
    assert everything == [("a", 1), ("b", 2)]
    await duplicates.looked_at(redis, owner(), everything)
    await keeper.apply(log.envelopes)
    assert await duplicates.waiting(redis, "t") == []
    assert await duplicates.work(redis, owner(), up_to=9, limit=9) == []
    await keeper.apply([log.edited("b", "likes coffee")])
    assert await duplicates.work(redis, owner(), up_to=9, limit=9) == []
    await keeper.apply([log.edited("b", "likes milk")])
    assert await duplicates.work(redis, owner(), up_to=9, limit=9) == [("b", 4)]


async def test_what_changes_while_it_is_looked_at_stays_to_be_looked_at(redis: Redis) -> None:
    log, keeper = MemoryLog(), KeepDuplicates(redis)
    log.stored("a", "likes tea")
    await keeper.apply(log.envelopes)
    seen = await duplicates.work(redis, owner(), up_to=9, limit=9)
    await keeper.apply([log.edited("a", "likes milk")])
    await duplicates.looked_at(redis, owner(), seen)
    assert await duplicates.work(redis, owner(), up_to=9, limit=9) == [("a", 2)]


async def test_a_memory_that_is_gone_or_somebody_elses_leaves_no_work_and_no_owner(redis: Redis) -> None:
    log, keeper = MemoryLog(), KeepDuplicates(redis)
    log.stored("a/b", "likes tea", user="{u}/%:owner:")
    log.stored("b", "likes tea")
    await keeper.apply(log.envelopes)
    strange = owner("{u}/%:owner:")
    assert await duplicates.owners(redis, "t") == [strange, owner()]
    assert await duplicates.memory_ids(redis, strange) == ["a/b"]
    await keeper.apply([log.edited("a/b", "likes tea", user="v"), log.forgotten("b")])
    assert await duplicates.owners(redis, "t") == await duplicates.waiting(redis, "t") == [owner("v")]
    assert (await duplicates.size(redis, owner("v")), await duplicates.size(redis, owner())) == (1, 0)
    assert await duplicates.tenants(redis) == ["t"]
