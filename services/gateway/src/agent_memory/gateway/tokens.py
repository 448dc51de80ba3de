"""Token counts as OpenAI's cl100k_base makes them, without network and off the event loop."""

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

CHEAP = 2_000
"""Texts of fewer characters in all are counted where they are: a thread costs more."""


class Cl100k:
    """Counts tokens. The table is loaded by the first count, in a thread."""

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        if _encoding.cache_info().currsize and sum(map(len, texts)) < CHEAP:
            return _count(texts)
        return await asyncio.to_thread(_count, texts)


def _count(texts: Sequence[str]) -> list[int]:
    encoding = _encoding()
    return [len(encoding.encode_ordinary(text)) for text in texts]


@cache
def _encoding() -> "Encoding":
    # litellm's package carries the table; finding the package does not import it.
    litellm = find_spec("litellm")
    if litellm is not None and litellm.origin:
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"))
    import tiktoken  # noqa: PLC0415 - 60 MB that only a gateway asked for token counts pays

    return tiktoken.get_encoding("cl100k_base")
