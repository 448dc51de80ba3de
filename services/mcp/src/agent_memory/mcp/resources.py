"""What clients show for choosing: parts of the memory as resources, and prompts that begin with what is remembered."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastmcp import FastMCP
from fastmcp.exceptions import FastMCPError, PromptError, ResourceError
from fastmcp.prompts import Message, Prompt, PromptResult
from fastmcp.prompts.base import PromptArgument
from pydantic import PrivateAttr

from agent_memory.client import MemoryClientError, NotFound
from agent_memory.client.toc import TocNode
from agent_memory.mcp import arguments, handlers, handlers_timeline, outlines
from agent_memory.mcp.calls import Call
from agent_memory.mcp.domain import Misused
from agent_memory.mcp.errors import advice
from agent_memory.mcp.tools import OpenCall, whole

ROOT = "root"
MOST_CHILDREN = 100
JSON = "application/json"


def add_resources(server: FastMCP, open_call: OpenCall, address: str) -> None:
    """The resources of a server, each as JSON."""

    async def timeline(node: str = ROOT) -> str:
        given = arguments.BrowseTimeline(node_id=None if node == ROOT else node, limit=MOST_CHILDREN)
        async with _told(ResourceError, address):
            return _json(await handlers_timeline.browse_timeline(open_call(), given))

    async def session(id: str) -> str:
        async with _told(ResourceError, address):
            found = await handlers.get_working_memory(open_call(), arguments.GetWorkingMemory(session_id=id))
            if found.unsaved:
                raise NotFound(f"there is no session {id} here", status=404)
            return _json(found)

    async def years() -> str:
        return await timeline()

    server.resource(
        f"memory://timeline/{ROOT}",
        name="timeline",
        description="The table of contents of everything that was said: the years, with what was said in them.",
        mime_type=JSON,
    )(years)
    server.resource(
        "memory://timeline/{node}",
        name="timeline-node",
        description="A node of the table of contents, such as toc:week:2026-W05, and what stands under it.",
        mime_type=JSON,
    )(timeline)
    server.resource(
        "memory://session/{id}",
        name="session",
        description="The working memory of one conversation: messages, summary, facts, data.",
        mime_type=JSON,
    )(session)


def add_prompts(server: FastMCP, open_call: OpenCall, address: str) -> None:
    """The prompts of a server."""

    async def recall(given: Mapping[str, str]) -> list[Message]:
        asked = arguments.MemoryPrompt(query=given["query"], session_id=given.get("session_id") or None)
        made = await handlers.memory_prompt(open_call(), asked)
        return [Message(one["content"]["text"], "assistant" if one["role"] == "assistant" else "user") for one in made.messages]

    async def summarise_week(given: Mapping[str, str]) -> list[Message]:
        call, node_id = open_call(), outlines.week_node(given.get("week", ""), datetime.now(UTC).date())
        try:
            found = await handlers_timeline.browse_timeline(call, arguments.BrowseTimeline(node_id=node_id))
        except NotFound:
            raise Misused(outlines.nothing_said(node_id)) from None
        days = [await _with_segments(call, day) for day in found.children]
        assert found.node is not None  # a node that is not there is an error
        return [Message(outlines.week_prompt(found.node, days))]

    for make, name, description, takes in (
        (
            recall,
            "recall",
            "A question, with everything that is remembered about it.",
            {"query": ("What to answer.", True), "session_id": ("A conversation to put in as well.", False)},
        ),
        (
            summarise_week,
            "summarise-week",
            "Summarise what was talked about and decided in a week.",
            {"week": ("Such as 2026-W05; this week when left out.", False)},
        ),
    ):
        prompt = RememberingPrompt(
            name=name,
            description=description,
            arguments=[PromptArgument(name=one, description=says, required=needed) for one, (says, needed) in takes.items()],
        )
        prompt._make, prompt._server = make, address
        server.add_prompt(prompt)


class RememberingPrompt(Prompt):
    """A prompt whose arguments are texts as they stand, and whose failures say what to do."""

    _make: Callable[[Mapping[str, str]], Awaitable[list[Message]]] = PrivateAttr()
    _server: str = PrivateAttr()

    async def render(self, arguments: dict[str, Any] | None = None) -> PromptResult:
        """Raises PromptError, whose text says what to do."""
        given = {name: value for name, value in (arguments or {}).items() if isinstance(value, str)}
        async with _told(PromptError, self._server):
            for one in self.arguments or ():
                if one.required and not given.get(one.name):
                    raise Misused(f"`{one.name}` is missing: {one.description}")
            return PromptResult(await self._make(given))


def _json(answer: msgspec.Struct) -> str:
    return msgspec.json.encode(whole(answer)).decode()


async def _with_segments(call: Call, day: TocNode) -> tuple[TocNode, list[TocNode]]:
    given = arguments.BrowseTimeline(node_id=day.node_id, limit=MOST_CHILDREN)
    return day, (await handlers_timeline.browse_timeline(call, given)).children


@asynccontextmanager
async def _told(kind: type[FastMCPError], address: str) -> AsyncIterator[None]:
    """Failures as clients are told them, with what to do."""
    try:
        yield
    except Misused as error:
        raise kind(str(error), log_level=logging.INFO) from None
    except MemoryClientError as error:
        raise kind(advice(error, address), log_level=logging.INFO) from None
