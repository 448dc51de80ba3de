"""The whole stack as a person meets it: agent-memory up, status, down; and as a program does: Stack with replicas."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from redis import Redis

from agent_memory.contracts.streams import heartbeat_key
from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home
from agent_memory.embedded.processes import birth
from agent_memory.embedded.services import SERVICES
from agent_memory.embedded.state import read_state
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until_now
from support.forks import python
from support.servers import stack_environment, temporary_home


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as path:
        yield path


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with (
        temporary_home() as path,
        Stack(path, environment=stack_environment(EMBEDDING_MODEL="hash"), replicas={"gateway": 2, "indexer": 2}) as started,
    ):
        yield started


def command(home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs agent-memory to its end."""
    given = stack_environment(AGENT_MEMORY_HOME=str(home), EMBEDDING_MODEL="hash", **environment)
    argv = python("agent_memory.cli.main", *arguments)
    return subprocess.run(argv, env=given, capture_output=True, text=True, check=False, timeout=180)


def answers(url: str) -> bool:
    with urlopen(url, timeout=60) as answer:
        return bool(answer.status == 200)


def test_up_in_the_background_is_ready_when_it_returns_and_down_leaves_nothing(home: Path) -> None:
    started = command(home, "up", "--detach", "--json")
    assert started.returncode == 0, started.stderr
    try:
        shown = command(home, "status", "--json")
        seen = json.loads(shown.stdout)
        again = command(home, "up", "--detach")
        table = command(home, "status")
    finally:
        stopped = command(home, "down", "--json")

    names = {process["name"] for process in seen["processes"]}
    assert shown.returncode == 0
    assert {"supervisor", "nursery", "postgres", "redis", *(service.name for service in SERVICES)} == names
    assert all(process["ready"] and process["memory_bytes"] > 0 for process in seen["processes"])
    assert (json.loads(started.stdout)["http_urls"], json.loads(started.stdout)["ready"]) == (seen["http_urls"], True)
    assert "gateway" in table.stdout
    assert again.returncode == 1
    assert "already runs" in again.stderr
    assert (stopped.returncode, json.loads(stopped.stdout)) == (0, {"home": str(home), "stopped": True})
    assert not [process["name"] for process in seen["processes"] if birth(process["pid"])]


def test_status_and_down_say_when_nothing_runs(home: Path) -> None:
    status = command(home, "status")
    down = command(home, "down")

    assert status.returncode == 3
    assert "agent-memory up" in status.stderr
    assert (down.returncode, "nothing runs" in down.stderr) == (0, True)


def test_ctrl_c_stops_a_stack_in_the_foreground_cleanly(home: Path) -> None:
    environment = stack_environment(AGENT_MEMORY_HOME=str(home), EMBEDDING_MODEL="hash")
    argv = [sys.executable, "-m", "agent_memory.cli.main", "up"]
    foreground = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert foreground.stdout is not None
    with foreground.stdout as spoken:
        told = ""
        while line := spoken.readline():
            told += line
            if line.startswith("Ready"):
                break
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(120) == 0

    state = read_state(Home(path=home))
    assert "Ctrl-C stops it" in told
    assert state is not None
    assert state.phase == "stopped"
    assert not any(process.alive for process in state.processes)


def test_a_taken_port_is_named_with_the_variable_that_moves_it(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        refused = command(home, "up", PORT=port)

    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert "set PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_every_replica_of_the_gateway_answers(stack: Stack) -> None:
    assert len(stack.http_urls) == 2
    assert all(answers(f"{url}/v1/health") for url in stack.http_urls)


def test_a_killed_service_is_started_again_and_counted(stack: Stack) -> None:
    before = {process.name: process.restarts for process in stack.state.processes}
    killed = {name: stack.kill(name) for name in ("ingest", "indexer-2", "gateway")}
    stack.wait_ready(90)
    after = {process.name: process for process in stack.state.processes}

    assert all(after[name].restarts == before[name] + 1 for name in killed)
    assert all(after[name].pid != pid for name, pid in killed.items())
    assert all(answers(f"{url}/ready") for url in stack.http_urls)


def test_replicas_come_and_go_while_the_stack_runs(stack: Stack) -> None:
    before = stack.pids()
    name = stack.grow("indexer")
    stack.wait_ready(60)
    grown = stack.pids()
    with Redis.from_url(stack.redis_url, decode_responses=True) as redis:
        wait_until_now(lambda: any(f"-{grown[name]}-" in one for one in redis.hkeys(heartbeat_key("indexer"))), "it is heard of")
    retired = {one: stack.retire(one, number) for one, number in (("indexer-2", signal.SIGTERM), (name, signal.SIGKILL))}
    again = stack.grow("indexer")
    stack.wait_ready(60)

    assert (name, again) == ("indexer-3", "indexer-2")
    assert retired == {one: grown[one] for one in retired}
    assert not any(birth(pid) for pid in retired.values())
    assert stack.pids().keys() == before.keys()
    with pytest.raises(StackError, match="nothing named indexer-3 runs"):
        stack.kill(name)
    with pytest.raises(StackError, match="postgres is no background service"):
        stack.grow("postgres")


def test_a_killed_nursery_and_its_services_are_started_again(stack: Stack) -> None:
    before = stack.pids()
    stack.kill("nursery")
    stack.wait_ready(90)
    after = stack.pids()

    assert {name for name in before if before[name] == after[name]} == {"postgres", "redis"}
    assert all(answers(f"{url}/ready") for url in stack.http_urls)


def test_the_nursery_has_one_thread_and_one_connection_because_a_fork_loses_threads_and_shares_connections(stack: Stack) -> None:
    nursery = Path(f"/proc/{stack.pids()['nursery']}")
    open_files = [os.readlink(descriptor) for descriptor in (nursery / "fd").iterdir()]

    assert len(list((nursery / "task").iterdir())) == 1
    assert len({name for name in open_files if name.startswith("socket:")}) == 1
    assert not any("epoll" in name for name in open_files)


def test_replicas_forked_from_one_process_are_told_apart(stack: Stack) -> None:
    with Redis.from_url(stack.redis_url, decode_responses=True) as redis:
        names = [name for service in ("gateway", "indexer", "ingest") for name in redis.hkeys(heartbeat_key(service))]
    pids = [stack.pids()[name] for name in ("gateway", "gateway-2", "indexer", "indexer-2", "ingest")]

    assert len(set(names)) == len(names)
    assert all(any(f"-{pid}-" in name for name in names) for pid in pids)


def test_services_ride_out_the_death_of_both_servers(stack: Stack) -> None:
    services = {process.name: process.restarts for process in stack.state.processes if process.role != "server"}
    stack.kill("postgres")
    stack.kill("redis")
    stack.wait_ready(60)
    wait_until_now(lambda: all(_is_ready(url) for url in stack.http_urls), "the gateways are ready again", timeout=60)

    assert {process.name: process.restarts for process in stack.state.processes if process.role != "server"} == services


def test_background_work_is_niced_and_what_people_wait_for_is_not(stack: Stack) -> None:
    own = os.nice(0)
    nice = {name: os.getpriority(os.PRIO_PROCESS, pid) - own for name, pid in stack.pids().items()}

    assert {nice[name] for name in ("gateway", "ingest", "postgres", "redis")} == {0}
    assert {nice[name] for name in ("indexer", "rollup", "compactor", "summarizer", "scheduler")} == {10}


def _is_ready(url: str) -> bool:
    try:
        return answers(f"{url}/ready")
    except OSError:
        return False
