"""Python programs without the time that their imports take: each is forked from one process, the nest, that has imported it before.

A forked program has what a started one has: streams, environment, folder, signals, an exit code, a death that nobody can prevent.
It lacks two things, so a test of either starts an interpreter: it takes no options of the interpreter's own (`-c`, `-X`), and what
`/proc` says of its command line and first environment is the nest's.
"""

import marshal
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from agent_memory.embedded import processes
from agent_memory.embedded.processes import Launch, Polled, Process, open_log, until

PROGRAM = Path(__file__).with_name("nest.py")
STAND_IN = Path(__file__).with_name("stand_in.py")
WITH_THREADS = ("agent_memory.runtime.embed_server",)


class Nest:
    """The nest of one test session. It starts with the first program that is asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._lock = threading.Lock()

    def socket(self) -> str:
        """Where it takes orders."""
        with self._lock:
            if self._process is None:
                self._start()
            elif (code := self._process.poll()) is not None:
                raise RuntimeError(f"the nest ended with {code}: {(self._folder / 'log').read_text()}")
        return str(self._folder / "nest")

    def stop(self) -> None:
        """Ends it, and whatever was forked and still runs."""
        if self._process:
            self._process.communicate()
            shutil.rmtree(self._folder)
            self._process = None

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="agent-memory-nest-"))
        own = {"PYTHONPATH": str(PROGRAM.parents[1]), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(self._folder / "nest")],
                env={**os.environ, **own},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not until((self._folder / "nest").exists, 30):
            raise RuntimeError((self._folder / "log").read_text())


NEST = Nest()


def python(module: str, *arguments: str) -> list[str]:
    """A command line that does what `python -m MODULE ARGUMENT…` does."""
    return [sys.executable, "-I", "-S", str(STAND_IN), NEST.socket(), module, *arguments]


def fork(launch: Launch, *, standard_input: int = subprocess.DEVNULL) -> Process:
    """As `agent_memory.embedded.processes.spawn`; modules of Python are forked."""
    if launch.argv[:2] != (sys.executable, "-m") or launch.argv[2] in WITH_THREADS:
        return processes.spawn(launch, standard_input=standard_input)
    log = open_log(launch.log)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        given = nothing if standard_input == subprocess.DEVNULL else standard_input
        return Forked(launch, (given, log, log))
    finally:
        os.close(log)
        os.close(nothing)


class Forked(Polled):
    """A forked program, with what `subprocess.Popen` offers."""

    def __init__(self, launch: Launch, streams: tuple[int, int, int]) -> None:
        order = {
            "module": launch.argv[2],
            "arguments": launch.argv[3:],
            "environment": dict(launch.environment),
            "folder": str(launch.folder),
            "nice": launch.nice,
        }
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(NEST.socket())
        socket.send_fds(self._connection, [marshal.dumps(order)], streams)
        self.pid: int = marshal.loads(self._connection.recv(1024))
        self._connection.setblocking(False)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, None while it lives."""
        if self.returncode is None:
            try:
                said = self._connection.recv(1024)
            except BlockingIOError:
                return None
            self.returncode = marshal.loads(said) if said else -signal.SIGKILL
            self._connection.close()
        return self.returncode
