"""The journal of model answers on a real database: the same question is asked once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.runtime.llm import CompletionUnusable, create_completer
from agent_memory.runtime.llm_journal import Journal, request_hash
from agent_memory.runtime.settings import Settings
from support.stub_model import StubModel, stub_model

ASK = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as running:
        yield running


@pytest.fixture
async def journal(stub: StubModel, database_url: str) -> AsyncIterator[Journal]:
    connections = Connections(database_url)
    created = Journal(
        create_completer(Settings(generation_model="stub", openai_api_base=stub.base_url)), CompletionStore(connections)
    )
    yield created
    await created.close()
    await connections.close()


def short(text: str) -> str:
    if len(text) > 10:
        raise ValueError("too long")
    return text


async def test_the_same_question_is_answered_the_same_and_asked_once(journal: Journal, stub: StubModel) -> None:
    stub.replies = ["Paris", "Lyon"]
    first, second = [await journal.ask("t", ASK, short) for _ in range(2)]
    assert first == second
    assert (first.value, stub.counts["completions"]) == ("Paris", 1)
    assert stub.headers[0]["Idempotency-Key"] == request_hash("t", "stub", ASK, None).hex()
    assert (await journal.ask("t", [*ASK, *ASK], short)).value == "Lyon"


async def test_a_question_with_another_schema_or_model_is_another_question() -> None:
    assert request_hash("t", "a", ASK, None) != request_hash("t", "b", ASK, None) != request_hash("t", "b", ASK, {})
    assert request_hash("t", "a", ASK, {"x": 1, "y": 2}) == request_hash("t", "a", ASK, {"y": 2, "x": 1})


async def test_an_answer_that_makes_no_sense_is_not_kept(journal: Journal, stub: StubModel) -> None:
    stub.replies = ["The capital is Paris"]
    with pytest.raises(CompletionUnusable, match="too long"):
        await journal.ask("t", ASK, short)
    stub.replies = ["Paris"]
    assert (await journal.ask("t", ASK, short)).value == "Paris"
    assert stub.headers[0]["Idempotency-Key"] != stub.headers[1]["Idempotency-Key"], "or the provider gives the same again"


async def test_an_answer_is_its_tenants_own(journal: Journal, stub: StubModel) -> None:
    stub.replies = ["Paris", "Lyon"]
    assert [(await journal.ask(tenant, ASK, short)).value for tenant in ("t", "other", "t")] == ["Paris", "Lyon", "Paris"]


async def test_two_that_ask_at_once_make_the_same_of_it(journal: Journal, stub: StubModel) -> None:
    stub.replies = ["Paris", "Lyon"]
    answers = await asyncio.gather(*(journal.ask("t", ASK, short) for _ in range(5)))
    assert len({answer.value for answer in answers}) == 1
    assert len(stub.charged) == 1


async def test_an_answer_with_every_kind_of_character_comes_back_as_it_was(journal: Journal, stub: StubModel) -> None:
    stub.replies = ["ü \u2028\n\"'\\ 🎉"]
    first, second = [await journal.ask("t", ASK, str) for _ in range(2)]
    assert first.value == second.value == "ü \u2028\n\"'\\ 🎉"


async def test_without_a_database_nothing_is_asked(stub: StubModel) -> None:
    journal = Journal(
        create_completer(Settings(generation_model="stub", openai_api_base=stub.base_url)),
        CompletionStore(Connections("postgresql://127.0.0.1:1/x")),
    )
    with pytest.raises(Unavailable):
        await journal.ask("t", ASK, str)
    await journal.close()
    assert stub.counts["completions"] == 0
