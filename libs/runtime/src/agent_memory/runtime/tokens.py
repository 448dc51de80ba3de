"""Tokens of OpenAI's cl100k_base, counted without network. Who needs no count never loads the table: 0.5 s and 60 MB."""

import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

REMEMBERED = 100_000
SLOWEST_CHARACTERS = 100_000
"""Longest text that is counted in one piece: the tokenizer's time on unbroken text grows faster than its length."""


class TokenCounter:
    """Counts texts and remembers what it counted: a message stands in a document again and again. Blocks."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text. A text of several pages is counted in pieces, which may give a few more."""
        return [self._count(text) for text in texts]

    def _count(self, text: str) -> int:
        key = hash(text)
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            pieces = (text[at : at + SLOWEST_CHARACTERS] for at in range(0, len(text), SLOWEST_CHARACTERS))
            self._known[key] = sum(_tokens(piece) for piece in pieces)
        return self._known[key]


def _tokens(text: str) -> int:
    encoding = cl100k()
    if encoding is None:
        return max(1, (len(text) + 3) // 4)
    return len(encoding.encode_ordinary(text))


@cache
def cl100k() -> Any | None:
    """The encoding; None when its table is not on this machine."""
    # litellm ships the vocabulary, so nothing is downloaded; it is located, not imported.
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        return None
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(found.origin).parent / "litellm_core_utils" / "tokenizers"))
    import tiktoken  # noqa: PLC0415 - heavy, see above

    return tiktoken.get_encoding("cl100k_base")
