"""The MCP gateway as clients of two makes see it, over each transport."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import msgspec
from fastmcp import Client as FastClient
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp import Client as OfficialClient
from mcp import StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from agent_memory.mcp.app import opened
from agent_memory.mcp.serving import listening, server_of
from agent_memory.mcp.settings import McpSettings
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.settings.auth import AuthSettings
from support.controls import wait_until_now
from support.forks import python

Make = Literal["official", "fastmcp"]
Transport = Literal["stdio", "sse", "streamable-http"]
MAKES: tuple[Make, ...] = ("official", "fastmcp")
TRANSPORTS: tuple[Transport, ...] = ("stdio", "sse", "streamable-http")
PATHS = {"sse": "/sse", "streamable-http": "/mcp"}
COMMAND = [sys.executable, "-m", "agent_memory.cli.main", "mcp"]
Progress = Callable[[float, float | None, str | None], Any]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool answered. `data` is its structured content, `text` what a model reads."""

    failed: bool
    data: Any
    text: str


class Connection:
    """A connected client of either make."""

    def __init__(self, client: Any, make: Make) -> None:
        self.client = client
        self._official = make == "official"

    async def call(self, tool: str, progress: Progress | None = None, /, **arguments: Any) -> Answered:
        """Call a tool, whatever it answers."""
        if self._official:
            answer = await self.client.call_tool(tool, arguments, progress_callback=progress)
        else:
            answer = await self.client.call_tool_mcp(tool, arguments, progress_handler=progress)
        text = "".join(part.text for part in answer.content)
        return Answered(failed=bool(answer.is_error), data=answer.structured_content, text=text)

    async def ask(self, tool: str, /, **arguments: Any) -> Any:
        """What a tool answers that must succeed. Text and structure say the same."""
        answer = await self.call(tool, **arguments)
        assert not answer.failed, answer.text
        assert msgspec.json.decode(answer.text) == answer.data
        return answer.data

    async def refused(self, tool: str, /, **arguments: Any) -> str:
        """The advice of a tool that must fail."""
        answer = await self.call(tool, **arguments)
        assert answer.failed, answer.text
        return answer.text

    async def tools(self) -> dict[str, Any]:
        """Every tool by name, as the client is told."""
        listed = await self.client.list_tools()
        return {tool.name: tool for tool in (listed.tools if self._official else listed)}

    async def read(self, uri: str) -> Any:
        """The JSON of a resource."""
        answer = await self.client.read_resource(uri)
        (content,) = answer.contents if self._official else answer
        assert content.mime_type == "application/json"
        return msgspec.json.decode(content.text)

    async def prompt(self, name: str, /, **arguments: str) -> list[tuple[str, str]]:
        """Role and text of each message of a prompt."""
        answer = await self.client.get_prompt(name, arguments)
        return [(message.role, message.content.text) for message in answer.messages]

    async def shown(self) -> dict[str, list[str]]:
        """What there is to choose from beside tools, by kind."""
        listed = await self.client.list_resources(), await self.client.list_resource_templates(), await self.client.list_prompts()
        resources, templates, prompts = (
            (listed[0].resources, listed[1].resource_templates, listed[2].prompts) if self._official else listed
        )
        return {
            "resources": [str(resource.uri) for resource in resources],
            "templates": sorted(template.uri_template for template in templates),
            "prompts": sorted(prompt.name for prompt in prompts),
        }


@asynccontextmanager
async def connected(
    make: Make,
    transport: Transport,
    where: str,
    *,
    token: str | None = None,
    environment: Mapping[str, str] = {},
    folder: Path | None = None,
    command: Sequence[str] = (),
) -> AsyncIterator[Connection]:
    """A client. `where`: the URL of an HTTP mode with its path, or for stdio that of the memory server;
    "" for the one of this machine. Over stdio it starts `command`, or what that turns itself into."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if transport == "stdio":
        with tempfile.TemporaryFile("w") as log:
            given = {**environment, **({"AGENT_MEMORY_TOKEN": token} if token else {})}
            given |= {"AGENT_MEMORY_URL": where} if where else {}
            async with _stdio(
                make, command or python("agent_memory.mcp.app", "--mode", transport), given, log, folder
            ) as connection:
                yield connection
    elif make == "fastmcp":
        kind = SSETransport if transport == "sse" else StreamableHttpTransport
        async with FastClient(kind(where, headers=headers)) as client:
            yield Connection(client, make)
    elif transport == "sse":
        async with OfficialClient(sse_client(where, headers=headers)) as client:
            yield Connection(client, make)
    else:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            OfficialClient(streamable_http_client(where, http_client=http)) as client,
        ):
            yield Connection(client, make)


@asynccontextmanager
async def _stdio(
    make: Make, command: Sequence[str], environment: dict[str, str], log: Any, folder: Path | None
) -> AsyncIterator[Connection]:
    program, *arguments = command
    if make == "official":
        parameters = StdioServerParameters(command=program, args=arguments, env=environment, cwd=folder)
        async with OfficialClient(parameters) as client:
            yield Connection(client, make)
    else:
        transport = StdioTransport(program, arguments, env=environment, cwd=folder and str(folder), keep_alive=False, log_file=log)
        async with FastClient(transport) as client:
            yield Connection(client, make)


class Serving:
    """`agent-memory mcp` in an HTTP mode, on a free port."""

    def __init__(self, mode: Transport, environment: Mapping[str, str], folder: Path) -> None:
        self._log = folder / f"{mode}.log"
        with self._log.open("wb") as log:
            argv = python("agent_memory.cli.main", "mcp", "--mode", mode, "--port", "0")
            self._process = subprocess.Popen(argv, env=dict(environment), stdout=subprocess.PIPE, stderr=log)

    def address(self) -> str:
        """Without a path, once it listens."""
        wait_until_now(lambda: self._port() or self._process.poll() is not None, "the MCP gateway listens", 60)
        assert self._port(), self._log.read_text()
        return f"http://127.0.0.1:{self._port()}"

    def stop(self) -> None:
        """It ends with success, and has said nothing where clients over stdio listen."""
        self._process.terminate()
        spoken, _ = self._process.communicate(timeout=30)
        assert (self._process.returncode, spoken) == (0, b""), self._log.read_text()

    def _port(self) -> int:
        lines = [line for line in self._log.read_bytes().splitlines(keepends=True) if line[:1] == b"{" and line[-1:] == b"\n"]
        told = [msgspec.json.decode(line) for line in lines]
        return next((line["port"] for line in told if line["event"] == "listening"), 0)


@contextmanager
def serving(*modes: Transport, environment: Mapping[str, str]) -> Iterator[dict[Transport, str]]:
    """Gateways in these modes for the time of the block, by mode; they start side by side."""
    with tempfile.TemporaryDirectory(prefix="agent-memory-test-mcp-") as folder:
        started = {mode: Serving(mode, environment, Path(folder)) for mode in modes}
        try:
            yield {mode: one.address() for mode, one in started.items()}
        finally:
            for one in started.values():
                one.stop()


@asynccontextmanager
async def in_process(
    mode: Transport, memory_url: str, settings: Settings | None = None, auth: AuthSettings | None = None
) -> AsyncIterator[str]:
    """An HTTP mode in this very process, for tests that need many of them; its address without a path."""
    own = McpSettings(mode=mode, server=memory_url, token=None)
    async with opened(settings or Settings(), auth or AuthSettings(), own) as app, answering(app) as url:
        yield url


@asynccontextmanager
async def answering(app: Any) -> AsyncIterator[str]:
    """An ASGI application on a free port, for the time of the block."""
    with listening("127.0.0.1", 0) as at:
        server = server_of(app)
        running = asyncio.create_task(server.serve(sockets=[at]))
        try:
            yield f"http://127.0.0.1:{at.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
