"""The MCP gateway beside a running stack, as clients of two makes meet it over stdio, sse and streamable-http."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from agent_memory.embedded.supervisor import Stack
from support.mcp_doors import MAKES, PATHS, TRANSPORTS, Connection, Make, Transport, connected, serving
from support.mcp_journey import ten_tools
from support.servers import Servers, stack_environment
from support.stacks import running_stack


class Doors:
    """Where each transport is to be found."""

    def __init__(self, stack: Stack, at: dict[Transport, str]) -> None:
        self.stack = stack
        self._at = at

    def url(self, transport: Transport, place: str = "") -> str:
        """`place`: "" or "/{namespace}"; over stdio there is none."""
        return self.stack.http_urls[0] if transport == "stdio" else self._at[transport] + place + PATHS[transport]

    def connected(self, make: Make, transport: Transport, place: str = "") -> Any:
        """A client that is connected for the time of the block."""
        return connected(make, transport, self.url(transport, place), environment=stack_environment())


@pytest.fixture(scope="module")
def doors(servers: Servers) -> Iterator[Doors]:
    with ExitStack() as opened:
        stack = opened.enter_context(running_stack(servers))
        environment = stack_environment(AGENT_MEMORY_URL=stack.http_urls[0])
        yield Doors(stack, opened.enter_context(serving("sse", "streamable-http", environment=environment)))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("make", MAKES)
async def test_saved_calls_of_all_ten_tools_go_on_working(doors: Doors, make: Make, transport: Transport) -> None:
    async with doors.connected(make, transport) as client:
        await ten_tools(client, f"{make}-{transport}")


@pytest.mark.parametrize("transport", ["sse", "streamable-http"])
async def test_two_clients_in_two_namespaces_never_mix(doors: Doors, transport: Transport) -> None:
    async with (
        doors.connected("official", transport, f"/{transport}-a") as first,
        doors.connected("fastmcp", transport, f"/{transport}-b") as second,
    ):

        async def talks(client: Connection, name: str) -> list[str]:
            ids = []
            for number in range(4):
                stored = await client.ask("create_long_term_memories", memories=[{"text": f"secret {number} of {name}"}])
                ids += stored["memory_ids"]
                found = await client.ask("search_long_term_memory", text="secret", search_mode="keyword", limit=100)
                assert {hit["namespace"] for hit in found["memories"]} == {f"{transport}-{name}"}
                assert len(found["memories"]) == number + 1
                session = await client.ask(
                    "set_working_memory", session_id="shared", messages=[{"role": "user", "content": f"{number} of {name}"}]
                )
                assert session["namespace"] == f"{transport}-{name}"
                seen = await client.ask("get_working_memory", session_id="shared")
                assert [message["content"] for message in seen["messages"]] == [f"{number} of {name}"]
            return ids

        ids, _ = await asyncio.gather(talks(first, "a"), talks(second, "b"))
        for arguments in ({"namespace": f"{transport}-a"}, {"filters": {"namespace": {"startswith": "s"}}}):
            assert f"for the namespace '{transport}-b' alone" in await second.refused(
                "search_long_term_memory", text="secret", **arguments
            )
        for tool, more in (("get_long_term_memory", {}), ("edit_long_term_memory", {"text": "taken"})):
            assert "not found" in await second.refused(tool, memory_id=ids[0], **more)
        assert await second.ask("delete_long_term_memories", memory_ids=ids) == {"status": "ok, deleted 0 memories"}
        assert (await first.ask("get_long_term_memory", memory_id=ids[0]))["text"] == "secret 0 of a"


async def test_the_url_may_name_a_user_as_well(doors: Doors) -> None:
    async with doors.connected("fastmcp", "streamable-http", "/family/zo%C3%AB") as client:
        await client.ask("create_long_term_memories", memories=[{"id": "zoe-tea", "text": "Zoë drinks tea"}])
        assert (await client.ask("get_long_term_memory", memory_id="zoe-tea"))["user_id"] == "zoë"
        assert "for the user 'zoë' alone" in await client.refused("get_working_memory", session_id="s", user_id="ana")


async def test_what_cannot_succeed_is_an_error_that_says_what_to_do(doors: Doors) -> None:
    async with doors.connected("official", "streamable-http") as client:
        assert "unknown field `limitt`. Arguments are: created_at" in await client.refused(
            "search_long_term_memory", text="x", limitt=3
        )
        assert "given twice" in await client.refused(
            "search_long_term_memory", text="x", topics=["a"], filters={"topics": {"any": ["b"]}}
        )
        assert "unknown field `like` - at `$.topics`" in await client.refused(
            "search_long_term_memory", text="x", topics={"like": "a"}
        )
        beyond = await client.refused("search_long_term_memory", text="x", limit=1000)
        assert "limit" in beyond
        assert "Correct that and call again" in beyond
        assert "give at least one memory" in await client.refused("create_long_term_memories", memories=[])
        assert "nothing to change" in await client.refused("edit_long_term_memory", memory_id="x")
        assert "is only supported for semantic" in await client.refused(
            "search_long_term_memory", text="x", search_mode="hybrid", distance_threshold=0.3
        )
        assert "Look for the right id" in await client.refused("get_long_term_memory", memory_id="nobody")


async def test_json_in_text_is_understood_where_an_object_is_meant(doors: Doors) -> None:
    async with doors.connected("fastmcp", "streamable-http", "/loose") as client:
        stored = await client.ask("create_long_term_memories", memories='[{"text": "Ferries run hourly", "topics": ["travel"]}]')
        found = await client.ask("search_long_term_memory", text=None, filters='{"topics": {"any": ["travel"]}}', limit="3")
        assert [hit["id"] for hit in found["memories"]] == stored["memory_ids"]
