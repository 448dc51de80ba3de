"""Being told to stop, for commands that have something to put away first."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block as an error does, so that nothing half done is left. Else it would end the process, or, of the first
    process of a container, nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for that one alone
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
