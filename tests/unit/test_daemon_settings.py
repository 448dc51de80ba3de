"""Settings of memory-daemon: defaults, then the file, then the environment, then options."""

import os
from pathlib import Path

import pytest

from agent_memory.cli.daemon.pidfile import write_pid
from agent_memory.cli.daemon.settings import BadConfig, DaemonSettings, Reach, config_path, load_settings
from agent_memory.embedded.home import Home
from agent_memory.embedded.processes import birth
from agent_memory.embedded.state import StackState, write_state


def test_each_source_holds_over_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "agent-memory" / "config.toml"
    here = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert config_path(here) == file
    assert load_settings(here) == DaemonSettings()
    file.parent.mkdir()
    file.write_text('grpc_port = 1\nlog_level = "warn"\nnamespace = "file"\n[summarizer]\nmodel = "x"\n')
    assert load_settings(here) == DaemonSettings(grpc_port=1, log_level="warn", namespace="file")
    told = {**here, "MEMORY_GRPC_PORT": "2", "MEMORY_LOG_LEVEL": "ERROR", "MEMORY_DAEMON_ADDR": "http://a:1"}
    assert load_settings(told) == DaemonSettings(grpc_port=2, log_level="error", namespace="file", endpoint="http://a:1")
    assert load_settings(told, grpc_port=3, log_level=None).grpc_port == 3


def test_a_file_that_is_named_must_be_there_and_one_that_is_usual_need_not(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"none\.toml cannot be read"):
        load_settings({}, tmp_path / "none.toml")


@pytest.mark.parametrize("content", ["= =", "grpc_port = 'x'", "grpc_port = 70000", 'log_level = "loud"', "db_path = 3"])
def test_what_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content)
    with pytest.raises(BadConfig, match=r"config\.toml|grpc_port|log_level|db_path"):
        load_settings({}, file)


def test_a_number_in_the_environment_is_one() -> None:
    with pytest.raises(BadConfig, match="MEMORY_GRPC_PORT is a number, not 'x'"):
        load_settings({"MEMORY_GRPC_PORT": "x", "XDG_CONFIG_HOME": "/none"})


def test_the_home_in_the_environment_is_nearer_than_the_one_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('db_path = "/in/file"')
    here = {"AGENT_MEMORY_HOME": "/in/environment"}
    assert load_settings({}, file).home({}).path == Path("/in/file")
    assert load_settings(here, file).home(here).path == Path("/in/environment")
    assert load_settings(here, file, db_path="/typed").home(here).path == Path("/typed")
    assert load_settings({**here, "MEMORY_DB_PATH": "/named"}, file).home(here).path == Path("/named")


def test_the_endpoint_is_the_one_that_is_set_or_that_of_the_port() -> None:
    here = {"AGENT_MEMORY_HOME": "/does/not/exist", "XDG_RUNTIME_DIR": "/does/not/exist"}
    assert DaemonSettings(endpoint="http://a:1", ca_file="c").reach(here) == Reach(endpoint="http://a:1", ca_file="c")
    assert DaemonSettings(grpc_port=9999).reach(here).endpoint == "http://[::1]:9999"
    assert DaemonSettings().reach(here).endpoint == "http://[::1]:50051"
    assert DaemonSettings(db_path="/data/db").home(here).path == Path("/data/db")


@pytest.mark.parametrize(
    ("spoken", "reach"),
    [
        ({}, Reach(endpoint="http://127.0.0.1:7")),
        ({"grpc_host": "[::1]"}, Reach(endpoint="http://[::1]:7")),
        ({"grpc_host": "10.1.1.1"}, Reach(endpoint="http://10.1.1.1:7")),
        ({"grpc_certificate": "/c.pem"}, Reach(endpoint="https://localhost:7", ca_file="/c.pem")),
        (
            {"grpc_certificate": "/c.pem", "grpc_host": "memory.example"},
            Reach(endpoint="https://memory.example:7", ca_file="/c.pem"),
        ),
    ],
)
def test_a_stack_that_runs_here_is_reached_as_it_speaks(tmp_path: Path, spoken: dict[str, str], reach: Reach) -> None:
    pid, born = os.getpid(), birth(os.getpid())
    state = StackState(phase="ready", pid=pid, born=born, home=str(tmp_path), started_ms=1, grpc_port=7, **spoken)
    write_state(Home(path=tmp_path), state)
    assert DaemonSettings().reach({"AGENT_MEMORY_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}) == reach
    # One that was started in another home is named by its file.
    write_pid(tmp_path / "agent-memory" / "daemon.pid", pid, Home(path=tmp_path))
    assert DaemonSettings().reach({"AGENT_MEMORY_HOME": "/does/not/exist", "XDG_RUNTIME_DIR": str(tmp_path)}) == reach
