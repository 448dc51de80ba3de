"""Telling a client that a long call goes on. A short one says nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastmcp.server.dependencies import get_context

EVERY_SECONDS = 1.0


@asynccontextmanager
async def telling(doing: str, every: float = EVERY_SECONDS) -> AsyncIterator[None]:
    """Reports progress every second while the block runs, to clients that asked for it: how many seconds it has taken."""
    reporting = asyncio.create_task(_report(doing, every))
    try:
        yield
    finally:
        reporting.cancel()
        await asyncio.wait([reporting])


async def _report(doing: str, every: float) -> None:
    context, began = get_context(), time.monotonic()
    while True:
        await asyncio.sleep(every)
        seconds = time.monotonic() - began
        await context.report_progress(round(seconds, 1), None, f"{doing}, {seconds:.0f} s")
