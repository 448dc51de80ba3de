"""One stack for the whole folder, and clients in a namespace of each test's own."""

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest
from agent_memory_client import MemoryAPIClient

from agent_memory.embedded.supervisor import Stack
from support.official import official_client
from support.servers import stack_environment, temporary_home


@pytest.fixture(scope="session")
def gateway_url() -> Iterator[str]:
    """A running gateway with all that stands behind it."""
    environment = stack_environment(EMBEDDING_MODEL="hash", READ_WAIT_SECONDS="30")
    with temporary_home() as path, Stack(path, environment=environment) as stack:
        yield stack.http_urls[0]


@pytest.fixture
def namespace() -> str:
    """A namespace that nobody else uses."""
    return f"compat-{token_hex(6)}"


@pytest.fixture
async def client(gateway_url: str, namespace: str) -> AsyncIterator[MemoryAPIClient]:
    """The client in its own namespace."""
    async with official_client(gateway_url, default_namespace=namespace) as made:
        yield made


@pytest.fixture
async def anywhere(gateway_url: str) -> AsyncIterator[MemoryAPIClient]:
    """The client without a namespace of its own."""
    async with official_client(gateway_url) as made:
        yield made
