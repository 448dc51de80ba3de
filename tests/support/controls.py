"""Waiting for what must become true, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable

EVERY_SECONDS = 0.01


async def wait_until(predicate: Callable[[], object | Awaitable[object]], description: str, timeout: float = 10.0) -> None:
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


def wait_until_now(predicate: Callable[[], object], description: str, timeout: float = 10.0) -> None:
    """The same for tests that have no event loop."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout} s in vain for: {description}")
        time.sleep(EVERY_SECONDS)
