"""Which embedder, and which identity of vectors, the settings mean."""

import subprocess
import sys

import pytest

from agent_memory.runtime.embed import create_embedder, vector_identity
from agent_memory.runtime.llm import NoModel, create_completer
from agent_memory.runtime.llm_catalogue import cost
from agent_memory.runtime.llm_http import endpoint
from agent_memory.runtime.settings import Settings, SettingsError

KEY = "sk-abcdefghijkl"


@pytest.mark.parametrize(
    ("settings", "identity"),
    [
        (Settings(), ("all-MiniLM-L6-v2", 384)),
        (Settings(embedding_model="local", openai_api_key=KEY), ("all-MiniLM-L6-v2", 384)),
        (Settings(embeddings_url="unix:/run/embed.sock"), ("all-MiniLM-L6-v2", 384)),
        (Settings(openai_api_key=KEY), ("text-embedding-3-small@1536", 1536)),
        (Settings(openai_api_key=KEY, redisvl_vector_dimensions=512), ("text-embedding-3-small@512", 512)),
        (Settings(openai_api_key=KEY, embedding_model="openai/text-embedding-3-large"), ("text-embedding-3-large@3072", 3072)),
        (Settings(embedding_model="ollama/strange", redisvl_vector_dimensions=77), ("ollama/strange@77", 77)),
        (Settings(embedding_model="hash", redisvl_vector_dimensions=16), ("hash@16", 16)),
    ],
)
async def test_settings_name_the_vectors(settings: Settings, identity: tuple[str, int]) -> None:
    assert vector_identity(settings) == identity
    embedder = create_embedder(settings)
    assert (embedder.model, embedder.dimensions) == identity
    await embedder.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(embedding_model="text-embedding-3-small"), "OPENAI_API_KEY"),
        (Settings(redisvl_vector_dimensions=1536), "REDISVL_VECTOR_DIMENSIONS"),
        (Settings(openai_api_key=KEY, redisvl_vector_dimensions=9999), "REDISVL_VECTOR_DIMENSIONS"),
        (
            Settings(openai_api_key=KEY, embedding_model="text-embedding-ada-002", redisvl_vector_dimensions=5),
            "REDISVL_VECTOR_DIMENSIONS",
        ),
        (Settings(embedding_model="ollama/strange"), "REDISVL_VECTOR_DIMENSIONS"),
        (Settings(openai_api_key=KEY, embeddings_url="ftp://x"), "EMBEDDINGS_URL"),
        (Settings(openai_api_key=KEY, openai_api_base="nowhere"), "OPENAI_API_BASE"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: Settings, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        create_embedder(settings)


@pytest.mark.parametrize("settings", [Settings(), Settings(openai_api_key=KEY, generation_model="none")])
async def test_without_a_model_a_completion_says_so(settings: Settings) -> None:
    completer = create_completer(settings)
    assert completer.model == ""
    with pytest.raises(NoModel, match="OPENAI_API_KEY"):
        await completer.complete([{"role": "user", "content": "hello"}])


def test_the_fast_model_is_another_one() -> None:
    settings = Settings(openai_api_key=KEY)
    assert (create_completer(settings).model, create_completer(settings, fast=True).model) == ("gpt-5", "gpt-5-mini")


@pytest.mark.parametrize("url", ["unix:/run/a.sock", "unix:///run/a.sock"])
def test_a_socket_is_an_address(url: str) -> None:
    assert endpoint(url).socket == "/run/a.sock"


def test_a_list_price_is_known_without_asking_anybody() -> None:
    assert cost("gpt-5-mini", 1_000_000, 0) == pytest.approx(0.25)
    assert cost("nobody-knows", 1, 1) is None


def test_neither_litellm_nor_the_local_model_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys; from agent_memory.runtime import embed, llm, settings;"
        "s = settings.Settings(openai_api_key='sk-abcdefghijkl', embeddings_url='unix:/x', embedding_model='local');"
        "embed.create_query_embedder(s); llm.create_completer(s);"
        "sys.exit(bool({'litellm', 'onnxruntime', 'onnx', 'tokenizers', 'tiktoken'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
