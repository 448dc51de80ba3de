"""Every invariant holds on a system that was left alone, and each is seen to be broken when it is broken on purpose."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from agent_memory.contracts.commands import (
    AppendMessages,
    DeleteWorkingMemory,
    ForgetMemories,
    RecordEvents,
    ReplaceWorkingMemory,
    StoreMemories,
    Tick,
)
from agent_memory.contracts.records import MemoryRecord, Message, Scope, TimelineEvent
from agent_memory.contracts.streams import (
    DEAD_LETTERS,
    ahead_key,
    checkpoint_key,
    counters_key,
    document_key,
    session_stream,
    working_memory_keys,
)
from agent_memory.readmodels import contents, duplicates, jobs
from support.small_system import SmallSystem

NOW = datetime(2026, 1, 30, tzinfo=UTC)
ELSEWHERE = Scope(tenant="other/one", namespace="n", user_id="u")
MEMORY_DOCUMENT = document_key("memory", 1, "default", "m1")
TIMELINE_DOCUMENT = document_key("timeline", 1, Scope().path, "e1")
VIEW = working_memory_keys(session_stream(Scope(), "open"))
Harm = Callable[[SmallSystem], Awaitable[object]]


def said(event_id: str, session: str, minute: int = 0) -> TimelineEvent:
    return TimelineEvent(
        event_id=event_id, session_id=session, timestamp_ms=1_769_731_200_000 + minute * 60_000, text=f"tea {event_id}"
    )


def message(message_id: str) -> Message:
    return Message(role="user", content=f"says {message_id}", id=message_id, created_at=NOW)


def memory(memory_id: str, text: str = "likes tea", sources: tuple[str, ...] = ()) -> MemoryRecord:
    return MemoryRecord(id=memory_id, text=text, created_at=NOW, updated_at=NOW, last_accessed=NOW, extracted_from=list(sources))


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    await small.send(
        RecordEvents(events=[said("e1", "talk"), said("e2", "talk", 50), said("e3", "other")]),
        ReplaceWorkingMemory(session_id="open", messages=[message("m1")], data={"a": 1}),
        AppendMessages(session_id="open", messages=[message("m2")]),
        ReplaceWorkingMemory(session_id="closed", messages=[message("m3")]),
        DeleteWorkingMemory(session_id="closed"),
        StoreMemories(memories=[memory("m1", sources=("e1",)), memory("m2"), memory("m3", "likes walnuts")], deduplicate=False),
        ForgetMemories(memory_ids=["m3"]),
        Tick(job="compaction", due_ms=1_769_731_200_000),
    )
    await small.send(RecordEvents(events=[said("e1", "talk")]), StoreMemories(memories=[memory("x1")]), scope=ELSEWHERE)
    await small.catch_up()
    yield small
    await small.close()


@pytest.mark.parametrize("quick", [False, True])
async def test_a_system_that_was_left_alone_keeps_every_promise(system: SmallSystem, quick: bool) -> None:
    found = await system.examined(quick=quick)
    assert {number: result.examples for number, result in found.items()} == {number: [] for number in range(1, 9)}
    assert found[4].checked["memory documents"] == 3
    assert all(wanted == live for wanted, live in found[4].digests.values())


async def test_after_a_flush_and_a_catch_up_every_promise_holds(system: SmallSystem) -> None:
    before = await system.examined()
    await system.redis.flushall()
    await system.catch_up()
    await system.sessions.read(Scope(), "open")
    found = await system.examined()
    assert [result.ok for result in found.values()] == [True] * 8
    models = ("memory index", "timeline index", "contents index", "contents", "duplicates", "jobs", "session-work", "enrichment")
    assert [found[4].digests[model] for model in models] == [before[4].digests[model] for model in models]


async def test_views_that_lag_are_not_taken_for_broken_ones(system: SmallSystem) -> None:
    await system.redis.hset("am:heartbeat:indexer", "one", 2**42)
    for service in ("summarizer", "rollup", "compactor", "scheduler"):
        await system.redis.hset(f"am:heartbeat:{service}", "one", 2**42)
    await system.send(
        RecordEvents(events=[said("late", "talk", 99), said("new", "brand-new")]),
        StoreMemories(memories=[memory("m1", "likes coffee"), memory("m9")]),
        ForgetMemories(memory_ids=["m2"]),
        Tick(job="compaction", due_ms=1_769_731_300_000),
    )
    found = await system.examined()
    assert {number: result.examples for number, result in found.items()} == {number: [] for number in range(1, 9)}


async def phantom(system: SmallSystem) -> None:
    fields = await system.redis.hgetall(MEMORY_DOCUMENT)
    await system.redis.hset(document_key("memory", 1, "default", "nobody"), mapping=fields)


async def back_from_the_dead(system: SmallSystem) -> None:
    fields = await system.redis.hgetall(MEMORY_DOCUMENT)
    await system.redis.hset(document_key("memory", 1, "default", "m3"), mapping=fields)


async def at_anothers(system: SmallSystem) -> None:
    fields = await system.redis.hgetall(MEMORY_DOCUMENT)
    await system.redis.hset(document_key("memory", 1, "other%2Fone", "m1"), mapping=fields)


async def other_vector(system: SmallSystem) -> None:
    other = document_key("timeline", 1, Scope().path, "e2")
    await system.redis.hset(TIMELINE_DOCUMENT, "vector", await system.redis.hget(other, "vector"))


async def older_view(system: SmallSystem) -> None:
    head = await system.redis.get(VIEW[0])
    await system.redis.set(VIEW[0], b"1" + head[head.index(b"|") :])


async def newer_view(system: SmallSystem) -> None:
    head = await system.redis.get(VIEW[0])
    await system.redis.set(VIEW[0], b"9" + head[head.index(b"|") :])


async def deleted_session_shown(system: SmallSystem) -> None:
    closed = working_memory_keys(session_stream(Scope(), "closed"))
    head, document, messages = await system.redis.mget(VIEW)
    version = (await system.redis.get(closed[0])).partition(b"|")[0]
    shown = document.replace(b'"open"', b'"closed"')
    await system.redis.mset({closed[0]: version + head[head.index(b"|") :], closed[1]: shown, closed[2]: messages})


async def foreign_view(system: SmallSystem) -> None:
    document = await system.redis.get(VIEW[1])
    await system.redis.set(VIEW[1], document.replace(b'"user_id":null', b'"user_id":"somebody"'))


async def invented_view(system: SmallSystem) -> None:
    invented = working_memory_keys(session_stream(Scope(), "invented"))
    head, document, messages = await system.redis.mget(VIEW)
    shown = document.replace(b'"open"', b'"invented"')
    await system.redis.mset({invented[0]: head, invented[1]: shown, invented[2]: messages})


async def still_grouped(system: SmallSystem) -> None:
    await system.redis.hset(duplicates.owner_key(Scope()), "m3", "hash")


HARM: dict[str, tuple[set[int], Harm]] = {
    "a position is missing": ({1, 2, 4, 5, 7}, lambda s: s.execute("DELETE FROM events WHERE position = 2")),
    "the head runs ahead": ({1, 3}, lambda s: s.execute("UPDATE log_head SET position = position + 1")),
    "a stream has a gap": ({1, 4}, lambda s: s.execute("UPDATE events SET version = 9 WHERE stream = 'job/default/compaction'")),
    "a session is listed at another version": (
        {1},
        lambda s: s.execute("UPDATE sessions SET version = 77 WHERE session_id = 'open'"),
    ),
    "an answer is beyond the head": ({1}, lambda s: s.execute("UPDATE commands SET position = 9999 WHERE id = 'c1001'")),
    "the index of event ids is gone": ({2}, lambda s: s.execute("DROP INDEX events_once")),
    "a command took effect twice": (
        {2},
        lambda s: s.execute(
            "UPDATE events SET metadata = (SELECT metadata FROM events WHERE position = 1)"
            " WHERE position = (SELECT max(position) FROM events)"
        ),
    ),
    "an event has no command": ({2}, lambda s: s.execute("DELETE FROM commands WHERE id = 'c1001'")),
    "a counter was changed": ({3}, lambda s: s.redis.hincrby(counters_key("contents"), "applied", 1)),
    "a checkpoint is beyond the head": ({3}, lambda s: s.redis.set(checkpoint_key("duplicates"), 10_000)),
    "a range ahead was made up": ({3}, lambda s: s.redis.zadd(ahead_key("jobs"), {"500-600": 500})),
    "a dead letter was never counted": (
        {3},
        lambda s: s.redis.xadd(DEAD_LETTERS, {"group": "contents", "position": 3, "source": "am:events"}),
    ),
    "positions wait and nobody lives": ({3}, lambda s: s.send(Tick(job="x", due_ms=5))),
    "a document is missing": ({4}, lambda s: s.redis.delete(MEMORY_DOCUMENT)),
    "a vector is another's": ({4}, other_vector),
    "a field was changed": ({4}, lambda s: s.redis.hset(MEMORY_DOCUMENT, "text", "likes coffee")),
    "a vector is not kept": ({4}, lambda s: s.execute("DELETE FROM embeddings")),
    "the alias is gone": ({4}, lambda s: s.redis.execute_command("FT.ALIASDEL", "am:index:memory")),
    "an index has lost its registry": ({4}, lambda s: s.redis.delete("am:index:timeline:generations")),
    "a view was changed": ({4}, lambda s: s.redis.append(VIEW[2], ',{"id":"x"}')),
    "half a view is gone": ({4}, lambda s: s.redis.delete(VIEW[1])),
    "contents count one more": (
        {4},
        lambda s: s.redis.hincrby(contents.key(1, Scope(), "node", "toc:year:2026"), "events", 1),
    ),
    "a segment is gone": ({4}, lambda s: s.redis.delete(contents.key(1, Scope(), "session", "talk"))),
    "a job was heard of later": ({4}, lambda s: s.redis.hset(jobs.KEY, "compaction", b'{"version":99,"state":{"due_ms":9}}')),
    "a view is older than the log": ({4, 5}, older_view),
    "a view is newer than the log": ({4, 5}, newer_view),
    "a document is of an older position": ({4, 5}, lambda s: s.redis.hset(MEMORY_DOCUMENT, "version", 1)),
    "a document is found by another tenant": ({4, 6}, lambda s: s.redis.hset(MEMORY_DOCUMENT, "tenant", "vother_2Fone")),
    "a document stands at another tenant's": ({4, 6, 7}, at_anothers),
    "a view shows another user's": ({4, 6}, foreign_view),
    "a row is another tenant's": (
        {4, 6, 7},
        lambda s: s.execute("UPDATE events SET tenant = 'other' WHERE stream = 'memory/default/m2'"),
    ),
    "a document comes from nowhere": ({4, 7}, phantom),
    "a document names no position": ({4, 7}, lambda s: s.redis.hdel(MEMORY_DOCUMENT, "version")),
    "a view is of no session": ({4, 7}, invented_view),
    "a forgotten memory is found": ({4, 8}, back_from_the_dead),
    "a forgotten memory is in a group": ({4, 8}, still_grouped),
    "a deleted session is shown": ({4, 5, 8}, deleted_session_shown),
}


@pytest.mark.parametrize("what", HARM)
async def test_harm_is_seen_by_the_checks_it_concerns_and_by_no_other(system: SmallSystem, what: str) -> None:
    expected, harm = HARM[what]
    await harm(system)
    found = await system.examined()
    broken = {number for number, result in found.items() if not result.ok}
    assert broken == expected, [(number, found[number].examples) for number in sorted(broken | expected)]
    assert all(found[number].examples and found[number].hint for number in expected)


async def test_a_memory_that_names_what_was_never_recorded_is_a_warning(system: SmallSystem) -> None:
    await system.send(StoreMemories(memories=[memory("m7", "made elsewhere", sources=("unknown",))]))
    await system.catch_up()
    found = await system.examined()
    assert found[7].ok
    assert "unknown" in found[7].warnings[0]
