"""Services that share their imports: each is forked from one process, the nursery, that has imported what all of them need.

Ten processes that import the same libraries one by one are ten times two seconds of work at every start, and ten copies in memory.
A service dies with the nursery, as everything dies with the supervisor; both are started again.
"""

import os
import signal
import socket
import time

import msgspec

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.processes import Launch, Polled, Process, Spawn, birth, is_alive, open_log, spawn, until

MOST_BYTES = 100_000
FORK_SECONDS = 30.0
TOLD_SECONDS = 2.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to fork. `environment` and `unset` are differences to the nursery's own; the log's descriptor comes with the message."""

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    unset: list[str]
    folder: str
    nice: int
    parent: int


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Everything is imported."""


class Born(msgspec.Struct, frozen=True, kw_only=True, tag="born"):
    """The answer to an order."""

    pid: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """A service ended with this exit code, or by the signal `-code`."""

    pid: int
    code: int


_decode = msgspec.json.Decoder(Ready | Born | Ended).decode


class Nursery:
    """The supervisor's end. Opens nothing before `open`; call it from one thread only. `process` is the last one opened."""

    def __init__(self, spawn: Spawn = spawn) -> None:
        self.process: Process | None = None
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._launch: Launch | None = None
        self._ready = False
        self._codes: dict[int, int] = {}

    def open(self, launch: Launch) -> Process:
        """Starts the nursery's process (again). Raises StackError when its log cannot be written."""
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = self._spawn(launch, standard_input=theirs.fileno())
        self._socket, self._launch = ours, launch
        return self.process

    def is_ready(self) -> bool:
        """Whether it can fork now."""
        self._listen()
        return self._ready and self._socket is not None

    def hatch(self, launch: Launch) -> "Hatched":
        """Forks what `launch` would start (`python -m MODULE …`). Raises StackError when the nursery is gone or does not answer."""
        log = open_log(launch.log)
        try:
            pid = self._order(launch, log)
        finally:
            os.close(log)
        return Hatched(self, pid)

    def close(self) -> None:
        """Ends the nursery, if it still lives, and with it all that it forked."""
        self._ready = False
        if self._socket:
            self._socket.close()
            self._socket = None
        if self.process and self.process.poll() is None:
            self.process.kill()

    def code_of(self, pid: int) -> int | None:
        """How a service ended, None while it lives or when that was never told."""
        self._listen()
        return self._codes.get(pid)

    def tells(self, pid: int) -> bool:
        """Whether it was told how a service ended, or never will be."""
        return self.code_of(pid) is not None or self._socket is None

    def _order(self, launch: Launch, log: int) -> int:
        if self._socket is None or self._launch is None or self.process is None:
            raise StackError("the nursery is not there")
        own = self._launch.environment
        order = Order(
            name=launch.log.stem,
            module=launch.argv[2],
            arguments=launch.argv[3:],
            environment={name: value for name, value in launch.environment.items() if own.get(name) != value},
            unset=[name for name in own if name not in launch.environment],
            folder=str(launch.folder),
            nice=launch.nice,
            parent=self.process.pid,
        )
        try:
            socket.send_fds(self._socket, [msgspec.json.encode(order)], [log])
        except OSError as error:
            raise StackError(f"the nursery takes no orders: {error}") from error
        return self._born()

    def _born(self) -> int:
        deadline = time.monotonic() + FORK_SECONDS
        while self._socket and (left := deadline - time.monotonic()) > 0:
            born = self._hear(left)
            if born:
                # The number may have belonged to one that ended long ago.
                self._codes.pop(born, None)
                return born
        self.close()
        raise StackError("the nursery did not answer")

    def _listen(self) -> None:
        """Takes in all that was said so far."""
        while self._socket:
            try:
                self._hear(0.0)
            except BlockingIOError:
                return

    def _hear(self, seconds: float) -> int:
        """One message, 0 unless it tells of a birth. Raises BlockingIOError when there is none and `seconds` is 0."""
        if self._socket is None:
            return 0
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(MOST_BYTES)
        except (TimeoutError, ConnectionError):
            message = b""
        if not message:
            self.close()
            return 0
        match _decode(message):
            case Ready():
                self._ready = True
            case Ended(pid=pid, code=code):
                self._codes[pid] = code
            case Born(pid=pid):
                return pid
        return 0


class Hatched(Polled):
    """A forked service, with what `subprocess.Popen` offers."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._born = birth(pid)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, None while it lives."""
        if self.returncode is None:
            self.returncode = self._nursery.code_of(self.pid)
        if self.returncode is None and not is_alive(self.pid, self._born):
            # It is about to be told, or never will be, because the nursery died first and took it along.
            until(lambda: self._nursery.tells(self.pid), TOLD_SECONDS)
            told = self._nursery.code_of(self.pid)
            self.returncode = -signal.SIGKILL if told is None else told
        return self.returncode
