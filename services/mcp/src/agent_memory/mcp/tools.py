"""A tool as MCP clients see it: its schema from the struct that it takes, its answer as JSON, its failures as advice."""

import asyncio
import logging as standard_logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any

import msgspec
from fastmcp.exceptions import ToolError
from fastmcp.tools import Tool
from fastmcp.tools.base import ToolResult
from fastmcp.utilities.json_schema import dereference_refs
from mcp.types import TextContent, ToolAnnotations
from pydantic import PrivateAttr

from agent_memory.client import MemoryClientError
from agent_memory.mcp.calls import Call
from agent_memory.mcp.domain import Misused
from agent_memory.mcp.errors import advice
from agent_memory.mcp.misfits import would_do
from agent_memory.mcp.permissions import Permission
from agent_memory.mcp.progress import telling
from agent_memory.runtime import telemetry

Handler = Callable[[Call, Any], Awaitable[msgspec.Struct]]
OpenCall = Callable[[], Call]
"""Who calls now, as the context of the request says."""


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One tool. `says`: for a model that must choose well; `doing`: what the progress of a long call tells."""

    name: str
    handler: Handler
    takes: type[msgspec.Struct]
    gives: type[msgspec.Struct]
    says: str
    needs: Permission = "read"
    destroys: bool = False
    repeatable: bool = True
    doing: str = "working"

    @property
    def annotations(self) -> ToolAnnotations:
        """What a client may warn of, or do without asking."""
        return ToolAnnotations(
            title=self.name.replace("_", " ").capitalize(),
            read_only_hint=self.needs == "read",
            destructive_hint=self.destroys,
            idempotent_hint=self.repeatable,
            open_world_hint=False,
        )


class MemoryTool(Tool):
    """A `ToolSpec` as FastMCP takes it."""

    _spec: ToolSpec = PrivateAttr()
    _open: OpenCall = PrivateAttr()
    _server: str = PrivateAttr()

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Raises ToolError, whose text says what to do."""
        spec, outcome, began = self._spec, "failed", time.perf_counter()
        try:
            given = arguments_of(spec.takes, arguments)
            call = self._open()
            with telemetry.span("mcp.call", call.caller.traceparent, tool=spec.name):
                async with telling(spec.doing):
                    answer = await spec.handler(call, given)
            outcome = "answered"
            return _result(answer)
        except Misused as error:
            outcome = "refused"
            raise ToolError(str(error), log_level=standard_logging.INFO) from None
        except MemoryClientError as error:
            outcome = type(error).__name__
            raise ToolError(advice(error, self._server), log_level=standard_logging.INFO) from None
        except asyncio.CancelledError:
            outcome = "given up"
            raise
        finally:
            telemetry.MCP_CALLS.labels(spec.name, outcome).inc()
            telemetry.MCP_SECONDS.labels(spec.name).observe(time.perf_counter() - began)


def tool_of(spec: ToolSpec, open_call: OpenCall, server: str) -> MemoryTool:
    """The tool of a spec. `server`: the address of the memory server, for what failures say."""
    tool = MemoryTool(
        name=spec.name,
        description=" ".join(spec.says.split()),
        parameters=_taken(spec.takes),
        output_schema=_given(spec.gives),
        annotations=spec.annotations,
    )
    tool._spec, tool._open, tool._server = spec, open_call, server
    return tool


# Without references, as some clients need it. The framework would see to that itself, but anew for each one who asks: 50 ms.
@cache
def _taken(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return dereference_refs(schema_of(struct))


@cache
def _given(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return dereference_refs(_promised(schema_of(struct)))


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON schema of a struct, itself at the top."""
    _, components = msgspec.json.schema_components((struct,), ref_template="#/$defs/{name}")
    own = components.pop(struct.__name__)
    schema = {name: value for name, value in own.items() if name not in ("title", "description")}
    return {**schema, **({"$defs": components} if components else {})}


def _promised(schema: dict[str, Any]) -> dict[str, Any]:
    """An answer always has all of its fields, whatever their usual value is."""
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            part["required"] = sorted(part["properties"])
    return schema


def arguments_of(struct: type[msgspec.Struct], given: Mapping[str, Any]) -> Any:
    """The arguments of a call, as laxly as clients are used to: "5" for 5, and JSON in text where an object is meant.

    Raises Misused with what is wrong and what would do.
    """
    try:
        return msgspec.convert(given, struct, strict=False)
    except msgspec.ValidationError as first:
        again = {name: _parsed(value) for name, value in given.items()}
        if again != given:
            try:
                return msgspec.convert(again, struct, strict=False)
            except msgspec.ValidationError:
                pass
        raise Misused(f"{first}. {would_do(schema_of(struct), str(first))}".rstrip()) from None


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _result(answer: msgspec.Struct) -> ToolResult:
    told = whole(answer)
    return ToolResult(content=[TextContent(type="text", text=msgspec.json.encode(told).decode())], structured_content=told)


def whole(value: Any) -> Any:
    """A value as JSON has it, with all fields of every struct: none is left out because it is as usual."""
    if isinstance(value, msgspec.Struct):
        named = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {name: whole(getattr(value, field)) for name, field in named}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return msgspec.to_builtins(value)
