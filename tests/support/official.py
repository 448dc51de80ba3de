"""The official client, as applications make it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from agent_memory_client import MemoryAPIClient, create_memory_client

POSITION, MIN_POSITION = "x-memory-position", "x-memory-min-position"


@asynccontextmanager
async def official_client(url: str, **settings: Any) -> AsyncIterator[MemoryAPIClient]:
    """A client, closed at the end. Each of its requests waits for its writes, so that no test asks until a search has caught up."""
    newest = 0

    async def remember(answer: httpx.Response) -> None:
        nonlocal newest
        newest = max(newest, int(answer.headers.get(POSITION, 0)))

    async def demand(request: httpx.Request) -> None:
        request.headers[MIN_POSITION] = str(newest)

    async with await create_memory_client(url, **settings) as client:
        client._client.event_hooks = {"request": [demand], "response": [remember]}
        yield client
