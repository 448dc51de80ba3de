"""Working memory in a Redis of its own: keys lie where they belong, and either may be away alone."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient
from redis.asyncio import Redis

from agent_memory.cli.invariants.checks import check_all
from agent_memory.cli.invariants.system import opened
from agent_memory.gateway.app import connected
from agent_memory.gateway.edges.http.edge import create_edge
from agent_memory.gateway.settings import AuthSettings
from agent_memory.runtime.settings import load
from support.controls import wait_until
from support.forked import Forking
from support.more_redis import OneMoreRedis, one_more_redis

START_SECONDS = 60.0
SEARCH = {"text": "tea"}


class Two(msgspec.Struct):
    """The servers, and a client of a gateway on them."""

    bus: OneMoreRedis
    views: OneMoreRedis
    database_url: str
    http: AsyncClient

    async def status(self, method: str, path: str, **request: object) -> int:
        return (await self.http.request(method, path, **request)).status_code  # type: ignore[arg-type]

    async def say(self, text: str, key: str = "") -> int:
        body = {"messages": [{"role": "user", "content": text, "id": text}]}
        return await self.status("PUT", "/v1/working-memory/s", json=body, headers={"Idempotency-Key": key} if key else {})

    async def said(self) -> list[str]:
        answer = await self.http.get("/v1/working-memory/s")
        assert answer.status_code == 200, answer.text
        return [message["content"] for message in answer.json()["messages"]]

    async def remember(self, memory_id: str) -> int:
        return await self.status(
            "POST", "/v1/long-term-memory/", json={"memories": [{"id": memory_id, "text": f"tea {memory_id}"}]}
        )

    async def found(self) -> set[str]:
        answer = await self.http.post("/v1/long-term-memory/search", json=SEARCH)
        return {memory["id"] for memory in answer.json()["memories"]} if answer.status_code == 200 else set()


@pytest.fixture
def servers_apart() -> Iterator[tuple[OneMoreRedis, OneMoreRedis]]:
    with ExitStack() as stack:
        yield stack.enter_context(one_more_redis()), stack.enter_context(one_more_redis())


@pytest.fixture
async def two(database_url: str, servers_apart: tuple[OneMoreRedis, OneMoreRedis], forked: Forking) -> AsyncIterator[Two]:
    async with started(database_url, *servers_apart, forked) as system:
        yield system


@asynccontextmanager
async def started(database_url: str, bus: OneMoreRedis, views: OneMoreRedis, forked: Forking) -> AsyncIterator[Two]:
    places = {"DATABASE_URL": database_url, "REDIS_URL": bus.url, "WORKING_MEMORY_REDIS_URL": views.url, "EMBEDDING_MODEL": "hash"}
    async with AsyncExitStack() as stack:
        for service in ("ingest", "indexer"):
            await stack.enter_async_context(forked.service(service, **places, METRICS_PORT="0"))
        app = create_edge(await stack.enter_async_context(connected(load(places), AuthSettings(), lambda: False)))
        http = await stack.enter_async_context(AsyncClient(transport=ASGITransport(app=app), base_url="http://test"))
        system = Two(bus, views, database_url, http)

        async def ready() -> bool:
            return (
                await system.status("GET", "/ready") == 200
                and await system.status("POST", "/v1/long-term-memory/search", json=SEARCH) == 200
            )

        await wait_until(ready, "the system is ready", START_SECONDS)
        yield system


async def keys(url: str) -> set[str]:
    async with Redis.from_url(url, protocol=2) as redis:
        return {key.decode() async for key in redis.scan_iter()}


async def test_sessions_lie_in_one_redis_and_everything_else_in_the_other(two: Two) -> None:
    assert await two.say("hello") == 200
    assert await two.remember("m") == 200
    await wait_until(lambda: _holds(two, {"m"}), "the memory is found")
    assert await two.said() == ["hello"]
    sessions, others = await keys(two.views.url), await keys(two.bus.url)
    assert {key.startswith("am:wm:") for key in sessions} == {True}
    assert {key.startswith("am:wm:") for key in others} == {False}
    async with opened(two.database_url, two.bus.url, views_url=two.views.url, settle_seconds=1) as system:
        assert {result.checked.get("session views", 1) for result in await check_all(system)} == {1}


async def test_without_working_memory_long_term_memory_goes_on_and_what_was_said_is_not_lost(two: Two) -> None:
    assert await two.say("before") == 200
    two.views.stop()
    assert await two.say("meanwhile", key="k") == 503
    assert await two.status("GET", "/v1/working-memory/s") == 503
    assert await two.remember("m") == 200
    await wait_until(lambda: _holds(two, {"m"}), "the memory is found")
    ready = await two.http.get("/ready")
    assert (ready.status_code, ready.json()["parts"]["working memory"] == "ok") == (200, False)
    two.views.start()
    await wait_until(lambda: _heard(two, "meanwhile"), "the recorded message is shown", START_SECONDS)
    await wait_until(lambda: _says(two, "meanwhile", key="k"), "the same request again is answered", START_SECONDS)
    assert await two.said() == ["meanwhile"]
    assert await two.remember("n") == 200


async def test_without_the_bus_sessions_are_still_read(two: Two) -> None:
    assert await two.say("before") == 200
    two.bus.stop()
    assert await two.said() == ["before"]
    assert await two.say("meanwhile") == 503
    assert await two.status("POST", "/v1/long-term-memory/search", json=SEARCH) == 503
    assert await two.status("GET", "/ready") == 503
    two.bus.start()
    await wait_until(lambda: _says(two, "after"), "the bus is back", START_SECONDS)
    assert await two.said() == ["after"]


async def _holds(two: Two, ids: set[str]) -> bool:
    return ids <= await two.found()


async def _heard(two: Two, text: str) -> bool:
    answer = await two.http.get("/v1/working-memory/s")
    return answer.status_code == 200 and text in answer.text


async def _says(two: Two, text: str, key: str = "") -> bool:
    return await two.say(text, key) == 200
