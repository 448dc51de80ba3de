"""Real Postgres and Redis for tests: embedded, or in containers when a Docker engine answers and they are asked for.

The DATABASE_URL and REDIS_URL of the environment are never used: tests make and drop databases and flush Redis.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from redis import Redis

from agent_memory.embedded.servers import running_servers
from support.databases import lent, make_template


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Two servers that live as long as the test session. `database_url` leads to a database that is not migrated."""

    database_url: str
    redis_url: str


@contextmanager
def started_servers() -> Iterator[Servers]:
    """Both servers with a migrated template database, stopped and removed at the end."""
    start = container_servers if os.environ.get("AGENT_MEMORY_TEST_SERVERS") == "docker" else embedded_servers
    with start() as servers:
        make_template(servers.database_url)
        yield servers


@contextmanager
def fresh_database(servers: Servers) -> Iterator[str]:
    """URL of a migrated, empty database, gone afterwards."""
    with lent(servers.database_url) as url:
        yield url


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A home for one stack. Other users may pass through it, so that Postgres' data can lie inside also for root."""
    folder = Path(tempfile.mkdtemp(prefix="agent-memory-test-"))
    folder.chmod(0o711)
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stack_environment(**given: str) -> dict[str, str]:
    """The environment of a stack in a test: free ports, no servers, keys or exporters of whoever runs the tests."""
    foreign = (
        "DATABASE_URL",
        "REDIS_URL",
        "OPENAI_",
        "EMBEDDING",
        "OTEL_",
        "AGENT_MEMORY_",
        "HOST",
        "PORT",
        "GRPC_PORT",
        "MCP_",
        "DEFAULT_MCP_",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PORT": "0", "GRPC_PORT": "0", **given}


@contextmanager
def embedded_servers() -> Iterator[Servers]:
    """The servers from wheels."""
    with temporary_home() as home, running_servers(home, os.environ) as urls:
        yield Servers(database_url=urls.admin_url, redis_url=urls.redis_url)


@contextmanager
def container_servers() -> Iterator[Servers]:
    """Postgres 18 and Redis 8 in containers. Raises the Docker client's error when no engine answers."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 (only where an engine was asked for)
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

    redis = DockerContainer("redis:8").with_exposed_ports(6379)
    redis.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    with PostgresContainer("postgres:18", driver=None) as postgres, redis:
        yield Servers(
            database_url=postgres.get_connection_url(),
            redis_url=f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0",
        )


def flush(redis_url: str) -> None:
    """Empties Redis, search indexes and their aliases included. (Search works in database 0 only, so tests share it in turn.)"""
    with Redis.from_url(redis_url) as connection:
        connection.flushall()
