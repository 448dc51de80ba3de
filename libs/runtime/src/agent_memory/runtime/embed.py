"""Embedders by settings. `create_embedder` for those who index, `create_query_embedder` for those who search.

EMBEDDING_MODEL                  who is asked
(empty)                          text-embedding-3-small with OPENAI_API_KEY, else local
local, all-MiniLM-L6-v2          the model on this machine: in its own process at EMBEDDINGS_URL, else in this one
hash                             words only, for tests
name, openai/name                OpenAI-compatible HTTP at EMBEDDINGS_URL, else at OPENAI_API_BASE
provider/name                    litellm; with EMBEDDINGS_URL set, that URL is asked for this very name instead
"""

from agent_memory.runtime.breaker import Breaker
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_queries import Coalescing, Remembering
from agent_memory.runtime.embed_remote import RemoteEmbedder
from agent_memory.runtime.embed_tokens import Limits
from agent_memory.runtime.embed_vectors import Embedder, EmbeddingRefused, EmbeddingUnusable, packed, unpacked
from agent_memory.runtime.llm_catalogue import known
from agent_memory.runtime.llm_credentials import credentials
from agent_memory.runtime.llm_http import Endpoint, ProviderHttp, endpoint
from agent_memory.runtime.llm_retry import PATIENT, PROMPT, Persistence
from agent_memory.runtime.settings import Settings, SettingsError

__all__ = [
    "Embedder",
    "EmbeddingRefused",
    "EmbeddingUnusable",
    "create_embedder",
    "create_query_embedder",
    "packed",
    "unpacked",
    "vector_identity",
]

LOCAL = "all-MiniLM-L6-v2"
LOCAL_DIMENSIONS = 384
DEFAULT_REMOTE = "text-embedding-3-small"
LANES_NEAR = 2
"""Requests in flight to a server on this machine: more would only share its processors."""
LANES_FAR = 8
"""Requests in flight to a provider whose answer takes its time whatever the load."""
LOCAL_LIMITS = Limits(texts=64, text_tokens=16_384, count=False)
"""A request of the longest texts takes one processor about four seconds. The model itself cuts texts by its own tokens."""
RESTART = 1.0
"""Seconds that a failing server on this machine is left alone: about as long as it takes to come back."""
_LOCAL_NAMES = frozenset({"local", LOCAL, f"sentence-transformers/{LOCAL}"})
_SHORTENABLE = ("text-embedding-3", "gemini-embedding", "qwen3-embedding", "embed-v4")
"""Families trained so that the beginning of a vector is a vector too."""


def create_embedder(settings: Settings) -> Embedder:
    """The embedder for batches: patient with its provider. Raises SettingsError naming what does not fit."""
    return _create(settings, for_queries=False)


def create_query_embedder(settings: Settings) -> Embedder:
    """The embedder for searches: gives up soon, joins concurrent callers, remembers what was asked. Raises SettingsError."""
    embedder = _create(settings, for_queries=True)
    return Remembering(Coalescing(embedder, lanes=LANES_NEAR if _near(settings) else LANES_FAR))


def vector_identity(settings: Settings) -> tuple[str, int]:
    """Identity and dimensions of the vectors that these settings give, without connecting to anything. Raises SettingsError."""
    name = _name(settings)
    if name == "hash":
        dimensions = settings.redisvl_vector_dimensions or LOCAL_DIMENSIONS
        return f"hash@{dimensions}", dimensions
    if name in _LOCAL_NAMES:
        if settings.redisvl_vector_dimensions not in (0, LOCAL_DIMENSIONS):
            raise SettingsError(
                f"REDISVL_VECTOR_DIMENSIONS={settings.redisvl_vector_dimensions} cannot be used: vectors of the local model "
                f"have {LOCAL_DIMENSIONS} floats. Unset it, or set OPENAI_API_KEY or EMBEDDING_MODEL"
            )
        return LOCAL, LOCAL_DIMENSIONS
    dimensions = _dimensions(name, settings.redisvl_vector_dimensions)
    return f"{name}@{dimensions}", dimensions


def _name(settings: Settings) -> str:
    given = settings.embedding_model.strip() or (DEFAULT_REMOTE if settings.openai_api_key else "local")
    return given.removeprefix("openai/")


def _dimensions(name: str, wanted: int) -> int:
    native = known(name).output_vector_size
    if native is None and not wanted:
        raise SettingsError(
            f"EMBEDDING_MODEL={name!r} is not a known model: set REDISVL_VECTOR_DIMENSIONS to the length of its vectors"
        )
    if native is not None and wanted > native:
        raise SettingsError(f"REDISVL_VECTOR_DIMENSIONS={wanted} cannot be used: vectors of {name} have at most {native} floats")
    if native is not None and wanted not in (0, native) and not _shortens(name):
        raise SettingsError(f"REDISVL_VECTOR_DIMENSIONS={wanted} cannot be used: vectors of {name} always have {native} floats")
    return wanted or native or 0


def _shortens(name: str) -> bool:
    return name.rpartition("/")[2].lower().startswith(_SHORTENABLE)


def _create(settings: Settings, *, for_queries: bool) -> Embedder:
    name = _name(settings)
    identity, dimensions = vector_identity(settings)
    if name == "hash":
        return HashEmbedder(dimensions)
    if name in _LOCAL_NAMES and not settings.embeddings_url:
        # onnxruntime and the model's graph are loaded only by who runs the model.
        from agent_memory.runtime.embed_local import LocalEmbedder  # noqa: PLC0415

        return LocalEmbedder(threads=settings.embedding_threads, interactive=for_queries)
    timeout = _timeout(name, settings, for_queries=for_queries)
    patience = PROMPT if for_queries else PATIENT
    shorten = _shortens(name) and settings.redisvl_vector_dimensions > 0
    if "/" in name and name not in _LOCAL_NAMES and not settings.embeddings_url:
        # Brings no litellm yet; only the first call does.
        from agent_memory.runtime.embed_litellm import LitellmEmbedder  # noqa: PLC0415
        from agent_memory.runtime.llm_litellm import Litellm  # noqa: PLC0415

        return LitellmEmbedder(
            Litellm(
                name,
                timeout=timeout,
                persistence=Persistence(name, patience=patience),
                credentials=credentials(name, settings),
            ),
            dimensions=dimensions,
            shorten=shorten,
        )
    http = _provider(settings, timeout=timeout, for_queries=for_queries)
    if name in _LOCAL_NAMES:
        return RemoteEmbedder(http, name=LOCAL, identity=identity, dimensions=dimensions, limits=LOCAL_LIMITS)
    return RemoteEmbedder(http, name=name, identity=identity, dimensions=dimensions, shorten=shorten)


def _timeout(name: str, settings: Settings, *, for_queries: bool) -> float:
    if for_queries:
        return settings.embedding_timeout_seconds / 6
    # A busy processor is slow, not gone: a batch given up would only be computed twice. A dead server is noticed at once.
    return settings.embedding_timeout_seconds * (10 if name in _LOCAL_NAMES else 1)


def _where(settings: Settings) -> Endpoint:
    variable = "EMBEDDINGS_URL" if settings.embeddings_url else "OPENAI_API_BASE"
    url = settings.embeddings_url or settings.openai_api_base
    try:
        return endpoint(url)
    except ValueError as error:
        raise SettingsError(f"{variable}={url!r} cannot be used: {error}") from None


def _near(settings: Settings) -> bool:
    name = _name(settings)
    return name in _LOCAL_NAMES or name == "hash" or _where(settings).local


def _provider(settings: Settings, *, timeout: float, for_queries: bool) -> ProviderHttp:
    where = _where(settings)
    if where.name.startswith("api.openai.com:") and not settings.openai_api_key:
        raise SettingsError("OPENAI_API_KEY is not set, and EMBEDDING_MODEL is a model of OpenAI: set it, or EMBEDDING_MODEL=local")
    breaker = Breaker(where.name, cool_down=RESTART) if where.local else Breaker(where.name)
    return ProviderHttp(
        where,
        key="" if where.socket or _name(settings) in _LOCAL_NAMES else settings.openai_api_key,
        timeout=timeout,
        persistence=Persistence(where.name, patience=PROMPT if for_queries else PATIENT, breaker=breaker),
        headers={"X-Memory-Priority": "interactive"} if for_queries and where.local else None,
    )
