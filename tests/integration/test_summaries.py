"""A document that is too long becomes a summary and its newest messages: by a model, or from vectors where there is none."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import msgspec
import pytest

from agent_memory.contracts.commands import AppendMessages, ReplaceWorkingMemory
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import WorkingMemorySummarized
from agent_memory.contracts.records import Message, Scope
from agent_memory.contracts.streams import SESSION_WORK, session_stream
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.readmodels import session_work
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.documents import Documents
from agent_memory.summarizer.extractive import budget
from agent_memory.summarizer.recording import Recorder
from agent_memory.summarizer.summaries import Summaries, chunks, filled
from agent_memory.summarizer.vectors import KnownVectors
from support.small_system import SmallSystem
from support.stub_model import StubModel, Trouble, stub_model

NOW = datetime(2026, 1, 30, tzinfo=UTC)
STREAM = session_stream(Scope(), "s")
PROMPT = "so far: {prev_summary}\nnew: {messages_joined}"
Make = Callable[[str], Summaries]


def messages(*ids: str, words: int = 30) -> list[Message]:
    return [Message(role="user", content=f"{id_} likes tea. " + f"{id_} " * words, id=id_, created_at=NOW) for id_ in ids]


def put(*ids: str, context: str | None = None, words: int = 30, limit: int = 150) -> ReplaceWorkingMemory:
    return ReplaceWorkingMemory(session_id="s", messages=messages(*ids, words=words), context=context, token_limit=limit)


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    small = SmallSystem(database_url, redis_url)
    yield small
    await small.close()


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as running:
        yield running


@pytest.fixture
async def make(system: SmallSystem, stub: StubModel) -> AsyncIterator[Make]:
    made: list[Journal] = []

    def create(model: str = "stub") -> Summaries:
        settings = Settings(generation_model=model, openai_api_base=stub.base_url)
        made.append(Journal(create_completer(settings), CompletionStore(system.connections)))
        return Summaries(
            system.redis,
            Documents(system.redis, system.log),
            made[-1],
            KnownVectors(system.embedder, system.vectors),
            Recorder(system.redis, system.log, SESSION_WORK, patience=0),
            TokenCounter(),
            share=0.7,
            prompt=PROMPT,
        )

    yield create
    for journal in made:
        await journal.close()


async def summarised(system: SmallSystem, summaries: Summaries) -> None:
    await system.catch_up()
    for stream in await summaries.due(10):
        assert await summaries.do(stream)
    await system.deliver()
    await system.catch_up()


async def document(system: SmallSystem) -> tuple[str | None, list[str], int]:
    found = await system.sessions.read(Scope(), "s")
    assert found is not None
    meta = msgspec.json.decode(found.meta)
    return meta["context"], [one["id"] for one in msgspec.json.decode(b"[" + found.messages + b"]")], meta["tokens"]


async def test_the_oldest_messages_become_the_summary_of_the_model_and_the_newest_stay(
    system: SmallSystem, stub: StubModel, make: Make
) -> None:
    stub.replies = ["a, b and c like tea"]
    await system.send(put("a", "b", "c", "d", context="before"))
    await summarised(system, make("stub"))
    context, ids, tokens = await document(system)
    assert (context, ids) == ("a, b and c like tea", ["d"])
    assert tokens > 0
    (asked,) = (request["messages"][0]["content"] for request in stub.requests)
    assert asked.startswith("so far: before\nnew: user: a likes tea.")
    assert asked.index("user: a") < asked.index("user: b") < asked.index("user: c")
    assert "d likes" not in asked
    assert (await session_work.waiting(system.redis))["summary"] == 0


@pytest.mark.parametrize("answer", ["NONE", " none. ", ""])
async def test_an_answer_that_says_nothing_keeps_the_old_summary(
    system: SmallSystem, stub: StubModel, make: Make, answer: str
) -> None:
    stub.replies = [answer]
    await system.send(put("a", "b", "c", "d", context="before"))
    await summarised(system, make("stub"))
    assert (await document(system))[:2] == ("before", ["d"])


async def test_an_answer_that_says_nothing_where_there_was_no_summary_loses_nothing(
    system: SmallSystem, stub: StubModel, make: Make
) -> None:
    stub.replies = ["NONE"]
    await system.send(put("a", "b", "c", "d"))
    await summarised(system, make("stub"))
    context, ids, _ = await document(system)
    assert ids == ["d"]
    assert context
    assert "likes tea" in context


async def test_without_a_model_whole_sentences_of_the_messages_follow_the_old_summary(
    system: SmallSystem, stub: StubModel, make: Make
) -> None:
    await system.send(put("a", "b", "c", "d", context="They met in May."))
    await summarised(system, make("none"))
    context, ids, tokens = await document(system)
    assert ids == ["d"]
    assert context
    assert context.splitlines()[0] == "They met in May."
    assert "user: " in context.splitlines()[1]
    assert tokens == 0
    assert stub.counts["completions"] == 0
    (event,) = [one for one in await system.log.stream(STREAM) if one.type == WorkingMemorySummarized.__name__]
    assert b'"use":{}' in event.data


async def test_without_a_model_summaries_of_summaries_stay_within_bounds(system: SmallSystem, make: Make) -> None:
    for round_ in range(12):
        await system.send(AppendMessages(session_id="s", messages=messages(*(f"r{round_}m{one}" for one in range(9)), words=400)))
        await summarised(system, make("none"))
    context, ids, _ = await document(system)
    assert context
    assert 1_000 < len(context) <= budget(16_000) + 320
    assert ids[-1] == "r11m8"


async def test_a_model_that_is_away_leaves_everything_as_it_is_and_the_summary_waiting(
    system: SmallSystem, stub: StubModel, make: Make
) -> None:
    stub.trouble = Trouble(mode="429", retry_after="3600")
    await system.send(put("a", "b", "c", "d", context="before"))
    await system.catch_up()
    summaries = make("stub")
    with pytest.raises(Unavailable):
        await summaries.do(STREAM)
    assert await system.deliver() == []
    assert (await document(system))[:2] == ("before", ["a", "b", "c", "d"])
    assert await summaries.waiting() == 1


async def test_messages_that_come_while_the_model_thinks_stay(system: SmallSystem, stub: StubModel, make: Make) -> None:
    stub.replies = ["a to c"]
    await system.send(put("a", "b", "c", "d"))
    await system.catch_up()
    await make("stub").do(STREAM)
    await system.send(AppendMessages(session_id="s", messages=messages("e", words=1)))
    await system.deliver()
    assert (await document(system))[:2] == ("a to c", ["d", "e"])


async def test_a_document_that_was_replaced_meanwhile_is_not_touched(system: SmallSystem, stub: StubModel, make: Make) -> None:
    await system.send(put("a", "b", "c", "d"))
    await system.catch_up()
    await make("stub").do(STREAM)
    await system.send(put("a", "b", "c", "d", "e", context="mine"))
    await system.deliver()
    assert (await document(system))[:2] == ("mine", ["a", "b", "c", "d", "e"])


async def test_what_the_view_lags_behind_is_left_for_later(system: SmallSystem, make: Make) -> None:
    await system.send(put("a", "b", "c", "d"))
    await system.catch_up()
    await system.send(AppendMessages(session_id="s", messages=messages("e")))
    assert not await make("stub").do(STREAM)


async def test_a_session_that_has_ended_by_itself_is_not_summarised(system: SmallSystem, make: Make) -> None:
    command = put("a", "b", "c", "d")
    await system.send(msgspec.structs.replace(command, ttl_seconds=0))
    await system.catch_up()
    summaries = make("none")
    assert await summaries.due(10) == []
    assert await summaries.waiting() == 0


async def test_doing_it_again_asks_nobody_and_changes_nothing(system: SmallSystem, stub: StubModel, make: Make) -> None:
    stub.replies = ["once"]
    await system.send(put("a", "b", "c", "d"))
    await system.catch_up()
    for _ in range(3):
        await make("stub").do(STREAM)
    await system.deliver()
    assert (await document(system))[0] == "once"
    assert stub.counts["completions"] == 1


async def test_a_replay_asks_no_model(system: SmallSystem, stub: StubModel, make: Make) -> None:
    await system.send(put("a", "b", "c", "d"))
    await summarised(system, make("stub"))
    before, asked = await document(system), stub.counts["completions"]
    await system.redis.flushall()
    await system.catch_up()
    assert await document(system) == before
    assert await make("stub").due(10) == []
    assert stub.counts["completions"] == asked
    assert [result.examples for result in (await system.examined()).values()] == [[]] * 8


def test_long_messages_are_cut_into_chunks_that_leave_nothing_out() -> None:
    counter = TokenCounter()
    given = messages("a", "b", words=300)
    cut = list(chunks(given, 100, counter))
    assert "".join(cut).replace("\n", "") == "".join(f"user: {one.content}" for one in given)
    assert all(tokens <= 110 for tokens in counter.count(cut))


def test_braces_in_what_was_said_are_left_alone() -> None:
    assert filled(PROMPT, "{messages_joined}", "{x}") == "so far: {messages_joined}\nnew: {x}"
