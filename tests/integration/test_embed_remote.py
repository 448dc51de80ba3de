"""A provider over HTTP: what it is asked, what it may answer, how it fails."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.breaker import Breaker
from agent_memory.runtime.embed import (
    Embedder,
    EmbeddingRefused,
    EmbeddingUnusable,
    create_embedder,
    create_query_embedder,
    unpacked,
)
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_remote import RemoteEmbedder
from agent_memory.runtime.llm_http import ProviderHttp, endpoint
from agent_memory.runtime.llm_retry import Patience, Persistence
from agent_memory.runtime.settings import Settings
from support.controls import wait_until
from support.stub_model import StubModel, Trouble, stub_model

KEY = "sk-proj-SECRETsecret123456"


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model(1536) as running:
        yield running


@pytest.fixture
async def embedder(stub: StubModel) -> AsyncIterator[Embedder]:
    created = create_embedder(Settings(openai_api_key=KEY, openai_api_base=stub.base_url))
    yield created
    await created.close()


@pytest.fixture
async def hasty(stub: StubModel) -> AsyncIterator[Embedder]:
    """Tries three times without waiting; its breaker opens after four failures."""
    patience = Patience(attempts=3, first_wait=0.0)
    http = ProviderHttp(
        endpoint(stub.base_url),
        key=KEY,
        timeout=0.2,
        persistence=Persistence("stub", patience=patience, breaker=Breaker("stub", failures=4)),
    )
    yield RemoteEmbedder(http, name="m", identity="m@1536", dimensions=1536)
    await http.close()


async def test_a_provider_is_asked_the_openai_way(stub: StubModel, embedder: Embedder) -> None:
    assert await embedder.embed(["one", "two"]) == HashEmbedder(1536).vectors(["one", "two"])
    assert stub.requests == [{"input": ["one", "two"], "model": "text-embedding-3-small", "encoding_format": "base64"}]
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_shorter_vectors_are_asked_for_only_when_set(stub: StubModel) -> None:
    settings = Settings(openai_api_key=KEY, openai_api_base=stub.base_url, redisvl_vector_dimensions=256)
    shorter = create_embedder(settings)
    assert unpacked(await shorter.embed(["one"])).shape == (1, 256)
    assert stub.requests[0]["dimensions"] == 256
    await shorter.close()


async def test_embeddings_url_is_asked_instead_of_the_api_base(stub: StubModel) -> None:
    settings = Settings(
        openai_api_base="http://127.0.0.1:9/v1",
        embeddings_url=stub.base_url + "/",
        embedding_model="org/m",
        redisvl_vector_dimensions=1536,
    )
    elsewhere = create_embedder(settings)
    assert elsewhere.model == "org/m@1536"
    await elsewhere.embed(["one"])
    assert stub.requests[0]["model"] == "org/m"
    await elsewhere.close()


async def test_a_server_of_the_local_model_never_sees_the_provider_s_key() -> None:
    async with stub_model(384) as stub:
        local = create_embedder(Settings(openai_api_key=KEY, embedding_model="local", embeddings_url=stub.base_url))
        await local.embed(["one"])
        assert not [headers for headers in stub.headers if KEY in str(headers)]
        await local.close()


async def test_many_texts_are_asked_for_in_parts_and_come_back_in_order(stub: StubModel, embedder: Embedder) -> None:
    texts = [f"text {number}" for number in range(700)]
    assert await embedder.embed(texts) == HashEmbedder(1536).vectors(texts)
    assert sorted(len(request["input"]) for request in stub.requests) == [188, 256, 256]
    assert await embedder.embed([]) == []


async def test_texts_that_no_provider_takes_are_made_fit(stub: StubModel, embedder: Embedder) -> None:
    await embedder.embed(["", "\ud800", "tokens and more tokens " * 5000])
    empty, surrogate, long = stub.requests[0]["input"]
    assert (empty, surrogate) == (" ", "?")
    assert 30_000 < len(long) < 50_000


async def test_vectors_in_another_order_find_their_texts(stub: StubModel, embedder: Embedder) -> None:
    stub.trouble = Trouble(mode="shuffled")
    assert await embedder.embed(["one", "two", "three"]) == HashEmbedder(1536).vectors(["one", "two", "three"])


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("short", "7 floats where 1536"),
        ("nan", "no direction"),
        ("fewer", "1 vectors for 2 texts"),
        ("garbage", "not a list of embeddings"),
    ],
)
async def test_an_answer_that_is_no_vector_is_named_and_not_used(
    stub: StubModel, embedder: Embedder, mode: str, reason: str
) -> None:
    stub.trouble = Trouble(mode=mode)  # type: ignore[arg-type]
    with pytest.raises(EmbeddingUnusable, match=reason):
        await embedder.embed(["one", "two"])


@pytest.mark.parametrize("mode", ["500", "429", "drop", "hang"])
async def test_a_failure_that_passes_is_not_noticed(stub: StubModel, hasty: Embedder, mode: str) -> None:
    stub.trouble = Trouble(mode=mode, times=2)  # type: ignore[arg-type]
    assert await hasty.embed(["one"]) == HashEmbedder(1536).vectors(["one"])
    assert stub.counts["misbehaved"] == 2


async def test_an_open_breaker_spares_the_provider(stub: StubModel, hasty: Embedder) -> None:
    stub.trouble = Trouble(mode="500")
    with pytest.raises(Unavailable, match=r"answered 500.*tried 3 times"):
        await hasty.embed(["one"])
    for _ in range(5):
        with pytest.raises(Unavailable, match="4 times in a row"):
            await hasty.embed(["one"])
    assert stub.counts["misbehaved"] == 4


async def test_a_long_retry_after_is_an_answer_not_a_wait(stub: StubModel, hasty: Embedder) -> None:
    stub.trouble = Trouble(mode="429", retry_after="3600")
    with pytest.raises(Unavailable, match="answered 429"):
        await hasty.embed(["one"])
    assert stub.counts["misbehaved"] == 1


async def test_nobody_listening_is_unavailable() -> None:
    nobody = create_query_embedder(Settings(embeddings_url="unix:/nowhere/embed.sock"))
    with pytest.raises(Unavailable, match=r"unix:/nowhere/embed\.sock: connection failed: No such file"):
        await nobody.embed(["one"])
    await nobody.close()


@pytest.mark.parametrize(("mode", "about_input"), [("401", False), ("400", True)])
async def test_a_refusal_carries_the_provider_s_words_and_never_the_key(
    stub: StubModel, embedder: Embedder, mode: str, about_input: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.trouble = Trouble(mode=mode)  # type: ignore[arg-type]
    with pytest.raises(EmbeddingRefused, match=f"answered {mode}: stub says {mode}") as refused:
        await embedder.embed(["one"])
    assert (refused.value.status, refused.value.about_input) == (int(mode), about_input)
    assert stub.counts["misbehaved"] == 1
    stub.trouble = Trouble(mode="500", times=1)
    await embedder.embed(["one"])
    shown = "".join(capsys.readouterr()) + repr(refused.value) + repr(refused.value.__cause__) + repr(vars(refused.value))
    assert "SECRET" not in shown
    assert "asked again" in shown


async def test_concurrent_searches_share_requests(stub: StubModel) -> None:
    queries = create_query_embedder(Settings(embedding_model="text-embedding-3-small", embeddings_url=stub.base_url))
    stub.trouble = Trouble(mode="hang", times=2)
    first = [asyncio.create_task(queries.embed([f"query {number}"])) for number in range(40)]
    await wait_until(lambda: stub.counts["misbehaved"] == 2, "two requests are in flight")
    stub.release()
    assert [await task for task in first] == [[vector] for vector in HashEmbedder(1536).vectors([f"query {n}" for n in range(40)])]
    assert stub.counts["embedding_requests"] <= 6
    await queries.embed(["query 7"])
    assert stub.counts["embedding_requests"] <= 6
    await queries.close()
