"""How this process serves MCP, beside the settings that every service shares."""

import re
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import msgspec

from agent_memory.runtime.settings import Settings, SettingsError
from agent_memory.runtime.settings.auth import ANY_AUDIENCE, AuthSettings, check_hosts, open_allowed
from agent_memory.runtime.settings.kinds import Address, shown

_ADDRESS = re.compile(r"https?://[^/\s?#]+(?!/v1$)(/[^\s?#]*)?", re.IGNORECASE)
Mode = Literal["stdio", "sse", "streamable-http"]


class McpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`server`: the address of the memory server; `token`: the credential of stdio."""

    mode: Mode
    server: str
    token: str | None


def mode_of(arguments: Sequence[str]) -> Mode:
    """What the command line says."""
    parser = ArgumentParser(prog="python -m agent_memory.mcp.app", description="MCP over the memory server at AGENT_MEMORY_URL.")
    parser.add_argument("--mode", choices=get_args(Mode), default="stdio")
    mode: Mode = parser.parse_args(arguments).mode
    return mode


def load_mcp(mode: Mode, environment: Mapping[str, str]) -> McpSettings:
    """Raises SettingsError when nothing says where the memory server is, or what says it is no address."""
    server = environment.get("AGENT_MEMORY_URL", "").strip().rstrip("/")
    if not server:
        raise SettingsError(
            "AGENT_MEMORY_URL must be set to the address of the memory server, such as http://127.0.0.1:8000; "
            "`agent-memory mcp` finds the one of this machine, and starts it for stdio"
        )
    if not _ADDRESS.fullmatch(server):
        raise SettingsError(f"AGENT_MEMORY_URL={shown(server, Address)!r} cannot be used: http://host:port, without /v1 behind it")
    return McpSettings(mode=mode, server=server, token=environment.get("AGENT_MEMORY_TOKEN") or None)


def check(settings: Settings, auth: AuthSettings, own: McpSettings, environment: Mapping[str, str]) -> None:
    """Raises SettingsError when strangers could come in."""
    if own.mode == "stdio":
        return
    if auth.auth_mode == "oauth2" and auth.oauth2_audience == ANY_AUDIENCE:
        raise SettingsError(
            f"OAUTH2_AUDIENCE={ANY_AUDIENCE} cannot be used with MCP over HTTP: a token that was made for another service must not "
            "be passed on. Name the audience, here and at the memory server"
        )
    if auth.auth_mode == "disabled":
        check_hosts({"MCP_HOST": settings.mcp_host}, allowed=open_allowed(environment))
