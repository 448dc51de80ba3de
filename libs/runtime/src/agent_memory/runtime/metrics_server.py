"""What a service without a door of its own shows: /health and /ready (its checks), /live, /metrics. GET only, plain HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
import structlog

from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings

Check = Callable[[], Awaitable[str | None]]
"""Answers None when all is well, else what is wrong, in words for an operator."""

CHECK_SECONDS = 2.0
READ_SECONDS = 5.0

log = structlog.get_logger(__name__)
Answer = tuple[int, str, bytes]


@asynccontextmanager
async def serve(
    settings: Settings, checks: Mapping[str, Check], leaving: Callable[[], bool] = lambda: False
) -> AsyncIterator[None]:
    """Answer on HOST:METRICS_PORT while the block runs; with METRICS_PORT=0, nowhere. Raises OSError when the port is taken.

    `leaving`: whether the process was told to stop. Then it is alive, and no more ready.
    """
    if settings.metrics_port == 0:
        yield
        return

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer_one(reader, writer, checks, leaving)

    server = await asyncio.start_server(connected, settings.host, settings.metrics_port, limit=16_384)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def answers(call: Callable[[], Awaitable[object]]) -> Check:
    """A check that passes when the call returns: `answers(redis.ping)`."""

    async def check() -> str | None:
        await call()
        return None

    return check


async def run_checks(checks: Mapping[str, Check], seconds: float = CHECK_SECONDS) -> dict[str, str]:
    """Name to "ok" or what is wrong. A check that raises or takes longer than `seconds` is a failed one."""
    results = await asyncio.gather(*(_run_check(check, seconds) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _run_check(check: Check, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await check() or "ok"
    except TimeoutError:
        return f"no answer in {seconds:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a check raises is its answer
        return f"{type(error).__name__}: {error}"


async def _answer_one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, checks: Mapping[str, Check], leaving: Callable[[], bool]
) -> None:
    try:
        async with asyncio.timeout(READ_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        status, kind, body = await _route(head, checks, leaving)
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
        lines = f"{line}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(lines.encode() + (b"" if head.startswith(b"HEAD ") else body))
        await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
        log.debug("metrics request not answered", error=type(error).__name__)
    finally:
        writer.close()


async def _route(head: bytes, checks: Mapping[str, Check], leaving: Callable[[], bool]) -> Answer:
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
    if method not in (b"GET", b"HEAD"):
        return 405, "text/plain", b"GET only\n"
    match path:
        case b"/metrics":
            body, kind = telemetry.expose()
            return 200, kind, body
        case b"/live":
            return 200, "text/plain", b"ok\n"
        case b"/health" | b"/ready" if leaving():
            return 503, "application/json", b'{"status":"stopping","checks":{}}'
        case b"/health" | b"/ready":
            results = await run_checks(checks)
            well = all(result == "ok" for result in results.values())
            body = msgspec.json.encode({"status": "ok" if well else "unavailable", "checks": results})
            return (200 if well else 503), "application/json", body
        case _:
            return 404, "text/plain", b"/health /ready /live /metrics\n"
