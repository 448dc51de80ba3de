"""Composition root of the MCP gateway: the only file that makes things. `python -m agent_memory.mcp.app --mode …` serves."""

import asyncio
import logging as standard_logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import cast

import structlog
import uvloop
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from agent_memory.auth.principal import Authenticate, disabled
from agent_memory.client import MemoryClient, Retry
from agent_memory.contracts.errors import Unavailable
from agent_memory.mcp.admission import Admission, Agreement, AskingAuthentication
from agent_memory.mcp.calls import Call, Caller, Written
from agent_memory.mcp.catalogue import TOOLS
from agent_memory.mcp.challenges import Resource
from agent_memory.mcp.domain import Place
from agent_memory.mcp.halves import make_standard_input_whole
from agent_memory.mcp.resources import add_prompts, add_resources
from agent_memory.mcp.serving import listening, server_of
from agent_memory.mcp.settings import McpSettings, check, load_mcp, mode_of
from agent_memory.mcp.tools import OpenCall, tool_of
from agent_memory.mcp.web import CALLER, Door
from agent_memory.runtime import logging, metrics_server, telemetry, tracing
from agent_memory.runtime.settings import Settings, SettingsError, load
from agent_memory.runtime.settings.auth import AuthSettings, is_loopback, load_auth
from agent_memory.runtime.settings.dotenv import adopt_dotenv

SERVICE = "mcp"
INSTRUCTIONS = (
    "When responding to user queries, ALWAYS check memory first before answering questions about user preferences, history, or "
    "personal information: search_long_term_memory for facts, search_timeline for what was said. Store what will matter later with "
    "create_long_term_memories."
)
PATIENCE = Retry(attempts=3)
LOUD_LIBRARIES = ("fastmcp", "mcp", "sse_starlette")
PAGES_OF_THIS_MACHINE = r"https?://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?"
ENDPOINTS = {"streamable-http": ("/mcp",), "sse": ("/sse", "/messages/")}


def create_server(open_call: OpenCall, address: str) -> FastMCP:
    """The MCP server. `open_call` says who calls; `address`: the memory server's, for what failures say."""
    server: FastMCP = FastMCP(
        "Agent Memory",
        INSTRUCTIONS,
        version=version("agent-memory-mcp"),
        mask_error_details=True,
        on_duplicate="error",
        resource_security=None,  # ids are no paths
    )
    for spec in TOOLS:
        server.add_tool(tool_of(spec, open_call, address))
    add_resources(server, open_call, address)
    add_prompts(server, open_call, address)
    return server


def create_app(server: FastMCP, settings: Settings, auth: AuthSettings, own: McpSettings, admission: Admission) -> ASGIApp:
    """The HTTP application of a mode."""
    inner = (
        server.http_app(transport="sse", path="/sse")
        if own.mode == "sse"
        else server.http_app(transport="streamable-http", path="/mcp", stateless_http=True)
    )
    door = Door(
        inner,
        ENDPOINTS[own.mode],
        admission=admission,
        resource=Resource(auth=auth, url=settings.mcp_resource_url),
        needs={spec.name: spec.needs for spec in TOOLS},
        allowed_origins=settings.mcp_allowed_origins,
        strangers=not is_loopback(settings.mcp_host),
        most_bytes=settings.max_body_bytes,
    )
    return CORSMiddleware(
        door,
        allow_origins=settings.mcp_allowed_origins,
        allow_origin_regex=PAGES_OF_THIS_MACHINE,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=("mcp-session-id", "www-authenticate"),
    )


async def authentication(auth: AuthSettings, memory: MemoryClient, stack: AsyncExitStack) -> Authenticate:
    """How callers are known. What it opens is closed with the stack."""
    if auth.auth_mode == "token":
        return AskingAuthentication(memory)
    if auth.auth_mode == "oauth2":
        oauth2 = import_module("agent_memory.auth.oauth2")  # cryptography that nobody else needs
        keys = import_module("agent_memory.auth.jwks").IssuerKeys(auth.jwks_url)
        stack.push_async_callback(keys.close)
        return cast(Authenticate, oauth2.OAuth2Authentication(auth, keys))
    return disabled


def usual_of(settings: Settings) -> Mapping[str, str]:
    """Namespace and user where nothing names any."""
    usual = {"namespace": settings.default_mcp_namespace, "user_id": settings.default_mcp_user_id}
    return {field: name for field, name in usual.items() if name}


@asynccontextmanager
async def opened(settings: Settings, auth: AuthSettings, own: McpSettings) -> AsyncIterator[ASGIApp]:
    """The HTTP application of a mode, connected to the memory server.

    Raises SettingsError when one of the two asks for credentials and the other does not.
    """
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(MemoryClient(own.server, retry=PATIENCE))
        authenticate = await authentication(auth, memory, stack)
        agreement = Agreement(memory, authenticate)
        try:
            if wrong := await agreement.disagreement():
                raise SettingsError(wrong)
        except Unavailable as error:
            structlog.get_logger(__name__).warning("memory server not seen yet", error=error.detail)
        written = Written()
        server = create_server(lambda: Call(get_http_request().scope[CALLER], memory, written), own.server)
        yield create_app(server, settings, auth, own, Admission(authenticate, agreement, usual_of(settings)))


async def speak(settings: Settings, own: McpSettings) -> None:
    """Serve over standard input and output until the client goes away."""
    caller, written = Caller(token=own.token, place=Place(usual=usual_of(settings))), Written()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is lost, and the thread that reads cannot be interrupted otherwise
    structlog.get_logger(__name__).info("speaking over standard input and output", server=own.server)
    make_standard_input_whole()
    async with MemoryClient(own.server, retry=PATIENCE) as memory:
        await create_server(lambda: Call(caller, memory, written), own.server).run_stdio_async(show_banner=False)


async def listen(settings: Settings, auth: AuthSettings, own: McpSettings) -> None:
    """Serve over HTTP until a signal says so."""
    with listening(settings.mcp_host, settings.mcp_port) as at:
        async with opened(settings, auth, own) as app, MemoryClient(own.server) as memory:
            server, checks = server_of(app), {"memory": metrics_server.answers(memory.health)}
            telemetry.BUILD.labels(SERVICE, settings.service_replica or str(os.getpid())).set(1)
            host, port = at.getsockname()[:2]
            log = structlog.get_logger(__name__)
            log.info("listening", mode=own.mode, host=host, port=port, server=own.server, authentication=auth.auth_mode)
            async with metrics_server.serve(settings, checks, lambda: server.should_exit):
                await server.serve(sockets=[at])


def main() -> None:
    """Serve with settings from the environment. A wrong setting ends the process with 2 and its name."""
    mode = mode_of(sys.argv[1:])
    try:
        if mode != "stdio":
            adopt_dotenv()  # over stdio it would be that of whatever a client works on
        settings, auth = load(), load_auth(os.environ)
        own = load_mcp(mode, os.environ)
        check(settings, auth, own, os.environ)
        logging.configure(settings, SERVICE)
        for name in LOUD_LIBRARIES:
            logging.adopt(standard_logging.getLogger(name))
            standard_logging.getLogger(name).setLevel(standard_logging.WARNING)
        tracing.start(settings, SERVICE)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(speak(settings, own) if own.mode == "stdio" else listen(settings, auth, own))
    except SettingsError as error:
        print(f"agent-memory mcp: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        tracing.stop()


if __name__ == "__main__":
    main()
