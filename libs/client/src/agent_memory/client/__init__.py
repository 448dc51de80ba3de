"""Python client of the HTTP API: `MemoryClient` for asyncio, `SyncMemoryClient` for everything else."""

from agent_memory.client.clients import MemoryClient, SyncMemoryClient
from agent_memory.client.errors import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    MemoryClientError,
    NotFound,
    RequestFailed,
    ServerError,
    ServerUnavailable,
    Unauthorized,
    WaitTimeout,
)
from agent_memory.client.program import Retry

__all__ = [
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "InvalidRequest",
    "MemoryClient",
    "MemoryClientError",
    "NotFound",
    "RequestFailed",
    "Retry",
    "ServerError",
    "ServerUnavailable",
    "SyncMemoryClient",
    "Unauthorized",
    "WaitTimeout",
]
