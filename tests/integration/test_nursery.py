"""Services that are forked from one process: they are what `python -m` would have made of them, and their end is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.nursery import Nursery
from agent_memory.embedded.processes import Launch, Process, birth, is_alive
from support.controls import wait_until_now

SHOW = """
import os, sys, signal
own_session = os.getsid(0) == os.getpid()
print(__name__, sys.argv[1:], os.getcwd(), os.environ.get("GIVEN"), os.environ.get("SHARED"), os.nice(0), own_session)
print("to the error output", file=sys.stderr)
if sys.argv[1:] == ["wait"]:
    sys.stdout.flush()
    signal.pause()
sys.exit(int(os.environ.get("CODE", "0")))
"""

IMPORTED = """
import atexit, os
atexit.register(lambda: "TIDY" in os.environ and print("tidied", flush=True))
"""


LEAVE = """
import atexit, sys, threading, time
if __name__ == "__main__":
    atexit.register(lambda: print("put away", flush=True))
    begun = threading.Event()
    thread = threading.Thread(target=lambda: (begun.wait(), print("done", flush=True)))
    thread.start()
    begun.set()
    sys.stdout = open(1, "w", buffering=1000, closefd=False)
    print("held back", end="")
    sys.exit("out of paper" if sys.argv[1:] else 5)
"""


class Room:
    """A folder with a module to run, `shown`, and a nursery that has imported it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "SHARED": "yes", "PYTHONUNBUFFERED": "1"}
        self.nursery = Nursery()
        (folder / "shown.py").write_text(f"exec({SHOW!r} if __name__ == '__main__' else {IMPORTED!r})\n")

    def open(self, *modules: str) -> Process:
        argv = (sys.executable, "-m", "agent_memory.embedded.nursery_process", *modules)
        return self.nursery.open(Launch(argv=argv, environment=self.environment, log=self.folder / "nursery.log"))

    def launch(self, *arguments: str, nice: int = 0, module: str = "shown", **given: str) -> Launch:
        return Launch(
            argv=(sys.executable, "-m", module, *arguments),
            environment={**self.environment, **given},
            log=self.folder / "service.log",
            folder=self.folder,
            nice=nice,
        )

    def log(self) -> str:
        return (self.folder / "service.log").read_text()

    def waiting(self) -> Process:
        """A service that runs until it is told to stop."""
        process = self.nursery.hatch(self.launch("wait"))
        wait_until_now(lambda: "__main__" in self.log(), "the service says what it is")
        return process


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    made.open("shown")
    wait_until_now(made.nursery.is_ready, "the nursery has imported everything", timeout=30)
    yield made
    made.nursery.close()
    assert made.nursery.process is not None
    made.nursery.process.wait(10)


def test_a_service_is_what_starting_its_module_would_have_made_of_it(room: Room) -> None:
    process = room.nursery.hatch(room.launch("one", "two", nice=3, GIVEN="too"))

    assert process.wait(10) == 0
    assert room.log() == f"__main__ ['one', 'two'] {room.folder} too yes {os.nice(0) + 3} True\nto the error output\n"


@pytest.mark.parametrize(("arguments", "code"), [((), 5), (("fail",), 1)])
def test_a_service_that_leaves_waits_for_its_threads_puts_things_away_and_says_all(
    room: Room, arguments: tuple[str, ...], code: int
) -> None:
    (room.folder / "leaving.py").write_text(LEAVE)
    assert room.nursery.hatch(room.launch(*arguments, module="leaving", TIDY="yes")).wait(10) == code
    said = ["done", "put away", "tidied", "held back", *(["out of paper"] if code == 1 else [])]
    assert [room.log().count(each) for each in said] == [1] * len(said)


def test_the_exit_code_of_a_service_is_told(room: Room) -> None:
    assert room.nursery.hatch(room.launch(CODE="7")).wait(10) == 7


def test_a_module_that_is_not_there_fails_in_the_log_of_its_service(room: Room) -> None:
    assert room.nursery.hatch(room.launch(module="nowhere_to_be_found")).wait(10) == 1
    assert "nowhere_to_be_found" in room.log()


def test_a_killed_service_is_told_with_its_signal_and_the_others_live(room: Room) -> None:
    killed, other = room.waiting(), room.waiting()
    killed.kill()

    assert killed.wait(10) == -signal.SIGKILL
    assert other.poll() is None


def test_a_service_that_is_stopped_before_it_listens_for_that_ends_with_success(room: Room) -> None:
    stopped = room.waiting()
    stopped.send_signal(signal.SIGTERM)

    assert stopped.wait(10) == 0


def test_services_end_with_a_killed_nursery_and_a_new_one_serves_again(room: Room) -> None:
    service = room.waiting()
    nursery = room.nursery
    killed = nursery.process
    assert killed is not None
    killed.kill()

    assert service.wait(10) == -signal.SIGKILL
    assert not nursery.is_ready()
    with pytest.raises(StackError):
        nursery.hatch(room.launch())
    killed.wait(10)
    room.open("shown")
    wait_until_now(nursery.is_ready, "the second nursery is ready", timeout=30)
    assert nursery.hatch(room.launch()).wait(10) == 0


def test_a_nursery_that_does_not_answer_is_ended(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_memory.embedded.nursery.FORK_SECONDS", 0.2)
    process = room.nursery.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)

    with pytest.raises(StackError, match="did not answer"):
        room.nursery.hatch(room.launch())
    assert process.wait(10) == -signal.SIGKILL


def test_nothing_outlives_the_program_that_opened_a_nursery(tmp_path: Path) -> None:
    program = _OPENER.format(executable=sys.executable, log=str(tmp_path / "log"), environment=dict(os.environ))
    opener = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert opener.stdout is not None
    with opener.stdout as told:
        pids = [int(pid) for pid in told.readline().split()]
    births = [birth(pid) for pid in pids]
    opener.kill()
    opener.wait()

    assert len(pids) == 2
    wait_until_now(lambda: not any(is_alive(*one) for one in zip(pids, births, strict=True)), "both processes are gone")


_OPENER = """
import pathlib, signal
from agent_memory.embedded.nursery import Nursery
from agent_memory.embedded.processes import Launch
def launch(*words):
    return Launch(argv=({executable!r}, "-m", *words), environment={environment!r}, log=pathlib.Path({log!r}))
nursery = Nursery()
process = nursery.open(launch("agent_memory.embedded.nursery_process"))
while not nursery.is_ready():
    pass
print(process.pid, nursery.hatch(launch("http.server", "0", "--bind", "127.0.0.1")).pid, flush=True)
signal.pause()
"""
