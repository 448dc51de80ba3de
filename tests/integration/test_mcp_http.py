"""The MCP gateway's own manners over HTTP: who is let in, long calls, calls that are given up, a memory server that is away."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from mcp import Client as OfficialClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_memory.runtime import telemetry, tracing
from agent_memory.runtime.settings import Settings
from support.controls import wait_until
from support.mcp_doors import MAKES, PATHS, TRANSPORTS, Make, Transport, connected, in_process
from support.scripted import Asked, Told, scripted
from support.servers import stack_environment

SUBJECT = {"subject": "anybody", "tenant": "default"}
ANYBODY = Told(body=SUBJECT)
NOWHERE = "http://127.0.0.1:9"
HTTP_MODES: tuple[Transport, ...] = ("sse", "streamable-http")


@pytest.mark.parametrize("mode", HTTP_MODES)
@pytest.mark.parametrize("make", MAKES)
async def test_a_long_call_tells_that_it_goes_on(make: Make, mode: Transport) -> None:
    heard, told = threading.Event(), []

    def compacted(asked: Asked) -> Told:
        if asked.path == "/v1/whoami":
            return ANYBODY
        assert heard.wait(20)
        return Told(body={"status": "ok, 2 memories remaining after compaction", "merged": 1})

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))
        heard.set()

    with scripted(respond=compacted) as memory:
        async with in_process(mode, memory.url) as at, connected(make, mode, at + PATHS[mode]) as client:
            answer = await client.call("compact_long_term_memories", progress)
    assert answer.data == {"status": "ok, 2 memories remaining after compaction"}
    assert told[0][0] >= 1
    assert told[0][1:] == (None, f"merging what says the same, {told[0][0]:.0f} s")


@asynccontextmanager
async def never_answering(gone: asyncio.Event, asked: asyncio.Event) -> AsyncIterator[str]:
    """A memory server that says nothing, and notes when whoever asked goes away."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/v1/whoami" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        asked.set()
        while await reader.read(1000):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(ask, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def reached(mode: Transport, memory: str) -> AsyncIterator[str]:
    """Where a client finds the gateway: over stdio it starts its own, for this memory server."""
    if mode == "stdio":
        yield memory
        return
    async with in_process(mode, memory) as at:
        yield at + PATHS[mode]


@pytest.mark.parametrize("mode", TRANSPORTS)
@pytest.mark.parametrize("make", MAKES)
async def test_a_call_that_a_client_gives_up_is_given_up_behind_it(make: Make, mode: Transport) -> None:
    gone, asked, before = asyncio.Event(), asyncio.Event(), ended("given up")
    async with (
        never_answering(gone, asked) as memory,
        reached(mode, memory) as where,
        connected(make, mode, where, environment=stack_environment()) as client,
    ):
        call = asyncio.create_task(client.call("get_long_term_memory", memory_id="m"))
        await asyncio.wait_for(asked.wait(), 60)
        call.cancel()
        await asyncio.wait([call])
        await wait_until(gone.is_set, "the memory server is no longer asked")
        assert "iso_utc" in await client.ask("get_current_datetime")
    if mode != "stdio":  # that is another process
        assert ended("given up") == before + 1


async def test_what_an_agent_asks_and_what_the_memory_server_is_asked_for_it_are_one_trace() -> None:
    trace, exporter = "4bf92f3577b34da6a3ce929d0e0e4736", InMemorySpanExporter()
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_long_term_memory", "arguments": {"memory_id": "m"}},
    }
    headers = {"accept": "application/json, text/event-stream", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    tracing.start(Settings(), "mcp", exporter=exporter)
    try:
        with scripted(ANYBODY, Told(status=404)) as memory:
            async with in_process("streamable-http", memory.url) as at, httpx.AsyncClient(base_url=at, headers=headers) as http:
                assert (await http.post("/mcp", json=asked)).status_code == 200
    finally:
        tracing.stop()
    (span,) = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == ("mcp.call", {"tool": "get_long_term_memory", "error.type": "NotFound"})
    told = memory.asked[-1].headers["traceparent"]
    assert told == f"00-{trace}-{span.get_span_context().span_id:016x}-01"  # type: ignore[union-attr]


def ended(outcome: str) -> float:
    """How many calls of a tool have ended so, as operators see it."""
    labels = {"tool": "get_long_term_memory", "outcome": outcome}
    return telemetry.REGISTRY.get_sample_value("agent_memory_mcp_calls_total", labels) or 0


async def test_a_memory_server_that_is_away_is_told_with_how_to_start_it() -> None:
    async with (
        in_process("streamable-http", NOWHERE) as at,
        connected("official", "streamable-http", at + "/mcp") as client,
    ):
        advice = await client.refused("get_long_term_memory", memory_id="m")
    assert advice.startswith(f"The memory server at {NOWHERE} does not answer.")
    assert "agent-memory up" in advice


async def test_a_search_goes_on_without_the_newest_when_the_index_is_late() -> None:
    def respond(asked: Asked) -> Told:
        if "min_position" in dict(asked.query):
            return Told(status=503, body={"detail": "memory-index is at 3"})
        written = {"X-Memory-Position": "7"} if asked.path == "/v1/long-term-memory/" else {}
        return Told(body={**SUBJECT, "status": "ok", "memories": [], "total": 0, "nodes": []}, headers=written)

    with scripted(respond=respond) as memory:
        async with in_process("sse", memory.url) as at, connected("fastmcp", "sse", at + "/sse") as client:
            first = await client.ask("search_long_term_memory", text="x")
            await client.ask("create_long_term_memories", memories=[{"text": "x"}])
            second = await client.ask("search_long_term_memory", text="x")
            years = await client.ask("browse_timeline")
        async with in_process("sse", memory.url) as at, connected("fastmcp", "sse", at + "/b/sse") as other:
            third = await other.ask("search_long_term_memory", text="x")
    assert [one["note"] for one in (first, third)] == [None, None]
    assert "may be missing" in second["note"]
    assert (years["children"], years["note"]) == ([], second["note"])
    searches = [dict(asked.query).get("min_position") for asked in memory.asked if asked.path.endswith("/search")]
    assert searches == [None, "7", None, None]


@pytest.mark.parametrize("mode", HTTP_MODES)
async def test_pages_of_elsewhere_and_names_of_elsewhere_are_kept_out(mode: Transport) -> None:
    settings = Settings(mcp_allowed_origins=("https://app.example",))
    async with in_process(mode, NOWHERE, settings) as at, httpx.AsyncClient(base_url=at) as http:
        path = {"sse": "/messages/?session_id=0", "streamable-http": "/mcp"}[mode]
        refused = await http.post(path, json={}, headers={"origin": "http://evil.example"})
        rebound = await http.post(path, json={}, headers={"host": "evil.example:9000"})
        rebound_page = await http.post(path, json={}, headers={"origin": "http://evil.example", "host": "evil.example"})
        named = await http.post(path, json={}, headers={"origin": "https://app.example"})
        near = await http.post(path, json={}, headers={"origin": "http://localhost:6274"})
        plain = await http.post(path, json={})
        alive, nowhere = await http.get("/health"), await http.get("/a/b/c/mcp")
    assert [refused.status_code, rebound.status_code, rebound_page.status_code] == [403, 421, 403]
    assert "MCP_ALLOWED_ORIGINS" in refused.json()["detail"]
    assert {answer.status_code for answer in (named, near, plain)} & {403, 421, 404} == set()
    assert (alive.status_code, nowhere.status_code) == (200, 404)


async def test_pages_that_may_call_are_told_so_by_their_browser() -> None:
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,mcp-protocol-version"}
    settings = Settings(mcp_allowed_origins=("https://app.example",))
    async with in_process("streamable-http", NOWHERE, settings) as at, httpx.AsyncClient(base_url=at) as http:
        answers = {
            origin: await http.options("/mcp", headers={**asking, "origin": origin})
            for origin in ("https://app.example", "http://localhost:6274", "http://localhost.evil.example")
        }
        plain = await http.post("/mcp", json={}, headers={"origin": "http://localhost:6274"})
    assert [answer.headers.get("access-control-allow-origin") for answer in answers.values()] == [*list(answers)[:2], None]
    assert "authorization" in answers["https://app.example"].headers["access-control-allow-headers"]
    assert "www-authenticate" in plain.headers["access-control-expose-headers"].lower()


async def test_clients_of_earlier_revisions_of_the_protocol_are_served() -> None:
    heard = threading.Event()

    async def progress(done: float, total: float | None, message: str | None) -> None:
        assert message == f"merging what says the same, {done:.0f} s"
        heard.set()

    def slowly(asked: Asked) -> Told:
        assert not asked.path.endswith("/compact") or heard.wait(20)
        return Told(body={**SUBJECT, "status": "ok, 1 memories remaining after compaction"})

    with scripted(respond=slowly) as memory:
        async with (
            in_process("streamable-http", memory.url) as at,
            OfficialClient(at + "/old/mcp", mode="legacy") as client,
        ):
            assert len((await client.list_tools()).tools) == 18
            answer = await client.call_tool("compact_long_term_memories", {}, progress_callback=progress)
    assert answer.structured_content == {"status": "ok, 1 memories remaining after compaction"}


async def test_half_a_character_leaves_no_call_without_an_answer() -> None:
    call = '{"name": "scheduler_status", "arguments": {"x": "\\ud83d"}}'
    said = f'{{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {call}}}'
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    async with in_process("streamable-http", NOWHERE) as at, httpx.AsyncClient(base_url=at) as http:
        answer = await http.post("/mcp", content=said, headers=headers)
    assert answer.status_code == 200
    assert "unknown field `x`" in answer.text


async def test_what_is_usual_is_what_the_settings_say() -> None:
    settings = Settings(default_mcp_namespace="home", default_mcp_user_id="ana")
    with scripted(Told(body={**SUBJECT, "session_id": "s", "memories": [], "total": 0})) as memory:
        async with (
            in_process("streamable-http", memory.url, settings) as at,
            connected("fastmcp", "streamable-http", at + "/mcp") as client,
        ):
            await client.ask("search_long_term_memory", text="x")
            await client.ask("search_long_term_memory", text="x", user_id="bo", namespace={"startswith": "w"})
            await client.ask("set_working_memory", session_id="s", namespace="work")
    bodies = [asked.json for asked in memory.asked if asked.method in ("POST", "PUT")]
    assert [(body["namespace"], body["user_id"]) for body in bodies] == [  # type: ignore[index]
        ({"eq": "home"}, {"eq": "ana"}),
        ({"startswith": "w"}, {"eq": "bo"}),
        ("work", "ana"),
    ]


async def test_a_session_belongs_to_the_place_that_it_was_opened_for() -> None:
    async with (
        in_process("sse", NOWHERE) as at,
        httpx.AsyncClient(base_url=at, timeout=60) as http,
        http.stream("GET", "/a/sse") as sse,
    ):
        lines = sse.aiter_lines()
        endpoint = next(line for line in [await anext(lines), await anext(lines)] if line.startswith("data: "))[6:]
        message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        stranger = await http.post(endpoint.replace("/a/", "/b/"), json=message)
        owner = await http.post(endpoint, json=message)
    assert endpoint.startswith("/a/messages/?session_id=")
    assert (stranger.status_code, owner.status_code) == (404, 202)
