"""The program that moves sessions and memories from one server to another, between two that run."""

import runpy
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from integration.test_two_redis import started

from support.controls import wait_until
from support.forked import Forking
from support.more_redis import one_more_redis
from support.servers import Servers, fresh_database

copy = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "copy_memories.py"))["copy"]
MEMORIES = [
    {"id": f"m{number}", "text": f"text {number}", "namespace": f"n{number % 2}", "pinned": number == 1, "topics": ["a"]}
    for number in range(120)
]


@pytest.fixture
async def ends(servers: Servers, forked: Forking) -> AsyncIterator[tuple[AsyncClient, AsyncClient]]:
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            redis = stack.enter_context(one_more_redis())
            database_url = stack.enter_context(fresh_database(servers))
            clients.append((await stack.enter_async_context(started(database_url, redis, redis, forked))).http)
        yield clients[0], clients[1]


async def told(client: AsyncClient) -> tuple[list[str], list[list[Any]]]:
    listed = (await client.get("/v1/working-memory/", params={"limit": 100})).json()
    kept = ("id", "text", "namespace", "user_id", "pinned", "topics", "created_at", "memory_type")
    memories: list[list[Any]] = []
    for offset in (0, 100):
        found = await client.post("/v1/long-term-memory/search", json={"limit": 100, "offset": offset})
        memories += [[memory[name] for name in kept] for memory in found.json()["memories"]]
    return sorted(listed["sessions"]), sorted(memories)


async def holds(client: AsyncClient, memories: int) -> bool:
    return len((await told(client))[1]) == memories


async def fill(client: AsyncClient) -> None:
    for number in range(3):
        said = {"role": "user", "content": f"said {number}", "id": f"m{number}", "created_at": "2026-01-01T00:00:00Z"}
        document = {"messages": [said], "namespace": f"n{number}", "user_id": "ana", "data": {"number": number}}
        assert (await client.put(f"/v1/working-memory/s/{number}", json=document)).status_code == 200
    for user in ("ana", "ben"):
        document = {"messages": [{"role": "user", "content": user}], "user_id": user}
        assert (await client.put("/v1/working-memory/same", json=document)).status_code == 200
    assert (await client.post("/v1/long-term-memory/", json={"memories": MEMORIES})).status_code == 200
    await wait_until(lambda: holds(client, 120), "the memories are found")


async def test_what_one_server_has_the_other_has_afterwards_and_only_once(ends: tuple[AsyncClient, AsyncClient]) -> None:
    source, target = ends
    await fill(source)
    alone = await copy(source, target, ["n0"])
    assert (alone.sessions, len(alone.memories)) == ({"s/0"}, 60)
    for _ in range(2):
        done = await copy(source, target, [])
        assert (len(done.sessions), len(done.memories), done.missed) == (3, 120, {"same"})
        await wait_until(lambda: holds(target, 120), "the memories are found")
        sessions, memories = await told(target)
        assert sessions == ["s/0", "s/1", "s/2"]
        assert memories == (await told(source))[1]
    session = (await target.get("/v1/working-memory/s/2", params={"namespace": "n2", "user_id": "ana"})).json()
    assert (session["messages"][0]["content"], session["data"]) == ("said 2", {"number": 2})
