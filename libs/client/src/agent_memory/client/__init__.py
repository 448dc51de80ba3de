"""Python client of Agent Memory.

`MemoryClient` speaks HTTP and knows everything; `MemoryClient.connect(endpoint)` gives a `TimelineClient`, which speaks gRPC to the
timeline. Both are for asyncio; `SyncMemoryClient` and `SyncTimelineClient` are for everything else. Names are loaded when they are
used, so that who needs one kind of connection does not wait for the other.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_memory.client.clients import MemoryClient, SyncMemoryClient
    from agent_memory.client.endpoint import DEFAULT_ENDPOINT
    from agent_memory.client.errors import (
        ClientError,
        Conflict,
        ConnectionFailed,
        Forbidden,
        InvalidEndpoint,
        InvalidRequest,
        MemoryClientError,
        NotFound,
        RequestFailed,
        RpcFailed,
        SerializationFailed,
        ServerError,
        ServerUnavailable,
        Unauthorized,
        WaitTimeout,
    )
    from agent_memory.client.grpc_clients import SyncTimelineClient, TimelineClient
    from agent_memory.client.hook_events import HookEvent, HookEventType, map_hook_event
    from agent_memory.client.program import Retry
    from agent_memory.client.toc import (
        BrowseTocResult,
        Event,
        EventRole,
        EventType,
        ExpandGripResult,
        GetEventsResult,
        Grip,
        GripSpan,
        JobResult,
        JobStatus,
        SchedulerStatus,
        TimelineMatch,
        TocBullet,
        TocLevel,
        TocNode,
    )

__all__ = [
    "DEFAULT_ENDPOINT",
    "BrowseTocResult",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "Event",
    "EventRole",
    "EventType",
    "ExpandGripResult",
    "Forbidden",
    "GetEventsResult",
    "Grip",
    "GripSpan",
    "HookEvent",
    "HookEventType",
    "InvalidEndpoint",
    "InvalidRequest",
    "JobResult",
    "JobStatus",
    "MemoryClient",
    "MemoryClientError",
    "NotFound",
    "RequestFailed",
    "Retry",
    "RpcFailed",
    "SchedulerStatus",
    "SerializationFailed",
    "ServerError",
    "ServerUnavailable",
    "SyncMemoryClient",
    "SyncTimelineClient",
    "TimelineClient",
    "TimelineMatch",
    "TocBullet",
    "TocLevel",
    "TocNode",
    "Unauthorized",
    "WaitTimeout",
    "map_hook_event",
]

_MODULES = {
    "clients": "MemoryClient SyncMemoryClient",
    "endpoint": "DEFAULT_ENDPOINT",
    "grpc_clients": "SyncTimelineClient TimelineClient",
    "hook_events": "HookEvent HookEventType map_hook_event",
    "program": "Retry",
    "toc": "BrowseTocResult Event EventRole EventType ExpandGripResult GetEventsResult Grip GripSpan JobResult JobStatus "
    "SchedulerStatus TimelineMatch TocBullet TocLevel TocNode",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME.get(name, 'errors')}"), name)
    globals()[name] = found
    return found
