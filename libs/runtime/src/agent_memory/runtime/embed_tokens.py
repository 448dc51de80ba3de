"""Fitting texts into what a provider takes: so many tokens a text, so many texts and tokens a request."""

from collections.abc import Sequence

import msgspec

from agent_memory.runtime.tokens import SLOWEST_CHARACTERS, cl100k


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may carry. The defaults are OpenAI's."""

    texts: int = 256
    text_tokens: int = 8191
    request_tokens: int = 250_000
    count: bool = True
    """Whether a text that may be too long is counted and cut by tokens; otherwise by bytes, which is safe and cheap."""


def size(text: str) -> int:
    """Bytes of a text: no byte-pair vocabulary makes more tokens than bytes, so what fits by this count fits."""
    return len(text.encode("utf-8", "replace"))


def shortened(text: str, limits: Limits) -> str:
    """The beginning of a text that fits, counted in cl100k_base. Blocks; ~0.5 s and 60 MB the first time it has to count."""
    tokens = limits.text_tokens
    if size(text) <= tokens:
        return text
    encoding = cl100k() if limits.count else None
    if encoding is None:
        return text.encode("utf-8", "replace")[:tokens].decode("utf-8", "ignore")
    found = encoding.encode_ordinary(text[:SLOWEST_CHARACTERS])
    if len(found) <= tokens and len(text) <= SLOWEST_CHARACTERS:
        return text
    # A cut token may end inside a character, and counting anew may join tokens differently: so a few are left free.
    return str(encoding.decode(found[: tokens - 8], errors="ignore"))


def requests(texts: Sequence[str], limits: Limits) -> list[list[int]]:
    """Positions of the texts, in order, cut into requests that respect the limits."""
    cut: list[list[int]] = []
    filled = 0
    for at, text in enumerate(texts):
        tokens = min(size(text), limits.text_tokens)
        if not cut or len(cut[-1]) >= limits.texts or filled + tokens > limits.request_tokens:
            cut.append([])
            filled = 0
        cut[-1].append(at)
        filled += tokens
    return cut
