"""The process that `support/forks.py` forks programs from. Run as `python -P nest.py SOCKET`; it ends when its standard input does.

A program is imported here when it is asked for the first time, so only the first one takes the time of its imports. Like the
nursery of the product it opens nothing for a program and has one thread, because neither survives a fork.
"""

import atexit
import ctypes
import gc
import importlib
import io
import marshal
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from typing import Any

from agent_memory.embedded.launch import PR_SET_PDEATHSIG
from agent_memory.embedded.nursery_process import become, ended, leave

MOST_BYTES = 200_000
WITH_THREADS = frozenset({"agent_memory.runtime.embed_server"})
"""Their imports start threads: they are imported after the fork."""

Order = dict[str, Any]


def main(where: str) -> None:
    """Serves until it is told to end. In a forked program it goes on as that program."""
    atexit.register(leave)
    gc.disable()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{where}.new")
    listener.listen(64)
    # Whoever sees it can connect: between the two calls above it is there and refuses.
    os.rename(f"{where}.new", where)
    found = Nest(listener, os.dup(0)).born()
    if found:
        order, descriptors = found
        settle(order, descriptors)
        run(order)


class Nest:
    """Who asked for what, until it has ended."""

    def __init__(self, listener: socket.socket, alive: int) -> None:
        self._listener, self._alive = listener, alive
        self._told, self._telling = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._asked: dict[int, socket.socket] = {}

    def born(self) -> tuple[Order, list[int]] | None:
        """Forks as ordered. Returns an order in the child that shall follow it, None at the end."""
        signal.set_wakeup_fd(self._telling)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._alive, self._told, self._listener, *self._asked.values()], [], [])
            if self._alive in ready:
                return None
            if self._told in ready:
                os.read(self._told, 4096)
                self._report_ended()
            for pid in [pid for pid, connection in self._asked.items() if connection in ready]:
                # Whoever asked is gone, and what was asked for goes along.
                os.kill(pid, signal.SIGKILL)
                self._asked.pop(pid).close()
            if self._listener in ready and (found := self._serve(self._listener.accept()[0])):
                return found

    def _serve(self, connection: socket.socket) -> tuple[Order, list[int]] | None:
        try:
            message, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, 3)
        except ConnectionError:
            message = b""
        if not message:
            connection.close()
            return None
        order: Order = marshal.loads(message)
        if order["module"] not in WITH_THREADS:
            bring(beside(order["module"], order["arguments"]))
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._let_go(connection)
            return order, descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        self._asked[pid] = connection
        _say(connection, pid)
        return None

    def _let_go(self, connection: socket.socket) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for held in (self._listener, connection, *self._asked.values()):
            held.close()
        for descriptor in (self._alive, self._told, self._telling):
            os.close(descriptor)

    def _report_ended(self) -> None:
        for pid, code in ended():
            connection = self._asked.pop(pid, None)
            if connection:
                with connection:
                    _say(connection, code)


def _say(connection: socket.socket, number: int) -> None:
    try:
        connection.send(marshal.dumps(number))
    except OSError:
        return  # whoever asked is gone, which is seen in time


def beside(module: str, arguments: Iterable[str]) -> list[str]:
    """What a program imports: itself, for a command line the named command, for a nursery all that it is given."""
    if module == "agent_memory.embedded.nursery_process":
        return [module, *arguments]
    if module in ("agent_memory.cli.main", "agent_memory.cli.daemon.main"):
        registry = "agent_memory.cli.registry" if module == "agent_memory.cli.main" else module
        bring([module, registry])
        targets = {spec.name: spec.target.partition(":")[0] for spec in sys.modules[registry].COMMANDS}
        return [module, *(targets[one] for one in arguments if one in targets)]
    return [module]


def bring(modules: Iterable[str]) -> None:
    """Imports all; one that cannot be imported fails in the program as well, and says so there."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001 - see above
            traceback.print_exc()


def settle(order: Order, descriptors: list[int]) -> None:
    """Makes a forked process what a started one would be: session, niceness, folder, environment, standard streams."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.setsid()
    os.nice(order["nice"])
    for descriptor, target in zip(descriptors, (0, 1, 2), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    tempfile.tempdir = None
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout = io.TextIOWrapper(open(1, "wb", buffering=0, closefd=False), write_through=True)  # noqa: SIM115
    added = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:0] = [order["folder"], *(part for part in added if part not in sys.path)]
    gc.enable()


def run(order: Order) -> None:
    """As `python -m MODULE ARGUMENT…` does it."""
    sys.argv = ["-m", *order["arguments"]]
    if order["module"].endswith(".app"):
        stopping = importlib.import_module("agent_memory.runtime.stopping")
        stopping.guard_imports()
    become(order["module"], order["arguments"])


if __name__ == "__main__":
    main(*sys.argv[1:])
