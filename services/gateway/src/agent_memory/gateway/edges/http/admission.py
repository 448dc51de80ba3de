"""Who may come in, asked before any route is chosen: a route that nobody thought of is closed."""

from collections.abc import Mapping
from typing import Any

import structlog

from agent_memory.auth.principal import NOBODY, Permission, Principal
from agent_memory.contracts.errors import MemoryFault
from agent_memory.gateway.gateway import Gateway
from agent_memory.runtime import telemetry

PRINCIPAL = "agent_memory.principal"
OPEN = frozenset({"/v1/health", "/health", "/ready", "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"})
"""Paths that need no credential: whether it is alive and ready, and what can be asked. They tell nothing of what is stored."""
ADMIN = frozenset({"/metrics", "/v1/bundle"})
"""Figures of the whole process, whichever tenant they come from; all that is stored of a tenant, at once."""
ADMIN_WRITES = "/v1/scheduler/"
"""What begins so belongs to the whole system: only reading it needs no more than elsewhere."""
READING_POSTS = frozenset(
    {
        "/v1/long-term-memory/search",
        "/v1/memory/search",
        "/v1/memory/prompt",
        "/v1/timeline/search",
        "/long-term-memory/search",
        "/memory/search",
        "/memory-prompt",
    }
)
"""POSTs that change nothing. Any other is a write until it is named here."""
log = structlog.get_logger(__name__)


async def admitted(http: Mapping[str, Any], gateway: Gateway) -> Principal:
    """Who asks for this. Raises Unauthorized, or Forbidden for more than the credential allows."""
    path: str = http["path"].rstrip("/")
    if path in OPEN:
        return NOBODY
    try:
        principal = await gateway.authenticate(dict(http["headers"]))
    except MemoryFault:
        raise
    except Exception as error:
        telemetry.ERRORS.labels("authentication", type(error).__name__).inc()
        log.error("authentication failed", exc_info=error)
        raise MemoryFault("Internal server error during authentication") from error
    principal.require(needed(http["method"], path))
    return principal


def needed(method: str, path: str) -> Permission:
    """What a request asks for."""
    if path in ADMIN:
        return "admin"
    if method in ("GET", "HEAD", "OPTIONS") or (method == "POST" and path in READING_POSTS):
        return "read"
    return "admin" if path.startswith(ADMIN_WRITES) else "write"
