"""What types cannot say of settings: ranges, words, and what needs what."""

import math
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agent_memory.contracts.job_catalogue import jobs
from agent_memory.runtime.settings.kinds import shown
from agent_memory.runtime.settings.settings import Settings

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_REDIS = re.compile(r"(redis|rediss|unix)://\S+")
_POSTGRES = re.compile(r"(postgres|postgresql)://\S*")

Rule = tuple[Callable[[Any], bool], str, tuple[str, ...]]


def _at_least(least: float) -> Callable[[Any], bool]:
    return lambda value: value is None or (math.isfinite(value) and value >= least)


def _more_than_nothing(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


RULES: tuple[Rule, ...] = (
    (lambda value: value.upper() in LEVELS, ", ".join(LEVELS[:-1]) + " or " + LEVELS[-1], ("log_level",)),
    (lambda value: value.lower() in ("json", "console"), "json or console", ("log_format",)),
    (lambda value: value.upper() in ("HNSW", "FLAT"), "HNSW or FLAT", ("redisvl_indexing_algorithm",)),
    (
        lambda value: _POSTGRES.fullmatch(value) is not None or ("=" in value and "://" not in value),
        "postgresql://user:password@host:5432/database",
        ("database_url",),
    ),
    (
        lambda value: not value or _REDIS.fullmatch(value) is not None,
        "redis://host:6379/0, rediss://… or unix://…; Redis Cluster is not supported",
        ("redis_url", "working_memory_redis_url"),
    ),
    (lambda value: "{query}" in value, "it must hold {query}, where the text goes", ("query_optimization_prompt_template",)),
    (_is_zone, "it is not the name of a time zone, such as Europe/Berlin", ("timeline_timezone",)),
    (lambda value: all(map(_is_zone, value.values())), "each tenant needs a zone such as Europe/Berlin", ("timeline_timezones",)),
    (lambda value: 0 <= value <= 2, "a cosine distance is 0 to 2", ("deduplication_distance_threshold",)),
    (lambda value: 0 < value <= 1, "more than 0, at most 1", ("summarization_threshold",)),
    (lambda value: 0 <= value <= 65535, "a port is 0 to 65535", ("port", "grpc_port", "mcp_port", "metrics_port")),
    (
        _at_least(1),
        "at least one minute",
        ("compaction_every_minutes", "forgetting_every_minutes", "llm_task_timeout_minutes", "summary_view_refresh_every_minutes"),
    ),
    (
        _at_least(1),
        "at least 1",
        ("window_size", "embedding_threads", "max_body_bytes", "grpc_max_message_bytes", "work_at_once", "work_lease_seconds"),
    ),
    (
        _at_least(0),
        "nothing below 0",
        (
            "extraction_debounce_seconds",
            "top_k_topics",
            "max_future_timestamp_seconds",
            "min_optimized_query_length",
            "redisvl_vector_dimensions",
            "forgetting_max_age_days",
            "forgetting_max_inactive_days",
            "forgetting_budget_keep_top_n",
            "drain_seconds",
            "read_wait_seconds",
            "summarization_wait_seconds",
            "timeline_settle_seconds",
            "timeline_model_settle_seconds",
            "timeline_search_months",
        ),
    ),
    (
        _more_than_nothing,
        "more than 0 seconds",
        ("command_timeout_seconds", "embedding_timeout_seconds", "generation_timeout_seconds"),
    ),
)


def complaint(settings: Settings) -> str | None:
    """What is wrong with the first setting that cannot be used, with its name; None when all can be."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(settings)}
    for fits, wanted, names in RULES:
        for name in names:
            value = getattr(settings, name)
            if not fits(value):
                told = shown(value, kinds[name])
                return f"{name.upper()}{f'={told!r}' if len(str(told)) < 200 else ''} cannot be used: {wanted}"
    if bool(settings.grpc_tls_cert_file) != bool(settings.grpc_tls_key_file):
        return "GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE go together: set both, or none"
    if settings.grpc_tls_client_ca_file and not settings.grpc_tls_cert_file:
        return "GRPC_TLS_CLIENT_CA_FILE needs GRPC_TLS_CERT_FILE: without TLS nobody shows a certificate"
    try:
        jobs(schedules=settings.job_schedules)
    except ValueError as error:
        return f"JOB_SCHEDULES cannot be used: {error}"
    return None
