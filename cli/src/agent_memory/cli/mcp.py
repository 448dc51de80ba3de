"""`agent-memory mcp`: the memory at an agent's fingertips, over the Model Context Protocol."""

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from agent_memory.cli.assembling import Invocation
from agent_memory.cli.loading.reach import server_url
from agent_memory.cli.output import CommandError, note
from agent_memory.cli.stack import start_in_background
from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home, home_path, is_held, open_home
from agent_memory.embedded.processes import until
from agent_memory.embedded.state import StackState, read_state
from agent_memory.embedded.supervisor import START_SECONDS


class Mode(StrEnum):
    """How a client talks to it."""

    stdio = "stdio"
    sse = "sse"
    streamable_http = "streamable-http"


class TaskBackend(StrEnum):
    """Of older command lines."""

    asyncio = "asyncio"
    docket = "docket"


def mcp(
    context: typer.Context,
    mode: Annotated[Mode, typer.Option(help="stdio: a client starts it; the others listen on --host and --port.")] = Mode.stdio,
    port: Annotated[int | None, typer.Option(help="Port of the HTTP modes; MCP_PORT (9000).")] = None,
    host: Annotated[str | None, typer.Option(help="Address of the HTTP modes; MCP_HOST (127.0.0.1).")] = None,
    sse: Annotated[bool, typer.Option("--sse", help="The same as --mode sse.")] = False,
    url: Annotated[str | None, typer.Option("--url", help="The memory server; AGENT_MEMORY_URL, or the one running here.")] = None,
    task_backend: Annotated[TaskBackend, typer.Option(help="Accepted and without effect: services do what is done later.")] = (
        TaskBackend.asyncio
    ),
) -> None:
    """Serve MCP: tools, resources and prompts for agents.

    Talks to the memory server that runs; for stdio the one of this machine is started when there is none. Clients' messages go
    over standard input and output alone, logs to standard error. Over stdio no `.env` is read: a client starts it wherever it is.
    """
    mode = Mode.sse if sse else mode
    foreign = (context.find_object(Invocation) or Invocation()).from_dotenv if mode is Mode.stdio else frozenset()
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment["FASTMCP_ENV_FILE"] = os.devnull  # the library reads a .env of its own otherwise
    environment["AGENT_MEMORY_URL"] = _server(url, environment, may_start=mode is Mode.stdio)
    environment |= {name: str(value) for name, value in (("MCP_PORT", port), ("MCP_HOST", host)) if value is not None}
    os.execve(sys.executable, [sys.executable, "-m", "agent_memory.mcp.app", "--mode", mode.value], environment)


def _server(url: str | None, environment: Mapping[str, str], *, may_start: bool) -> str:
    """The address of a memory server, started here when there is none and it may be. Raises CommandError or StackError."""
    try:
        return server_url(url, environment)
    except CommandError:
        if not may_start:
            raise
    home = open_home(home_path(environment))
    note(f"nothing runs in {home.path}: starting it; `agent-memory down` stops it")
    state = _started(home, environment)
    if not state.http_urls:
        raise CommandError("the stack of this machine has no HTTP door", hint="is the gateway installed?")
    return state.http_urls[0]


def _started(home: Home, environment: Mapping[str, str]) -> StackState:
    """The stack of this home, ready. Several clients that are opened together all start it: one does, the others wait for it."""
    if not is_held(home):
        try:
            return start_in_background(home, environment)
        except StackError:
            if not is_held(home):
                raise
    return _awaited(home)


def _awaited(home: Home) -> StackState:
    """The stack that somebody else is starting, once it is ready."""
    until(lambda: _ready(home) is not None, START_SECONDS, every_seconds=0.1)
    state = _ready(home)
    if state is None:
        raise CommandError(f"the stack in {home.path} did not become ready", hint="`agent-memory status` shows it", code=3)
    return state


def _ready(home: Home) -> StackState | None:
    state = read_state(home)
    return state if state and state.alive and state.phase == "ready" else None
