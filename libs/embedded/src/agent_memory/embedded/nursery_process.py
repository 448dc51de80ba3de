"""The process that services are forked from: it imports what they run once, then waits for orders. Run as a module.

`python -m agent_memory.embedded.nursery_process MODULE…` with a socket of `nursery.py` as standard input. It opens nothing
else, starts no thread and no event loop, because none of these survives a fork. Services find everything as `python -m MODULE`
would leave it, except that their imports are done and their memory is shared.
"""

import atexit
import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from agent_memory.embedded.launch import ORPHANED, PR_SET_PDEATHSIG
from agent_memory.embedded.nursery import MOST_BYTES, Born, Ended, Order, Ready
from agent_memory.runtime.stopping import end_when_told

_PR_SET_NAME = 15
_decode = msgspec.json.Decoder(Order).decode
_ended_with: list[int] = []
"""The exit code of a service that came to its end by itself."""


def main(modules: Sequence[str]) -> None:
    """Serves until the supervisor closes its end. In a forked service it goes on as that service."""
    atexit.register(leave)
    supervisor = socket.socket(fileno=os.dup(0))
    libc = ctypes.CDLL(None)
    prepare(modules)
    found = wait_for_birth(supervisor)
    if found:
        order, log = found
        supervisor.close()
        settle(order, log, libc)
        become(order.module, order.arguments)


def become(module: str, arguments: Sequence[str]) -> None:
    """Goes on, in a forked process, as `python -m MODULE ARGUMENT…`, to its end. Raises what that raises, SystemExit for one."""
    # A fresh copy of the module, as the main one; a second one under its own name would only cost memory.
    sys.modules.pop(module, None)
    sys.argv = ["-m", *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            _ended_with.append(ended.code or 0)
        raise
    _ended_with.append(0)


def leave() -> None:
    """Ends a service without freeing one by one all objects of all imports, 0.1 s of a processor each time.

    To be registered with atexit before anything is imported for services: what is registered first is done last.
    """
    if _ended_with:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(_ended_with[0] & 0xFF)


def prepare(modules: Sequence[str]) -> None:
    """Imports all, and takes it out of the garbage collector's sight: its marks would un-share every page that it looks at."""
    gc.disable()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001 - the service itself will fail in the same way and say so in its own log
            traceback.print_exc()
    gc.collect()
    gc.freeze()


def wait_for_birth(supervisor: socket.socket) -> tuple[Order, int] | None:
    """Forks as ordered and reports who ended. Returns an order and a log in the child that shall follow it, None at the end."""
    told, telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(telling)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _say(supervisor, Ready())
    heard: list[socket.socket | int] = [supervisor, told]
    while True:
        ready, _, _ = select.select(heard, [], [])
        if told in ready:
            os.read(told, 4096)
            for pid, code in ended():
                _say(supervisor, Ended(pid=pid, code=code))
        if supervisor in ready:
            message, descriptors, _, _ = socket.recv_fds(supervisor, MOST_BYTES, 1)
            if not message:
                return None
            pid = _fork()
            if pid == 0:
                os.close(told)
                os.close(telling)
                return _decode(message), descriptors[0]
            os.close(descriptors[0])
            _say(supervisor, Born(pid=pid))


def settle(order: Order, log: int, libc: ctypes.CDLL) -> None:
    """Makes a forked process what a started one would be: session, niceness, folder, environment, output, death with its parent."""
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != order.parent:
        os._exit(ORPHANED)
    os.setsid()
    os.nice(order.nice)
    libc.prctl(_PR_SET_NAME, order.name.encode()[:15], 0, 0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    os.chdir(order.folder)
    for variable in order.unset:
        os.environ.pop(variable, None)
    os.environ.update(order.environment)
    gc.enable()


def _fork() -> int:
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_when_told()
    return pid


def ended() -> Iterator[tuple[int, int]]:
    """Children that have ended since the last look, and their exit codes, negative for a signal."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _say(supervisor: socket.socket, message: Ready | Born | Ended) -> None:
    try:
        supervisor.send(msgspec.json.encode(message))
    except OSError:
        # The supervisor is gone, and the kernel ends this process for it.
        sys.exit(ORPHANED)


if __name__ == "__main__":
    main(sys.argv[1:])
