"""Child processes that never outlive their parent, and what the kernel knows about a process."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from agent_memory.embedded.errors import folder_error

_LAUNCHER = str(Path(__file__).with_name("launch.py"))
STOP_SECONDS = 20.0
"""What a service may take to stop: ten seconds for what it is doing, five for what it has taken, and some to end."""
KILLED_SECONDS = 30.0
"""Longest that the kernel is given to take away a killed process (one that hangs in a disk)."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The unprivileged account that a server runs as when the stack is started by root."""

    name: str
    uid: int
    gid: int


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start one process. It runs in `folder`, in a session of its own, so that Ctrl-C reaches only its parent.

    `death_signal` is what the kernel sends when the thread that started it ends, however that comes about.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    folder: Path = Path("/")
    user: User | None = None
    nice: int = 0
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGKILL
    grace_seconds: float = STOP_SECONDS


class Process(Protocol):
    """A process that was started here, as `subprocess.Popen` shows it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, None while it lives."""

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""

    def send_signal(self, number: int, /) -> None:
        """To this very process; none when it has ended."""

    def kill(self) -> None:
        """Ends it at once."""


class Polled(ABC):
    """A `Process` of which `poll` is all that is known how to do."""

    pid: int
    returncode: int | None

    @abstractmethod
    def poll(self) -> int | None:
        """The exit code, negative for a signal, None while it lives."""

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        if not until(lambda: self.poll() is not None, timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """To this very process; none when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


class Spawn(Protocol):
    """How a process is started: `spawn`, or what stands in for it."""

    def __call__(self, launch: Launch, *, standard_input: int = ...) -> Process:
        """Starts it. Raises StackError."""


def as_user(argv: Iterable[str], *, user: User | None, nice: int = 0, death_signal: int = signal.SIGKILL) -> list[str]:
    """The command line that runs `argv` through the launcher."""
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    settings = (os.getpid(), int(death_signal), nice, uid, gid)
    return [sys.executable, "-I", "-S", _LAUNCHER, *(str(number) for number in settings), *argv]


def open_log(log: Path) -> int:
    """A descriptor that appends to the log. Raises StackError when it cannot be written."""
    try:
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise folder_error(log, error) from error


def spawn(launch: Launch, *, standard_input: int = subprocess.DEVNULL) -> Process:
    """Starts the process; its output goes to the end of the log file. Raises StackError when the log cannot be written.

    Call it from a thread that lives as long as the process shall.
    """
    log = open_log(launch.log)
    try:
        return subprocess.Popen(
            as_user(launch.argv, user=launch.user, nice=launch.nice, death_signal=launch.death_signal),
            stdin=standard_input,
            stdout=log,
            stderr=log,
            env=dict(launch.environment),
            cwd=launch.folder,
            start_new_session=True,
        )
    finally:
        os.close(log)


def stop(processes: Iterable[tuple[Process, Launch]]) -> None:
    """Asks all of them to end at once, waits for each one's grace, then kills those that are left."""
    asked = [(process, launch) for process, launch in processes if process.poll() is None]
    for process, launch in asked:
        process.send_signal(launch.stop_signal)
    begun = time.monotonic()
    for process, launch in asked:
        try:
            process.wait(max(0.0, begun + launch.grace_seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(KILLED_SECONDS)


def until(predicate: Callable[[], bool], timeout_seconds: float, *, every_seconds: float = 0.02) -> bool:
    """Whether the predicate came true in time."""
    deadline = time.monotonic() + timeout_seconds
    while not predicate():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every_seconds)
    return True


def birth(pid: int) -> str | None:
    """When a process was born, in the kernel's own words, or None when there is none. With the pid it is an identity."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if sys.platform == "linux" else _birth_by_ps(pid)
    except ProcessLookupError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _birth_by_ps(pid: int) -> str | None:
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def is_alive(pid: int, born: str | None) -> bool:
    """Whether this very process still runs, and not another one that was given its number."""
    return born is not None and birth(pid) == born


def memory_bytes(pid: int, *, apart: Collection[int] = ()) -> int:
    """Proportional memory of a process and its children (shared pages are counted once in all), 0 when it cannot be read.

    Without those of its children that are counted `apart`.
    """
    total = 0
    for one in (pid, *_descendants(pid, apart)):
        try:
            total += _kilobytes(Path(f"/proc/{one}/smaps_rollup"), "Pss:") * 1024
        except PermissionError:
            total += _kilobytes(Path(f"/proc/{one}/status"), "VmRSS:") * 1024
    return total


def _kilobytes(file: Path, label: str) -> int:
    try:
        for line in file.read_text().splitlines():
            if line.startswith(label):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0


def _descendants(pid: int, apart: Collection[int]) -> list[int]:
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in listing.read_text().split()]
        except OSError:
            continue
        for child in children:
            if child not in apart:
                found += [child, *_descendants(child, apart)]
    return found
