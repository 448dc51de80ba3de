"""Being told to stop while nothing is in hand yet."""

import os
import signal
import sys
from types import FrameType


def end_when_told() -> None:
    """From now on SIGTERM and SIGINT end this process at once, with success, until the service listens for them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def guard_imports() -> None:
    """`end_when_told`, in a process that was started as `python -m MODULE` and still looks for that module; nothing elsewhere.

    A service calls it in its package's `__init__`, the first of it that runs: its imports take a second, in which a signal would
    count as a crash, or, to the first process of a container, as nothing at all.
    """
    if sys.argv[:1] == ["-m"]:
        end_when_told()


def _end(_number: int, _frame: FrameType | None) -> None:
    # Not SystemExit: raised in the midst of an import it could be caught, or leave a traceback.
    os._exit(0)
