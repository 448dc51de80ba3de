"""The ten tools once more, with authentication on: clients of both makes, over every transport, each with a token of its own."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from agent_memory.embedded.supervisor import Stack
from agent_memory.eventlog import secrets
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.tokens import StoredToken, TokenStore
from agent_memory.runtime.settings.auth import AuthSettings
from support.mcp_doors import MAKES, PATHS, TRANSPORTS, Make, Transport, connected, in_process
from support.mcp_journey import ten_tools
from support.servers import Servers, stack_environment
from support.stacks import running_stack

TOKENS = AuthSettings(auth_mode="token")


@pytest.fixture(scope="module")
def stack(servers: Servers) -> Iterator[Stack]:
    with running_stack(servers, AUTH_MODE="token") as started:
        yield started


async def token_of(stack: Stack, user_id: str, scope: str = "write") -> str:
    """A token as `agent-memory token add` makes it, bound to a user."""
    secret = secrets.new_token()
    connections = Connections(stack.database_url)
    made = StoredToken(
        id=secrets.lookup_id(secret),
        hash=await asyncio.to_thread(secrets.hashed, secret),
        description="",
        scopes=[scope],
        user_id=user_id,
        created_ms=time.time_ns() // 1_000_000,
    )
    await TokenStore(connections).add(made)
    await connections.close()
    return secret


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("make", MAKES)
async def test_saved_calls_go_on_working_with_a_token(stack: Stack, make: Make, transport: Transport) -> None:
    memory, user_id = stack.http_urls[0], f"{make}-{transport}"
    token = await token_of(stack, user_id)
    if transport == "stdio":
        async with connected(make, transport, memory, token=token, environment=stack_environment()) as client:
            await ten_tools(client, user_id, user_id)
        return
    async with (
        in_process(transport, memory, auth=TOKENS) as at,
        connected(make, transport, at + PATHS[transport], token=token) as client,
    ):
        await ten_tools(client, user_id, user_id)


async def test_over_stdio_a_token_that_allows_too_little_is_told_by_the_tools(stack: Stack) -> None:
    weak = await token_of(stack, "ana", scope="read")
    async with connected("fastmcp", "stdio", stack.http_urls[0], token=weak, environment=stack_environment()) as client:
        assert (await client.ask("search_long_term_memory", text=None))["memories"] == []
        told = await client.refused("create_long_term_memories", memories=[{"text": "x"}])
        assert "Required scope: write" in told
        assert "ask for what it reaches" in told
