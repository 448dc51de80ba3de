"""`agent-memory api` and `task-worker` as processes: on servers that are elsewhere, and with all that they need."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_memory.client import SyncMemoryClient
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.probes import is_healthy
from support.controls import wait_until_now
from support.databases import named
from support.forks import python
from support.servers import Servers, stack_environment, temporary_home

Running = subprocess.Popen[str]


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator[Running]:
    """A command that goes on until it is told to stop."""
    process = subprocess.Popen(
        python("agent_memory.cli.main", *arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


def test_an_api_and_a_worker_that_share_nothing_but_servers_serve_together(servers: Servers, redis_url: str, home: Path) -> None:
    # A database that nobody has made yet: both may be the first.
    database = named(servers.database_url, f"test_{secrets.token_hex(6)}")
    port = free_port()
    environment = stack_environment(
        EMBEDDING_MODEL="hash", DATABASE_URL=database, REDIS_URL=redis_url, AGENT_MEMORY_HOME=str(home), WORK_AT_ONCE="1"
    )
    worker = ("task-worker", "--concurrency", "5", "--redelivery-timeout", "60")
    with running(environment, *worker), running(environment, "api", "--port", str(port), "--host", "127.0.0.1"):
        url = f"http://127.0.0.1:{port}"
        wait_until_now(lambda: is_healthy(f"{url}/ready"), "the api is ready", 60)
        with SyncMemoryClient(url) as client:
            written = client.create_long_term_memory([{"id": "m1", "text": "Ferries sail at noon"}])
            assert client.search_long_term_memory("ferries", mode="keyword", min_position=written.position).total == 1
    assert (home / "workers" / "1" / "logs" / "summarizer.log").exists()


def test_an_api_without_a_worker_elsewhere_starts_all_it_needs(home: Path) -> None:
    port = free_port()
    environment = stack_environment(EMBEDDING_MODEL="hash", AGENT_MEMORY_HOME=str(home))
    with running(environment, "api", "--port", str(port), "--no-worker") as process:
        assert process.stdout is not None
        wait_until_now(lambda: "Ready." in process.stdout.readline(), "all is ready", 90)
        with SyncMemoryClient(f"http://127.0.0.1:{port}") as client:
            assert client.append_messages("s1", [{"role": "user", "content": "hello"}]).position > 0


@pytest.mark.parametrize("command", ["api", "task-worker"])
def test_without_servers_it_is_told_what_to_do(home: Path, command: str) -> None:
    environment = {**os.environ, **stack_environment(AGENT_MEMORY_HOME=str(home))}
    done = subprocess.run(
        python("agent_memory.cli.main", command), env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "set DATABASE_URL and REDIS_URL" in done.stderr
