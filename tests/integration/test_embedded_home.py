"""The home of a one-machine stack: whose it is, and what people are told when it cannot be used."""

import errno
import os
import random
import socket
import stat
from pathlib import Path

import pytest

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.home import held, home_path, is_held, open_home, secrets_of
from agent_memory.embedded.ports import free_port, require_free
from agent_memory.embedded.processes import birth, is_alive
from agent_memory.embedded.running import last_line
from agent_memory.embedded.state import ProcessState, StackState, read_state, write_state
from support.servers import temporary_home


def test_the_home_is_the_users_data_folder_unless_the_environment_names_one() -> None:
    assert home_path({}) == Path.home() / ".local" / "share" / "agent-memory"
    assert home_path({"AGENT_MEMORY_HOME": "/srv/memory/"}) == Path("/srv/memory")


def test_two_stacks_cannot_use_one_home() -> None:
    with temporary_home() as path, held(home := open_home(path)):
        assert is_held(home)
        with pytest.raises(StackError, match="already runs") as refused, held(home):
            pass

    assert "agent-memory down" in refused.value.hint


def test_passwords_are_made_once_and_readable_by_their_owner_only() -> None:
    with temporary_home() as path:
        home = open_home(path)
        first = secrets_of(home)
        mode = stat.S_IMODE((path / "secrets.json").stat().st_mode)

        assert secrets_of(home) == first
        assert mode == 0o600
        assert first.postgres != first.redis


def test_a_file_in_the_way_of_the_home_is_named() -> None:
    with temporary_home() as path:
        path.write_text("not a folder")
        with pytest.raises(StackError, match=f"{path} is not a folder") as refused:
            open_home(path)

    assert "AGENT_MEMORY_HOME" in refused.value.hint


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "read-only file system"),
        (errno.EACCES, "cannot be written by this user"),
        (errno.ENOSPC, "full disk"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_each_reason_why_a_folder_cannot_be_used_has_its_own_words(number: int, words: str) -> None:
    assert words in folder_error(Path("/srv/memory"), OSError(number, "")).text


def test_a_taken_port_is_named_together_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is taken") as refused:
            require_free(port, "GRPC_PORT")

    assert "GRPC_PORT" in refused.value.hint


def test_a_host_that_is_not_of_this_machine_is_named() -> None:
    with pytest.raises(StackError, match=r"HOST=192\.0\.2\.1"):
        require_free(free_port(), "PORT", "192.0.2.1")


def test_a_port_that_was_given_away_is_not_given_again_before_its_owner_listens() -> None:
    random.seed(7)
    first = free_port()
    random.seed(7)
    assert free_port() != first


def test_a_preferred_port_is_kept_when_it_is_free() -> None:
    port = free_port()

    assert free_port(port) == port


def test_a_process_that_was_given_the_number_of_another_is_not_taken_for_it() -> None:
    born = birth(os.getpid())

    assert is_alive(os.getpid(), born)
    assert not is_alive(os.getpid(), "1")
    assert not is_alive(os.getpid(), None)


def test_a_state_survives_being_written_and_one_that_is_damaged_counts_as_none() -> None:
    with temporary_home() as path:
        home = open_home(path)
        assert read_state(home) is None
        process = ProcessState(name="redis", role="server", pid=1, born="7", port=6379, restarts=2, ready=True)
        state = StackState(phase="ready", pid=2, born="8", home=str(path), started_ms=9, processes=[process])
        write_state(home, state)
        assert read_state(home) == state
        home.state.write_text('{"phase": ')
        assert read_state(home) is None


def test_the_last_words_of_a_log_are_told_without_json_or_traceback() -> None:
    with temporary_home() as path:
        home = open_home(path)
        log = home.logs / "ingest.log"
        log.write_text('starting\n{"event": "failed", "exception": "Traceback:\\n  File x\\nValueError: no"}\n')
        assert last_line(log) == "failed: ValueError: no"
        log.write_text("plain words\n\n")
        assert last_line(log) == "plain words"
        assert last_line(home.logs / "absent.log") == ""
