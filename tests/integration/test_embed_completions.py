"""Completions, from a provider that speaks the OpenAI way and through litellm."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.llm import Completer, CompletionRefused, CompletionUnusable, create_completer
from agent_memory.runtime.settings import Settings
from support.stub_model import StubModel, Trouble, stub_model

KEY = "sk-proj-SECRETsecret123456"
ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}

THROUGH_LITELLM = """
import asyncio, sys
from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed import create_embedder, EmbeddingRefused
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.settings import Settings

async def main():
    settings = Settings(
        embedding_model="hosted_vllm/some-model", redisvl_vector_dimensions=1536, generation_model="hosted_vllm/some-chat"
    )
    embedder, completer = create_embedder(settings), create_completer(settings)
    assert "litellm" not in sys.modules
    texts = [f"text {number}" for number in range(100)]
    assert await embedder.embed(texts) == HashEmbedder(1536).vectors(texts), "vectors"
    answer = await completer.complete([{"role": "user", "content": "say this again"}])
    assert answer.text == "say this again", answer
    assert answer.usage.prompt_tokens > 0, answer
    try:
        await embedder.embed(["refuse me"])
    except EmbeddingRefused as refused:
        assert refused.status == 400 and "cannot embed" in refused.detail, refused
    else:
        raise AssertionError("not refused")

asyncio.run(main())
"""


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model() as running:
        yield running


@pytest.fixture
async def completer(stub: StubModel) -> AsyncIterator[Completer]:
    created = create_completer(Settings(openai_api_key=KEY, openai_api_base=stub.base_url))
    yield created
    await created.close()


async def test_a_completion_comes_with_what_it_took(stub: StubModel, completer: Completer) -> None:
    stub.replies = ["Paris."]
    answer = await completer.complete(ASK)
    assert (answer.text, answer.model) == ("Paris.", "gpt-5")
    assert answer.usage.prompt_tokens == 9
    assert answer.usage.cost == pytest.approx(9 * 1.25e-6 + 1e-5)
    assert stub.requests == [{"model": "gpt-5", "messages": ASK}]


async def test_json_is_asked_for_by_its_schema(stub: StubModel, completer: Completer) -> None:
    stub.replies = ['{"city": "Paris"}']
    assert (await completer.complete(ASK, json_schema=SCHEMA)).text == '{"city": "Paris"}'
    assert stub.requests[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }


async def test_an_answer_that_is_not_the_json_asked_for_is_not_used(stub: StubModel, completer: Completer) -> None:
    stub.replies = ["Sure! Here it is: {"]
    with pytest.raises(CompletionUnusable, match="asked for JSON"):
        await completer.complete(ASK, json_schema=SCHEMA)


@pytest.mark.parametrize(("reply", "finish", "reason"), [("", "stop", "nothing"), ("Par", "length", "cut off")])
async def test_half_an_answer_is_not_used(stub: StubModel, completer: Completer, reply: str, finish: str, reason: str) -> None:
    stub.replies, stub.finish_reason = [reply], finish
    with pytest.raises(CompletionUnusable, match=reason):
        await completer.complete(ASK)


async def test_garbage_is_not_used(stub: StubModel, completer: Completer) -> None:
    stub.trouble = Trouble(mode="garbage")
    with pytest.raises(CompletionUnusable, match="not a completion"):
        await completer.complete(ASK)


async def test_a_refusal_never_shows_the_key(stub: StubModel, completer: Completer) -> None:
    stub.trouble = Trouble(mode="401")
    with pytest.raises(CompletionRefused, match="stub says 401") as refused:
        await completer.complete(ASK)
    assert "SECRET" not in str(refused.value)


async def test_a_failure_that_passes_is_not_noticed_and_a_lasting_one_is_unavailable(stub: StubModel, completer: Completer) -> None:
    stub.trouble = Trouble(mode="429", times=1)
    assert (await completer.complete(ASK)).text == ASK[-1]["content"]
    stub.trouble = Trouble(mode="429", retry_after="3600")
    with pytest.raises(Unavailable, match="answered 429"):
        await completer.complete(ASK)


async def test_other_providers_are_reached_through_litellm_loaded_with_the_first_call(stub: StubModel) -> None:
    stub.trouble = Trouble(refuse_text="refuse me")
    environment = {**os.environ, "HOSTED_VLLM_API_BASE": stub.base_url, "HOSTED_VLLM_API_KEY": "none"}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", THROUGH_LITELLM, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    _, errors = await program.communicate()
    assert program.returncode == 0, errors.decode()[-3000:]
    assert stub.counts["embeddings"] == 100
