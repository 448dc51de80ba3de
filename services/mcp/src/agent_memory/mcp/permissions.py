"""What a request needs, read from its body before MCP begins: a credential that allows too little is told so as OAuth says."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from starlette.types import Message, Receive, Scope

from agent_memory.mcp.halves import made_whole

Permission = Literal["read", "write", "admin"]
_ORDER: tuple[Permission, ...] = ("read", "write", "admin")


def needed(body: bytes, needs: Mapping[str, Permission]) -> Permission:
    """The most that any of its calls needs; `needs` by tool. What is no call of a tool needs to read."""
    try:
        said = msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return "read"
    calls = said if isinstance(said, list) else [said]
    return max((_needed(call, needs) for call in calls), key=_ORDER.index, default="read")


def _needed(call: Any, needs: Mapping[str, Permission]) -> Permission:
    if not isinstance(call, dict) or call.get("method") != "tools/call" or not isinstance(call.get("params"), dict):
        return "read"
    name = call["params"].get("name")
    return needs.get(name, "read") if isinstance(name, str) else "read"


async def bodied(scope: Scope, receive: Receive, most: int) -> tuple[bytes | None, Receive]:
    """The body of a POST, with whole characters, and what reads it once more; None for one that is too long. Of other methods:
    nothing.
    """
    if scope["method"] != "POST":
        return b"", receive
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", _gone
        chunks.append(message.get("body", b""))
        size, more = size + len(chunks[-1]), bool(message.get("more_body", False))
        if size > most:
            return None, receive
    body = made_whole(b"".join(chunks))
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return body, again


async def _gone() -> Message:
    return {"type": "http.disconnect"}
