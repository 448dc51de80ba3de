"""What the commands of `agent-memory timeline` share: whose timeline it is, and through which door it is asked."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_memory.cli.daemon.context import Context, timeline_at
from agent_memory.cli.server import server_at

if TYPE_CHECKING:
    from agent_memory.client import SyncMemoryClient
    from agent_memory.client.grpc_clients import SyncTimelineClient

    Timeline = SyncMemoryClient | SyncTimelineClient

Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Whose timeline: the namespace.")]
User = Annotated[str | None, typer.Option("--user-id", "-u", help="Whose timeline: the user.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Config file of memory-daemon.")]


def timeline_of(
    namespace: str | None, user_id: str | None, *, url: str | None, endpoint: str | None, config: Path | None
) -> "AbstractContextManager[Timeline]":
    """A client, over HTTP where `url` or AGENT_MEMORY_URL names a server, else over gRPC. Raises CommandError."""
    settings = Context(environment=os.environ, file=config).given(endpoint=endpoint, namespace=namespace, user_id=user_id)
    if url or (os.environ.get("AGENT_MEMORY_URL") and not settings.endpoint):
        return server_at(url, namespace=settings.namespace, user_id=settings.user_id)
    return timeline_at(settings, os.environ, start="agent-memory up")
