"""Waiting for what must become true, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable

EVERY_SECONDS = 0.01
LONGEST = 60.0
"""So long that only what never comes is missed: a machine may be busy with much else."""


async def wait_until(predicate: Callable[[], object | Awaitable[object]], description: str, timeout: float = LONGEST) -> None:
    """Returns when the predicate (plain or async) is true. Raises AssertionError with the description when it never was."""
    deadline = time.monotonic() + timeout
    while True:
        outcome = predicate()
        if isinstance(outcome, Awaitable):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout} s in vain for: {description}")
        await asyncio.sleep(EVERY_SECONDS)


def wait_until_now(predicate: Callable[[], object], description: str, timeout: float = LONGEST) -> None:
    """The same for tests that have no event loop."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout} s in vain for: {description}")
        time.sleep(EVERY_SECONDS)
