"""What a session's reader is told about tokens, which messages fit, which memories are old enough to be forgotten. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from agent_memory.contracts.queries import Recency
from agent_memory.contracts.records import MemoryRecord, to_milliseconds
from agent_memory.readmodels.ranking import recency

DEFAULT_TOKEN_LIMIT = 16_000

MODEL_TOKENS: dict[str, int] = {
    "gpt-3.5-turbo": 4_096,
    "gpt-3.5-turbo-16k": 16_384,
    "gpt-4": 8_192,
    "gpt-4-32k": 32_768,
    "gpt-4o": 128_000,
    "gpt-4o-mini": 128_000,
    "gpt-4.1": 128_000,
    "gpt-4.1-mini": 128_000,
    "gpt-5-mini": 400_000,
    "gpt-5-nano": 400_000,
    "gpt-5.1-chat-latest": 128_000,
    "gpt-5.2-chat-latest": 128_000,
    "o1": 200_000,
    "o1-mini": 128_000,
    "o3-mini": 200_000,
    "text-embedding-ada-002": 8_191,
    "text-embedding-3-small": 8_191,
    "text-embedding-3-large": 8_191,
    "claude-3-opus-20240229": 200_000,
    "claude-3-sonnet-20240229": 200_000,
    "claude-3-haiku-20240307": 200_000,
    "claude-3-5-sonnet-20240620": 200_000,
    "claude-3-5-sonnet-20241022": 200_000,
    "claude-3-5-haiku-20241022": 200_000,
    "claude-3-7-sonnet-20250219": 200_000,
    "claude-3-7-sonnet-latest": 200_000,
    "claude-3-5-sonnet-latest": 200_000,
    "claude-3-5-haiku-latest": 200_000,
    "claude-3-opus-latest": 200_000,
    "claude-sonnet-4-5": 200_000,
    "claude-sonnet-4-5-20250929": 200_000,
    "claude-haiku-4-5": 200_000,
    "claude-haiku-4-5-20251001": 200_000,
    "claude-opus-4-5": 200_000,
    "claude-opus-4-5-20251101": 200_000,
}
"""Context window of every model that a client may name."""


def token_limit(model_name: str | None, context_window_max: int | None) -> int:
    """Tokens that the caller's model can take: what it says itself, else what its model is known for."""
    if context_window_max is not None:
        return context_window_max
    return MODEL_TOKENS.get(model_name or "", DEFAULT_TOKEN_LIMIT)


def percentages(tokens: int, limit: int, threshold: float) -> tuple[float, float]:
    """How much of the window is used, and how much of what may be used before summarisation; each 0 to 100."""
    return _percent(tokens, limit), _percent(tokens, int(limit * threshold))


def _percent(tokens: int, limit: int) -> float:
    if tokens <= 0:
        return 0.0
    return 100.0 if limit <= 0 else min(tokens / limit * 100.0, 100.0)


def first_that_fits(tokens: Sequence[int], limit: int) -> int:
    """Index of the oldest message to keep so that the rest fits the limit; the newest one always stays."""
    left = sum(tokens)
    for index, count in enumerate(tokens):
        if left <= limit or index == len(tokens) - 1:
            return index
        left -= count
    return 0


class ForgetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which memories may go. Ages in days; `budget`: how many of those that no age rule hits may stay."""

    max_age_days: float | None = None
    max_inactive_days: float | None = None
    budget: int | None = None
    memory_type_allowlist: list[str] | None = None
    hard_age_multiplier: float = 12.0


def forgettable(records: Sequence[MemoryRecord], policy: ForgetPolicy, pinned_ids: Collection[str], now: datetime) -> list[str]:
    """Ids of the memories that the policy lets go, in the order given. Pinned ones never are among them."""
    types = policy.memory_type_allowlist
    eligible = [
        record
        for record in records
        if not record.pinned and record.id not in pinned_ids and (types is None or record.memory_type in types)
    ]
    gone = {record.id for record in eligible if _too_old(record, policy, now)}
    staying = [record for record in eligible if record.id not in gone]
    if policy.budget is not None and len(staying) > policy.budget:
        staying.sort(key=lambda record: (-_recency(record, now), record.id))
        gone |= {record.id for record in staying[policy.budget :]}
    return [record.id for record in eligible if record.id in gone]


_DAY = timedelta(days=1)


def _too_old(record: MemoryRecord, policy: ForgetPolicy, now: datetime) -> bool:
    age, inactive = (now - record.created_at) / _DAY, (now - record.last_accessed) / _DAY
    most_age, most_inactive = policy.max_age_days, policy.max_inactive_days
    if most_age is not None and most_inactive is not None:
        return age > most_age * policy.hard_age_multiplier or (age > most_age and inactive > most_inactive)
    return (most_age is not None and age > most_age) or (most_inactive is not None and inactive > most_inactive)


def _recency(record: MemoryRecord, now: datetime) -> float:
    created_at, last_accessed, at = (
        1_000 * milliseconds + rest for milliseconds, rest in map(to_milliseconds, (record.created_at, record.last_accessed, now))
    )
    return recency(Recency(), created_at=created_at, last_accessed=last_accessed, now=at)
