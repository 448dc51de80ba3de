"""Which models are asked, where, and with which keys."""

from agent_memory.runtime.settings.kinds import Address, Secret
from agent_memory.runtime.settings.servers import ServerSettings


class ModelSettings(ServerSettings, frozen=True, kw_only=True):
    """Embeddings, completions and their providers."""

    embedding_model: str = ""
    """Empty: `text-embedding-3-small` with a key, the local MiniLM without one. `local`, `hash` (tests only) force one;
    `provider/name` is a name of litellm's."""
    embeddings_url: Address = ""
    """An OpenAI-compatible base URL (http://… or unix:/path) used for embeddings instead of OPENAI_API_BASE."""
    embedding_threads: int = 2
    """Processors that the local model may use for one text or batch; it sleeps between requests."""
    embedding_timeout_seconds: float = 30.0
    """Longest wait for one answer to a batch; a query waits a sixth of it."""
    redisvl_vector_dimensions: int = 0
    """Length of the vectors; 0: as the model says."""
    redisvl_indexing_algorithm: str = "HNSW"
    """HNSW (fast, for any number) or FLAT (exact, for up to some 20,000)."""
    generation_model: str = "gpt-5"
    """What makes summaries and extracts memories. `none`: no model, work is done from embeddings or waits."""
    fast_model: str = "gpt-5-mini"
    """What rewrites queries for `optimize_query`, and names topics and entities."""
    generation_timeout_seconds: float = 120.0
    """Longest wait for one completion."""
    openai_api_key: Secret = ""
    """Key for OPENAI_API_BASE."""
    openai_api_base: Address = "https://api.openai.com/v1"
    """Any OpenAI-compatible server; one on this machine needs no key."""
    anthropic_api_key: Secret = ""
    """For models named `claude…` or `anthropic/…`."""
    anthropic_api_base: Address = ""
    """Where they are asked; empty: at Anthropic."""
    aws_access_key_id: Secret = ""
    """For models named `bedrock/…`; this and the next three empty: as AWS' own configuration says."""
    aws_secret_access_key: Secret = ""
    """Belongs to AWS_ACCESS_KEY_ID."""
    aws_session_token: Secret = ""
    """Belongs to AWS_ACCESS_KEY_ID, where that is temporary."""
    region_name: str = ""
    """AWS region whose models are asked."""
