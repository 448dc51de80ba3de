"""Token counts off the event loop, by the very counter that decides when a session is summarised."""

import asyncio
from collections.abc import Sequence

from agent_memory.runtime.tokens import TokenCounter, cl100k

CHEAP = 2_000
"""Texts of fewer characters in all are counted where they are: a thread costs more."""


class Cl100k:
    """Counts tokens of OpenAI's cl100k_base. The table is loaded by the first count, in a thread."""

    def __init__(self) -> None:
        self._counter = TokenCounter()

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        if cl100k.cache_info().currsize and sum(map(len, texts)) < CHEAP:
            return self._counter.count(texts)
        return await asyncio.to_thread(self._counter.count, texts)
