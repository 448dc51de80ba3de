"""Scheduled jobs over HTTP."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth.principal import IMPLIED, Principal
from agent_memory.contracts.errors import Unauthorized
from agent_memory.contracts.jobs import JobRun, JobState, RunningJob
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.memory_jobs import MemoryJobs
from agent_memory.runtime.settings import Settings

NOW = datetime(2026, 1, 30, 10, 20, 30, tzinfo=UTC)
TEN = 1_769_767_200_000
ONE = "/v1/scheduler/jobs/hourly-rollup"
RUN = JobRun(due_ms=TEN, started_ms=TEN + 20, finished_ms=TEN + 1_270, result="failed", error="no", metadata={"periods": "3"})
PEOPLE = {
    "reader": Principal(permissions=IMPLIED["read"]),
    "writer": Principal(permissions=IMPLIED["write"]),
    "admin": Principal(permissions=IMPLIED["admin"]),
    "bound": Principal(permissions=IMPLIED["admin"], user_id="anna"),
}


async def authenticate(headers: Mapping[bytes, bytes]) -> Principal:
    found = PEOPLE.get(headers.get(b"authorization", b"").decode())
    if found is None:
        raise Unauthorized("who are you")
    return found


def named(name: str) -> dict[str, str]:
    return {"authorization": name}


@pytest.fixture
def jobs() -> MemoryJobs:
    return MemoryJobs(MemorySystem(), clock=lambda: NOW)


@pytest.fixture
async def client(jobs: MemoryJobs) -> AsyncIterator[AsyncClient]:
    ports = {**MemorySystem().ports(), "jobs": jobs}
    transport = ASGITransport(app=create_app(Settings(), clock=lambda: NOW, authenticate=authenticate, **ports))
    async with AsyncClient(transport=transport, base_url="http://test", headers=named("admin")) as client:
        yield client


async def test_the_status_tells_of_each_job_in_a_fixed_order(client: AsyncClient, jobs: MemoryJobs) -> None:
    jobs.states["hourly-rollup"] = JobState(run_count=24, error_count=1, last=RUN)
    running = RunningJob(due_ms=TEN, started_ms=TEN, runner="a")
    jobs.states["outbox-processor"] = JobState(paused=True, running=running)
    found = (await client.get("/v1/scheduler", headers=named("reader"))).json()
    assert found["scheduler_running"] is True
    names = [job["job_name"] for job in found["jobs"]]
    assert names[:3] == ["hourly-rollup", "segment-summarizer", "outbox-processor"]
    assert {"stream-trim", "index-check", "compaction", "summary-views"} <= set(names)
    hourly, segments, outbox = found["jobs"][:3]
    assert hourly == {
        "job_name": "hourly-rollup",
        "cron_expr": "0 0 * * * *",
        "last_run_ms": TEN + 20,
        "last_duration_ms": 1_250,
        "last_result": "failed",
        "last_error": "no",
        "next_run_ms": TEN + 3_600_000,
        "run_count": 24,
        "error_count": 1,
        "is_running": False,
        "is_paused": False,
        "last_run_metadata": {"periods": "3"},
        "time_zone": "UTC",
        "meaning": "Summarise periods of the table of contents that have changed",
        "service": "summarizer",
    }
    assert (segments["last_run_ms"], segments["last_result"], segments["next_run_ms"]) == (0, None, TEN + 1_800_000)
    assert (outbox["is_running"], outbox["is_paused"]) == (True, True)


async def test_the_status_says_when_no_scheduler_runs(client: AsyncClient, jobs: MemoryJobs) -> None:
    jobs.alive = False
    assert (await client.get("/v1/scheduler")).json()["scheduler_running"] is False


async def test_runs_are_listed_newest_first(client: AsyncClient, jobs: MemoryJobs) -> None:
    jobs.runs["hourly-rollup"] = [RUN] * 3
    found = (await client.get(f"{ONE}/runs", params={"limit": 2}, headers=named("reader"))).json()["runs"]
    assert len(found) == 2
    assert found[0] == {
        "due_ms": TEN,
        "started_ms": TEN + 20,
        "finished_ms": TEN + 1_270,
        "result": "failed",
        "error": "no",
        "metadata": {"periods": "3"},
        "manual": False,
    }
    assert (await client.get(f"{ONE}/runs", params={"limit": 51})).status_code == 422


async def test_a_job_is_paused_and_resumed(client: AsyncClient) -> None:
    for change, paused in (("pause", True), ("pause", True), ("resume", False)):
        answer = await client.post(f"{ONE}/{change}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert int(answer.headers["x-memory-position"]) > 0
        assert (await client.get("/v1/scheduler")).json()["jobs"][0]["is_paused"] is paused


async def test_a_job_that_runs_is_not_run_again(client: AsyncClient) -> None:
    assert (await client.post(f"{ONE}/run")).status_code == 200
    answer = await client.post(f"{ONE}/run")
    assert (answer.status_code, answer.json()["detail"]) == (409, "Job is running: hourly-rollup")


@pytest.mark.parametrize(("method", "action"), [("get", "runs"), ("post", "pause"), ("post", "resume"), ("post", "run")])
async def test_a_job_that_is_not_there_is_not_found(client: AsyncClient, method: str, action: str) -> None:
    answer = await client.request(method, f"/v1/scheduler/jobs/no-such-job/{action}")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Job not found: no-such-job")


@pytest.mark.parametrize("action", ["pause", "resume", "run"])
async def test_who_may_read_or_write_may_not_change_jobs(client: AsyncClient, action: str) -> None:
    for who in ("reader", "writer", "bound"):
        assert (await client.get("/v1/scheduler", headers=named(who))).status_code == 200
        for path in (f"{ONE}/{action}", f"{ONE}/{action}/", f"/v1//scheduler/jobs/hourly-rollup/{action}"):
            assert (await client.post(path, headers=named(who))).status_code in (403, 404), (who, path)
    assert (await client.get("/v1/scheduler")).json()["jobs"][0]["is_paused"] is False
    assert (await client.post(f"{ONE}/{action}", headers=named("nobody"))).status_code == 401
