"""What operators ask: is it alive, is it ready, how far is it, what does it measure."""

import asyncio
from typing import Any

import structlog
from litestar import get
from litestar.types import ASGIApp

from agent_memory.auth.principal import disabled
from agent_memory.contracts.codec import encode
from agent_memory.contracts.streams import PROJECTIONS
from agent_memory.gateway.edges.http.call import HttpRequest, opened
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.ports import WORKING_MEMORY
from agent_memory.runtime import telemetry
from agent_memory.runtime.metrics_server import run_checks

log = structlog.get_logger(__name__)


@get(["/v1/health", "/health"], status_code=200)
async def health(request: HttpRequest) -> ASGIApp:
    """The gateway process is alive; says nothing about what it needs."""
    call = await opened(request)
    return Answered(b'{"now":%d}' % call.gateway.now_ms())


@get("/ready", status_code=200)
async def ready(request: HttpRequest) -> ASGIApp:
    """Whether requests can be answered, and if not, which part is missing.

    A working memory apart that is away is told, and does not take the gateway away from those who search.
    """
    call = await opened(request)
    if call.gateway.leaving():
        return Answered(encode({"ready": False, "parts": {"gateway": "told to stop"}}), status=503)
    parts = await run_checks(call.gateway.checks)
    well = all(found == "ok" for name, found in parts.items() if name != WORKING_MEMORY)
    if missing := {name: found for name, found in parts.items() if found != "ok"}:
        log.warning("not ready", parts=missing)
    if call.gateway.authenticate is not disabled:  # strangers may ask this, and what is wrong inside is not for them
        parts |= dict.fromkeys(missing, "failed")
    return Answered(encode({"ready": well, "parts": parts}), status=200 if well else 503)


@get("/metrics", status_code=200)
async def metrics(request: HttpRequest) -> ASGIApp:
    """Prometheus metrics of this process, whichever tenant they come from."""
    call = await opened(request)
    call.principal.require("admin")  # here as well: the framework takes other spellings of the path for the same
    body, kind = await asyncio.to_thread(telemetry.expose)
    return Answered(body, kind=kind.encode())


@get("/v1/status", status_code=200)
async def status(request: HttpRequest) -> ASGIApp:
    """How far every projection is behind the log."""
    call = await opened(request)
    head, found = await asyncio.gather(
        call.gateway.log.head(), asyncio.gather(*(call.gateway.projections.read(name) for name in PROJECTIONS))
    )
    projections = [
        {
            "projection": name,
            "service": service,
            "position": progress.checkpoint,
            "head": head,
            "lag": max(head - progress.checkpoint, 0),
            "indexed": progress.counters.get("applied", 0),
            "skipped": progress.counters.get("skipped", 0),
            "dead_lettered": progress.counters.get("dead_lettered", 0),
            "waiting": progress.waiting,
        }
        for (name, service), progress in zip(PROJECTIONS.items(), found, strict=True)
    ]
    return Answered(encode({"head": head, "projections": projections}))


@get("/v1/whoami", status_code=200)
async def whoami(request: HttpRequest) -> ASGIApp:
    """Whom the credential of this request stands for, and how far that reaches."""
    principal = (await opened(request)).principal
    found = {
        "subject": principal.subject,
        "tenant": principal.tenant,
        "namespaces": principal.namespaces,
        "user_id": principal.user_id,
        "permissions": sorted(principal.permissions),
    }
    return Answered(encode(found))


def handlers() -> list[Any]:
    """The routes for operators, and for doors that stand in front of this one."""
    return [health, ready, metrics, status, whoami]
