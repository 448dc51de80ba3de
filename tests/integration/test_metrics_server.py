"""What a background service answers on its metrics port."""

import asyncio
import socket

import aiohttp
import msgspec
import pytest

from agent_memory.runtime.metrics_server import run_checks, serve
from agent_memory.runtime.settings import Settings


@pytest.fixture
def settings() -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Settings(metrics_port=probe.getsockname()[1])


async def well() -> str | None:
    return None


async def ill() -> str | None:
    return "redis does not answer"


async def broken() -> str | None:
    raise OSError("no route")


async def stuck() -> str | None:
    await asyncio.Event().wait()
    return None


async def get(settings: Settings, path: str, method: str = "GET") -> tuple[int, bytes]:
    async with aiohttp.request(method, f"http://127.0.0.1:{settings.metrics_port}{path}") as answer:
        return answer.status, await answer.read()


async def test_health_is_200_when_every_check_passes(settings: Settings) -> None:
    async with serve(settings, {"redis": well}):
        assert await get(settings, "/health") == (200, b'{"status":"ok","checks":{"redis":"ok"}}')
        assert (await get(settings, "/ready"))[0] == 200


async def test_health_is_503_and_says_which_part_is_not_well(settings: Settings) -> None:
    async with serve(settings, {"postgres": well, "redis": ill, "model": broken}):
        status, body = await get(settings, "/health")
    assert status == 503
    assert msgspec.json.decode(body)["checks"] == {"postgres": "ok", "redis": "redis does not answer", "model": "OSError: no route"}


async def test_a_check_that_never_answers_is_a_failed_one() -> None:
    assert await run_checks({"redis": stuck}, seconds=0.01) == {"redis": "no answer in 0.01 s"}


async def test_a_process_that_only_waits_for_a_server_is_alive(settings: Settings) -> None:
    async with serve(settings, {"redis": ill}):
        assert (await get(settings, "/live"))[0] == 200


async def test_a_process_that_was_told_to_stop_is_alive_and_no_more_ready(settings: Settings) -> None:
    stop = asyncio.Event()
    async with serve(settings, {"redis": well}, stop.is_set):
        assert (await get(settings, "/ready"))[0] == 200
        stop.set()
        assert await get(settings, "/ready") == (503, b'{"status":"stopping","checks":{}}')
        assert (await get(settings, "/live"))[0] == 200


async def test_metrics_are_what_prometheus_reads(settings: Settings) -> None:
    async with serve(settings, {}):
        status, body = await get(settings, "/metrics")
    assert status == 200
    assert b"# HELP agent_memory_projection_lag" in body


async def test_other_paths_and_methods_are_refused(settings: Settings) -> None:
    async with serve(settings, {}):
        assert (await get(settings, "/other"))[0] == 404
        assert (await get(settings, "/health", "POST"))[0] == 405


async def test_rubbish_on_the_port_does_not_disturb_the_next_caller(settings: Settings) -> None:
    async with serve(settings, {}):
        _, writer = await asyncio.open_connection("127.0.0.1", settings.metrics_port)
        writer.write(b"x" * 100_000)
        writer.close()
        assert (await get(settings, "/live"))[0] == 200


async def test_port_0_is_nowhere() -> None:
    async with serve(Settings(metrics_port=0), {"redis": ill}):
        pass


async def test_a_taken_port_is_an_error_at_start(settings: Settings) -> None:
    async with serve(settings, {}):
        with pytest.raises(OSError, match="address already in use"):
            async with serve(settings, {}):
                pass
