"""Scheduled jobs over HTTP. They belong to the whole system: whoever may read may see them, admins change them."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import get, post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.edges.http.shapes import JobRunsAnswer, JobRunShape
from agent_memory.gateway.ports import Answer

ROOT = "/v1/scheduler"
ONE = "/v1/scheduler/jobs/{job_name:str}"
PREFIX = b"/v1/scheduler/jobs/"
MOST = 50


@get(ROOT, status_code=200)
async def scheduler_status(request: HttpRequest) -> ASGIApp:
    """Whether a scheduler runs, and how each job stands."""
    call = await opened(request)
    return Answered(encode(await call.gateway.jobs.status()))


@get(f"{ONE}/runs", status_code=200)
async def job_runs(request: HttpRequest) -> ASGIApp:
    """The last runs of a job, the newest first."""
    call = await opened(request)
    limit = call.parameters.get("limit", fields.between(1, MOST))
    found = await call.gateway.jobs.history(call.id_in_path(PREFIX, "job_name", suffix=b"/runs"), limit or MOST)
    shown = [JobRunShape(**{field: getattr(run, field) for field in JobRunShape.__struct_fields__}) for run in found]
    return Answered(encode(JobRunsAnswer(runs=shown)))


@post(f"{ONE}/pause", status_code=200)
async def pause_job(request: HttpRequest) -> ASGIApp:
    """Pass over what comes due."""
    call = await opened(request)
    return await _changed(call, b"/pause", call.gateway.jobs.pause)


@post(f"{ONE}/resume", status_code=200)
async def resume_job(request: HttpRequest) -> ASGIApp:
    """Run again what comes due."""
    call = await opened(request)
    return await _changed(call, b"/resume", call.gateway.jobs.resume)


@post(f"{ONE}/run", status_code=200)
async def run_job(request: HttpRequest) -> ASGIApp:
    """Have a job run at once, paused or not."""
    call = await opened(request)
    return await _changed(call, b"/run", call.gateway.jobs.run_now)


async def _changed(call: Call, suffix: bytes, change: Callable[..., Awaitable[Answer]]) -> ASGIApp:
    call.principal.require("admin")  # here as well: the framework takes other spellings of the path for the same
    name, about = call.id_in_path(PREFIX, "job_name", suffix=suffix), await call.about()
    if key := about["idempotency_key"]:
        # Jobs are of all tenants: the same key of another one is another request.
        about["idempotency_key"] = f"{call.principal.tenant}:{key}"
    answer = await change(name, **about)
    return Answered(b'{"status":"ok"}', headers=responses.at(answer.position))


def handlers() -> list[Any]:
    """The routes of scheduled jobs."""
    return [scheduler_status, job_runs, pause_job, resume_job, run_job]
