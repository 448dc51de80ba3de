"""Being told to stop by a signal, while the main thread waits."""

import signal
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue


class Told:
    """An event that a signal handler may set.

    `threading.Event` may not be: its `set` takes the lock that the `wait` it interrupts may hold, and both then stand for ever.
    `SimpleQueue.put` is the one call of its kind that the library documents as reentrant.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._told = False

    def on(self, signals: Iterable[signal.Signals]) -> None:
        """Is set by these signals from now on. Call it in the main thread."""
        for number in signals:
            signal.signal(number, lambda *_: self.set())

    def set(self) -> None:
        """Wakes the one who waits, from a thread or a signal handler."""
        self._told = True
        self._calls.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._told

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Returns when it is set, or the time is over; says whether it is set. For one thread at a time."""
        if not self._told:
            with suppress(Empty):
                self._calls.get(timeout=timeout_seconds)
        return self._told
