"""Settings, read once from the environment into one frozen struct. A wrong value stops the start with its name."""

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

QUERY_PROMPT = """Rewrite a question so that a search by meaning finds what answers it. Keep its meaning, its names, numbers and
dates; leave out phrases of courtesy such as "can you tell me"; name the things that it is about. Answer with the rewritten
question alone.

Question: {query}
Rewritten:"""


class SettingsError(Exception):
    """A setting has a value that cannot be used; the text names it and says what would do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service reads. Each field is the environment variable of the same name in upper case."""

    database_url: str = "postgresql://127.0.0.1:5432/agent_memory"
    redis_url: str = "redis://127.0.0.1:6379/0"
    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int = 50051
    mcp_port: int = 9000
    metrics_port: int = 0
    """Where a background service answers /health and /metrics; 0: nowhere."""

    embedding_model: str = ""
    """Empty: `text-embedding-3-small` with a key, the local MiniLM without one. `local`, `hash` (tests only) force one."""
    embeddings_url: str = ""
    """An OpenAI-compatible base URL (http://… or unix:/path) used for embeddings instead of OPENAI_API_BASE."""
    embedding_threads: int = 2
    """Processors that the local model may use for one text or batch; it sleeps between requests."""
    embedding_timeout_seconds: float = 30.0
    """Longest wait for one answer to a batch; a query waits a sixth of it."""
    redisvl_vector_dimensions: int = 0
    """Length of the vectors; 0: as the model says."""
    redisvl_indexing_algorithm: str = "HNSW"
    generation_model: str = "gpt-5"
    fast_model: str = "gpt-5-mini"
    generation_timeout_seconds: float = 120.0
    """Longest wait for one completion."""
    openai_api_key: str = ""
    openai_api_base: str = "https://api.openai.com/v1"

    long_term_memory: bool = True
    index_all_messages_in_long_term_memory: bool = False
    require_message_timestamps: bool = False
    max_future_timestamp_seconds: int = 300
    enable_working_memory_summarization: bool = True
    summarization_threshold: float = 0.7
    """Share of a model's tokens beyond which the oldest messages of working memory become part of its summary."""
    progressive_summarization_prompt: str = ""
    """How the model is asked for a summary; `{prev_summary}` and `{messages_joined}` stand for what goes in. Empty: ours."""
    enable_discrete_memory_extraction: bool = True
    extraction_debounce_seconds: int = 30
    """How long a session must be quiet before its messages are read for what is worth keeping."""
    enable_topic_extraction: bool = True
    topic_model_source: Literal["LLM", "BERT"] = "LLM"
    topic_model: str = "MaartenGr/BERTopic_Wikipedia"
    top_k_topics: int = 3
    enable_ner: bool = True
    ner_model_source: Literal["LLM", "BERT"] = "LLM"
    ner_model: str = "dbmdz/bert-large-cased-finetuned-conll03-english"
    summarization_wait_seconds: float = 10.0
    """Longest wait of a PUT that is over the threshold for its summary; then it is answered as it stands."""
    working_memory_promotion: Literal["memories", "none"] = "memories"
    """What of a session's document becomes long-term memory at once: the memories in it, or nothing."""
    missing_session_is_empty: bool = False
    """Answer a session that is not there with an empty one, marked `unsaved`, as clients before 0.12 expect, instead of 404."""
    window_size: int = 20
    """Messages that the unversioned `/sessions/{id}/memory` and `/memory-prompt` show when the caller names no number."""
    query_optimization_prompt_template: str = QUERY_PROMPT
    """What FAST_MODEL is asked for `optimize_query`; `{query}` stands for the caller's text."""
    min_optimized_query_length: int = 2
    """A rewritten query of fewer characters is not used."""
    compact_semantic_duplicates: bool = True
    """Merge also memories that say the same in other words; without it, those of equal text alone."""
    compaction_every_minutes: int = 10
    llm_task_timeout_minutes: int = 5
    """Longest wait of a request for background work that asks a model."""
    forgetting_enabled: bool = False
    """Forget by the policy below, again and again, the memories of each owner apart."""
    forgetting_every_minutes: int = 60
    forgetting_max_age_days: float | None = None
    forgetting_max_inactive_days: float | None = None
    forgetting_budget_keep_top_n: int | None = None
    """How many of an owner's memories may stay, the most recent ones."""

    command_timeout_seconds: float = 10.0
    """How long a gateway waits for the reply to a command before it asks the log."""
    read_wait_seconds: float = 5.0
    """Longest wait of a read that asks for `min_position`."""
    max_body_bytes: int = 10_000_000
    log_level: str = "INFO"
    log_format: str = "json"
    otel_exporter_otlp_endpoint: str = ""
    otel_service_name: str = ""
    service_replica: str = ""
    """Name of this replica among those of its service; empty: host and process id."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SettingsError naming the first variable that does not fit."""
    environment = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        raw = environment.get(field.name.upper())
        if raw is None or (raw == "" and field.type is not str):
            continue
        try:
            given[field.name] = msgspec.convert(raw.strip(), field.type, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{field.name.upper()}={raw!r} cannot be used: {error}") from None
    return _checked(Settings(**given))


def _checked(settings: Settings) -> Settings:
    if settings.log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise SettingsError(f"LOG_LEVEL={settings.log_level!r} cannot be used: DEBUG, INFO, WARNING, ERROR or CRITICAL")
    if settings.redisvl_indexing_algorithm.upper() not in ("HNSW", "FLAT"):
        raise SettingsError(f"REDISVL_INDEXING_ALGORITHM={settings.redisvl_indexing_algorithm!r} cannot be used: HNSW or FLAT")
    if settings.window_size < 1:
        raise SettingsError(f"WINDOW_SIZE={settings.window_size} cannot be used: a number of messages is at least 1")
    if "{query}" not in settings.query_optimization_prompt_template:
        raise SettingsError("QUERY_OPTIMIZATION_PROMPT_TEMPLATE cannot be used: it must hold {query}, where the text goes")
    for name in ("compaction_every_minutes", "forgetting_every_minutes", "llm_task_timeout_minutes"):
        if getattr(settings, name) < 1:
            raise SettingsError(f"{name.upper()}={getattr(settings, name)} cannot be used: at least one minute")
    for name in ("forgetting_max_age_days", "forgetting_max_inactive_days", "forgetting_budget_keep_top_n"):
        if not (getattr(settings, name) or 0) >= 0:  # NaN is neither
            raise SettingsError(f"{name.upper()}={getattr(settings, name)} cannot be used: nothing below 0")
    if not 0 < settings.summarization_threshold <= 1:
        raise SettingsError(f"SUMMARIZATION_THRESHOLD={settings.summarization_threshold} cannot be used: more than 0, at most 1")
    for name in ("extraction_debounce_seconds", "top_k_topics"):
        if getattr(settings, name) < 0:
            raise SettingsError(f"{name.upper()}={getattr(settings, name)} cannot be used: 0 or more")
    for name in ("port", "grpc_port", "mcp_port", "metrics_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"{name.upper()}={getattr(settings, name)} cannot be used: a port is 0 to 65535")
    return settings
