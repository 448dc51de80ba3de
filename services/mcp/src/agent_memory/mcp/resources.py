"""What clients show for choosing: parts of the memory as resources, and prompts that begin with what is remembered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastmcp import FastMCP
from fastmcp.exceptions import FastMCPError, PromptError, ResourceError
from fastmcp.prompts import Message
from pydantic import Field

from agent_memory.client import MemoryClientError
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
            return _json(await handlers.get_working_memory(open_call(), arguments.GetWorkingMemory(session_id=id)))

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

    async def recall(
        query: Annotated[str, Field(description="What to answer.")],
        session_id: Annotated[str, Field(description="A conversation to put in as well.")] = "",
    ) -> list[Message]:
        given = arguments.MemoryPrompt(query=query, session_id=session_id or None)
        async with _told(PromptError, address):
            made = await handlers.memory_prompt(open_call(), given)
        return [Message(one["content"]["text"], "assistant" if one["role"] == "assistant" else "user") for one in made.messages]

    async def summarise_week(
        week: Annotated[str, Field(description="Such as 2026-W05; this week when left out.")] = "",
    ) -> list[Message]:
        call = open_call()
        async with _told(PromptError, address):
            node_id = outlines.week_node(week, datetime.now(UTC).date())
            found = await handlers_timeline.browse_timeline(call, arguments.BrowseTimeline(node_id=node_id))
            days = [await _with_segments(call, day) for day in found.children]
        assert found.node is not None  # a node that is not there is an error
        return [Message(outlines.week_prompt(found.node, days))]

    server.prompt(name="recall", description="A question, with everything that is remembered about it.")(recall)
    server.prompt(name="summarise-week", description="Summarise what was talked about and decided in a week.")(summarise_week)


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
        raise kind(str(error)) from None
    except MemoryClientError as error:
        raise kind(advice(error, address)) from None
