"""A system in memory whose commands wait until they are let go, and a log that something happens to while it is read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.rows import StoredEvent
from agent_memory.gateway.memory import MemorySystem


class Slow(MemorySystem):
    """Whose commands are not answered until `released`. `waiting`: how many have come so far."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.released = asyncio.Event(), asyncio.Event()
        self.given_up = False
        self.waiting = 0

    async def ask(self, *args: Any, **about: Any) -> Any:
        self.waiting += 1
        self.asked.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return await super().ask(*args, **about)


class SlowReader(LogReader):
    """Something happens between its reading of a stream and its answer."""

    meanwhile: Callable[[], Awaitable[object]]

    async def stream(self, stream: str) -> list[StoredEvent]:
        rows = await super().stream(stream)
        await self.meanwhile()
        return rows
