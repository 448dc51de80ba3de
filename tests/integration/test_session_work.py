"""What is to be done for sessions: told by the log alone, whoever applies it, in whatever order."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from agent_memory.contracts.commands import (
    AppendMessages,
    DeleteWorkingMemory,
    RecordExtraction,
    ReplaceWorkingMemory,
    SummarizeSession,
)
from agent_memory.contracts.records import Message, Scope
from agent_memory.contracts.streams import SESSION_WORK, session_stream
from agent_memory.readmodels import session_work
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.looking import SESSION_TYPES, KeepSessionWork
from support.small_system import SmallSystem

NOW = datetime(2026, 1, 30, tzinfo=UTC)
STREAM = session_stream(Scope(), "s")


def messages(*ids: str, words: int = 3) -> list[Message]:
    return [Message(role="user", content=f"{id_} " * words, id=id_, created_at=NOW) for id_ in ids]


def put(*ids: str, words: int = 3, session: str = "s", limit: int | None = None) -> ReplaceWorkingMemory:
    return ReplaceWorkingMemory(session_id=session, messages=messages(*ids, words=words), token_limit=limit)


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    yield small
    await small.close()


async def shown(system: SmallSystem) -> dict[str, object]:
    return {key: value async for key, value in session_work.entries(system.redis)}


async def test_a_document_that_fits_is_left_alone(system: SmallSystem) -> None:
    await system.send(put("a", "b"))
    await system.catch_up()
    assert await session_work.overfull(system.redis) == {}


async def test_a_document_beyond_the_threshold_is_known_and_stays_so_when_it_grows(system: SmallSystem) -> None:
    await system.send(put("a", "b", "c", "d", words=30, limit=100))
    await system.catch_up()
    assert list(await session_work.overfull(system.redis)) == [STREAM]
    await system.send(AppendMessages(session_id="s", messages=messages("e")))
    await system.catch_up()
    (found,) = (await session_work.overfull(system.redis)).values()
    assert found.version == await system.log.version(STREAM)


async def test_a_document_that_grows_message_by_message_is_known_as_soon_as_it_is_too_long(system: SmallSystem) -> None:
    await system.send(put("a", words=10, limit=100))
    for number in range(12):
        await system.send(AppendMessages(session_id="s", messages=messages(f"m{number}", words=8)))
        await system.catch_up()
        document = await system.sessions.read(Scope(), "s")
        assert document is not None
        shown_now = msgspec.json.decode(b"[" + document.messages + b"]", type=list[Message])
        over, tokens = session_work.too_long(shown_now, 100, 0.7, TokenCounter().count)
        assert bool(await session_work.overfull(system.redis)) == over == (tokens > 70)


async def test_the_default_limit_holds_where_none_was_given_and_the_newest_given_one_elsewhere(system: SmallSystem) -> None:
    await system.send(put("a", "b", words=200, limit=100), put("a", "b", words=200))
    await system.catch_up()
    assert await session_work.overfull(system.redis) == {}
    await system.send(put("a", "b", words=200, limit=100), AppendMessages(session_id="s", messages=messages("c", words=200)))
    await system.catch_up()
    assert list(await session_work.overfull(system.redis)) == [STREAM]


async def test_one_message_that_is_too_long_by_itself_waits_for_nothing(system: SmallSystem) -> None:
    await system.send(put("a", words=500, limit=100))
    await system.catch_up()
    assert await session_work.overfull(system.redis) == {}


async def test_a_summary_ends_the_wait_for_it(system: SmallSystem) -> None:
    await system.send(put("a", "b", "c", words=30, limit=100))
    position = await system.log.head()
    assert await session_work.pending(system.redis, Scope(), "s", position), "nobody has looked yet"
    await system.catch_up()
    assert await session_work.pending(system.redis, Scope(), "s", position), "it is too long"
    state = await session_work.state(system.redis, STREAM)
    await system.send(SummarizeSession(session_id="s", context="…", message_ids=["a", "b"], document_sequence=state.sequence))
    await system.catch_up()
    assert not await session_work.pending(system.redis, Scope(), "s", position)


async def test_messages_are_unread_until_memories_were_drawn_from_them(system: SmallSystem) -> None:
    await system.send(put("a", "b"), AppendMessages(session_id="s", messages=messages("c")))
    await system.catch_up()
    state = await session_work.state(system.redis, STREAM)
    assert list(state.unread) == ["a", "b", "c"]
    assert await session_work.unread_since(system.redis, state.newest_ms, limit=10) == [STREAM]
    assert await session_work.unread_since(system.redis, state.newest_ms - 1, limit=10) == []
    await system.send(RecordExtraction(session_id="s", message_ids=["a", "b", "c"]))
    await system.catch_up()
    assert (await session_work.waiting(system.redis))["extraction"] == 0


async def test_what_waits_is_the_same_after_a_flush_and_for_replicas_that_apply_it_shuffled_and_twice(system: SmallSystem) -> None:
    choice = random.Random(4)
    for round_ in range(40):
        session = choice.choice(["a", "b/c", "d{e}"])
        ids = [f"{session}{number}" for number in range(choice.randrange(1, 6))]
        await system.send(
            choice.choice(
                [
                    put(*ids, words=choice.randrange(1, 60), session=session, limit=choice.choice([None, 100, 150])),
                    AppendMessages(session_id=session, messages=messages(f"{session}x{round_}", words=20)),
                    RecordExtraction(session_id=session, message_ids=ids[:2]),
                    DeleteWorkingMemory(session_id=session),
                ]
            )
        )
    await system.send(put("m", "n", "o", words=30, session="long", limit=100))
    await system.catch_up()
    live = await shown(system)
    assert any(value[2] for value in live.values()), "something is too long"  # type: ignore[index]
    assert (await system.examined())[4].examples == []
    await system.redis.flushall()
    await system.catch_up()
    assert await shown(system) == live
    await session_work.clear(system.redis)
    keeper = KeepSessionWork(system.redis, system.log, TokenCounter(), 0.7)
    events = await system.log.after(0, types=sorted(SESSION_TYPES)) * 2
    choice.shuffle(events)
    for start in range(0, len(events), 30):
        await asyncio.gather(*(keeper.apply(events[at : at + 10]) for at in range(start, start + 30, 10)))
    assert await shown(system) == live


async def test_another_threshold_measures_everything_anew(system: SmallSystem) -> None:
    await system.send(put("a", "b", "c", words=30, limit=200))
    assert await session_work.agree(system.redis, 0.7)
    await system.catch_up()
    assert await session_work.overfull(system.redis) == {}
    assert not await session_work.agree(system.redis, 0.3)
    assert await Ledger(system.redis, SESSION_WORK).checkpoint() == 0
    keeper = KeepSessionWork(system.redis, system.log, TokenCounter(), 0.3)
    await keeper.apply(await system.log.after(0, types=sorted(SESSION_TYPES)))
    assert list(await session_work.overfull(system.redis)) == [STREAM]
    assert await session_work.agree(system.redis, 0.3)
