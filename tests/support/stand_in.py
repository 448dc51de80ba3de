"""Stands in for a program that is forked in the nest: has its standard streams, passes signals on, ends as it ends.

Run as `python -I -S stand_in.py SOCKET MODULE ARGUMENT…`. It imports next to nothing, so it starts in some 20 ms.
"""

import marshal
import os
import signal
import socket
import sys
from types import FrameType

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Program:
    """The forked program; signals that come before it is there wait for it."""

    def __init__(self) -> None:
        self.pid = 0
        self._waiting: list[int] = []
        for number in PASSED_ON:
            signal.signal(number, self._heard)

    def is_(self, pid: int) -> None:
        """It was forked."""
        self.pid = pid
        for number in self._waiting:
            os.kill(pid, number)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self.pid:
            os.kill(self.pid, number)
        else:
            self._waiting.append(number)


def main(where: str, module: str, *arguments: str) -> None:
    """Never returns."""
    program = Program()
    order = {"module": module, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(), "nice": 0}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(where)
        socket.send_fds(connection, [marshal.dumps(order)], [0, 1, 2])
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        program.is_(marshal.loads(connection.recv(1024)))
        said = connection.recv(1024)
    code: int = marshal.loads(said) if said else -signal.SIGKILL
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
