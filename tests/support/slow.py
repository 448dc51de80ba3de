"""A system in memory whose commands wait until they are let go."""

import asyncio
from typing import Any

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
