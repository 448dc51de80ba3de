"""What a session's reader is told about tokens, and which messages fit. Pure."""

from collections.abc import Sequence

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
