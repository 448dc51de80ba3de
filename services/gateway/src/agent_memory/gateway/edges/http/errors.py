"""Errors to answers: one table, and nothing about the inside in any answer."""

from collections.abc import Mapping
from typing import Any, cast

import structlog
from litestar import Request
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from agent_memory.contracts.errors import (
    Conflict,
    Forbidden,
    Invalid,
    MemoryFault,
    NeedsUpgrade,
    NotFound,
    Refused,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from agent_memory.gateway.edges.http.problems import InvalidRequest, as_json
from agent_memory.gateway.edges.http.responses import TEXT, Answered
from agent_memory.runtime import telemetry

STATUS: dict[type[MemoryFault], int] = {
    Invalid: 422,
    InvalidRequest: 422,
    Refused: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unavailable: 503,
    NeedsUpgrade: 503,
}
PLACES = frozenset({"body", "query", "path", "header"})
log = structlog.get_logger(__name__)


def fault(error: MemoryFault) -> Answered:
    """The answer to an error that the caller can act on."""
    status = STATUS.get(type(error), 500)
    if isinstance(error, Unavailable):
        return Answered(as_json(error.detail, command_id=error.command_id), status=status, headers={b"retry-after": b"1"})
    if isinstance(error, InvalidRequest):
        return Answered(as_json(error.problems), status=status)
    if isinstance(error, Invalid):
        return Answered(as_json([_problem(error)]), status=status)
    if isinstance(error, Unauthorized):  # clients of older servers read the status in the body, too
        return Answered(as_json(error.detail, status_code=status), status=status, headers={b"www-authenticate": b"Bearer"})
    return Answered(as_json(error.detail), status=status)


def _problem(error: Invalid) -> dict[str, object]:
    parts: list[str | int] = [int(part) if part.isdigit() else part for part in (error.field or "").split(".") if part]
    loc = parts if parts and parts[0] in PLACES else ["body", *parts]
    return {"type": "value_error", "loc": loc, "msg": f"Value error, {error.detail}", "input": None}


def on_fault(request: Request[Any, Any, Any], error: MemoryFault) -> ASGIApp:
    """Handler of every MemoryFault."""
    return fault(error)


def on_http(request: Request[Any, Any, Any], error: HTTPException) -> ASGIApp:
    """Handler of what the framework itself refuses: no such route or method, a body that is too large."""
    headers = {name.lower().encode(): value.encode() for name, value in (error.headers or {}).items()}
    return Answered(as_json(error.detail), status=error.status_code, headers=headers)


def on_anything(request: Request[Any, Any, Any], error: Exception) -> ASGIApp:
    """Handler of what nobody expected."""
    return unexpected(cast(dict[str, Any], request.scope), error)


def unexpected(http: Mapping[str, Any], error: Exception) -> Answered:
    """Counted, logged with its trace, and not told to the caller."""
    telemetry.ERRORS.labels("http.request", type(error).__name__).inc()
    log.error("request failed", method=http["method"], path=http["path"], exc_info=error)
    return Answered(b"Internal Server Error", status=500, kind=TEXT)
