"""One stack for the whole folder, because starting it takes longer than all tests; clients in a namespace of each test's own."""

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest
from agent_memory_client import MemoryAPIClient

from agent_memory.embedded.supervisor import Stack
from support.official import official_client
from support.servers import Servers
from support.stacks import running_stack


@pytest.fixture(scope="session")
def stack(servers: Servers) -> Iterator[Stack]:
    """A gateway and all that stands behind it, the embedding model of this machine included."""
    with running_stack(servers, EMBEDDING_MODEL="local", READ_WAIT_SECONDS="30") as started:
        yield started


@pytest.fixture(scope="session")
def gateway_url(stack: Stack) -> str:
    """Of the gateway."""
    return stack.http_urls[0]


@pytest.fixture
def namespace() -> str:
    """A namespace that nobody else uses."""
    return f"compat-{token_hex(6)}"


@pytest.fixture(scope="session")
async def anywhere(gateway_url: str) -> AsyncIterator[MemoryAPIClient]:
    """The client without a namespace of its own."""
    async with official_client(gateway_url) as made:
        yield made


@pytest.fixture(scope="session")
async def shared(gateway_url: str) -> AsyncIterator[MemoryAPIClient]:
    """Making a client reads all certificates of this machine, so most tests share one."""
    async with official_client(gateway_url) as made:
        yield made


@pytest.fixture
def client(shared: MemoryAPIClient, namespace: str) -> MemoryAPIClient:
    """The client in its own namespace."""
    shared.config.default_namespace = namespace
    return shared
