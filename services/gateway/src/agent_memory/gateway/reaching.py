"""Reads that wait until what serves them holds a write."""

import asyncio
from collections.abc import Awaitable, Callable

from agent_memory.contracts.errors import Unavailable
from agent_memory.gateway.gateway import Gateway

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.002, 0.05
LOG = "log"
"""What is read from the log itself: no projection has to get there."""


async def reached(gateway: Gateway, projection: str, position: int, *, seconds: float) -> None:
    """Wait until a projection, or `LOG`, holds a position. Raises Unavailable, saying what lags, when it does not get there."""

    async def covers() -> bool:
        if projection == LOG:
            return await gateway.log.head() >= position
        return await gateway.projections.covers(projection, position)

    if not await holds_within(seconds, covers):
        raise Unavailable(f"{projection} has not reached position {position} yet; try again")


async def holds_within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    """Asks again and again, at growing pauses, until a condition holds or the time is over; it is asked once at least."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, FIRST_PAUSE_SECONDS
    while not await condition():
        if loop.time() + pause > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_SECONDS)
    return True
