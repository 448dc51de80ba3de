"""The supervisor with its servers alone: what survives a restart, a killed server, a killed supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home
from agent_memory.embedded.postgres import MAJOR
from agent_memory.embedded.services import SERVICES
from agent_memory.embedded.state import StackState, read_state
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until_now
from support.servers import stack_environment, temporary_home

NO_SERVICES = {service.name: 0 for service in SERVICES}
ENVIRONMENT = {"EMBEDDING_MODEL": "hash"}


@pytest.fixture
def new_home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """Where a stack has run and was stopped."""
    with temporary_home() as path:
        with servers_only(path):
            pass
        yield path


@pytest.fixture
def home(used_home: Path) -> Iterator[Path]:
    """A copy of it, and of who owns what in it: making a cluster takes longer than most tests."""
    with temporary_home() as path:
        subprocess.run(["cp", "-a", str(used_home), str(path)], check=True)
        yield path


def servers_only(home: Path, **environment: str) -> Stack:
    return Stack(home, environment=stack_environment(**{**ENVIRONMENT, **environment}), replicas=NO_SERVICES)


def remember(stack: Stack) -> None:
    with psycopg.connect(stack.database_url) as connection:
        connection.execute("CREATE TABLE remembered (what text)")
        connection.execute("INSERT INTO remembered VALUES ('a fact')")
    with Redis.from_url(stack.redis_url) as redis:
        redis.xadd("remembered", {"what": "a fact"})
        redis.execute_command("WAITAOF", "1", "0", "0")


def assert_remembered(database_url: str, redis_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT what FROM remembered").fetchall() == [("a fact",)]
    with Redis.from_url(redis_url) as redis:
        assert redis.xlen("remembered") == 1


def test_a_second_start_keeps_all_data_and_the_ports(new_home: Path) -> None:
    with servers_only(new_home) as stack:
        remember(stack)
        first = stack.state
    with servers_only(new_home) as stack:
        assert_remembered(stack.database_url, stack.redis_url)
        assert [process.port for process in stack.state.processes] == [process.port for process in first.processes]


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_a_killed_server_is_back_on_the_same_port_with_its_data(home: Path, server: str) -> None:
    with servers_only(home) as stack:
        remember(stack)
        killed = stack.kill(server)
        stack.wait_ready()
        process = next(process for process in stack.state.processes if process.name == server)

        assert process.pid != killed
        assert process.restarts == 1
        assert_remembered(stack.database_url, stack.redis_url)


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_finds_all_data(home: Path) -> None:
    environment = stack_environment(**ENVIRONMENT, AGENT_MEMORY_HOME=str(home))
    supervisor = subprocess.Popen([sys.executable, "-c", _SERVERS_ONLY], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until_now(lambda: _phase(home) == "ready", "the supervisor is ready", timeout=60)
        state = read_state(Home(path=home))
        assert state is not None
        with psycopg.connect(state.database_url) as connection:
            connection.execute("CREATE TABLE remembered (what text)")
    finally:
        supervisor.kill()
        supervisor.wait()

    wait_until_now(lambda: not any(process.alive for process in state.processes), "its children are gone", timeout=30)
    with servers_only(home) as stack, psycopg.connect(stack.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM remembered").fetchone() == (0,)


def test_sigterm_stops_everything_in_order_and_says_so(home: Path) -> None:
    environment = stack_environment(**ENVIRONMENT, AGENT_MEMORY_HOME=str(home))
    supervisor = subprocess.Popen([sys.executable, "-c", _SERVERS_ONLY], env=environment, stderr=subprocess.DEVNULL)
    wait_until_now(lambda: _phase(home) == "ready", "the supervisor is ready", timeout=60)
    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(60) == 0
    assert _phase(home) == "stopped"
    assert "database system is shut down" in (home / "logs" / "postgres.log").read_text()


def test_a_second_stack_in_the_same_home_is_refused_and_harms_nothing(home: Path) -> None:
    with servers_only(home) as stack:
        with pytest.raises(StackError, match="already runs"):
            servers_only(home).start()
        assert stack.is_ready()
        assert read_state(Home(path=home)) == stack.state


def test_a_wrong_setting_stops_the_start_and_is_named_also_in_the_state(new_home: Path) -> None:
    with pytest.raises(StackError, match="PORT='x'"):
        servers_only(new_home, PORT="x").start()
    state = read_state(Home(path=new_home))
    assert isinstance(state, StackState)
    assert state.phase == "failed"
    assert "PORT" in state.error


def test_data_of_another_major_version_is_refused(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").write_text("12\n")

    with pytest.raises(StackError, match=f"written by Postgres 12, this is {MAJOR}"):
        servers_only(home).start()


def test_a_stale_lock_file_of_postgres_does_not_keep_it_from_starting(home: Path) -> None:
    data = home / "postgres"
    # The number of a process that lives but is no Postgres, as happens after a container was started again.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n\n127.0.0.1\n0 0\nready\n")

    with servers_only(home) as stack:
        assert stack.is_ready()


def test_servers_of_the_environment_are_used_instead_of_own_ones(new_home: Path, database_url: str, redis_url: str) -> None:
    with servers_only(new_home, DATABASE_URL=database_url, REDIS_URL=redis_url) as stack:
        assert stack.pids() == {}
        assert (stack.database_url, stack.redis_url) == (database_url, redis_url)


def test_a_database_that_cannot_be_reached_is_told_in_one_line(new_home: Path, redis_url: str) -> None:
    with pytest.raises(StackError, match="the database cannot be prepared") as refused:
        servers_only(new_home, DATABASE_URL="postgresql://127.0.0.1:1/none", REDIS_URL=redis_url).start()

    assert "\n" not in refused.value.text


_SERVERS_ONLY = f"""
from agent_memory.embedded.serve import serve
from agent_memory.embedded.supervisor import Stack
serve(Stack(replicas={NO_SERVICES!r}), lambda stack: None, lambda: None)
"""


def _phase(home: Path) -> str:
    state = read_state(Home(path=home))
    return state.phase if state else ""
