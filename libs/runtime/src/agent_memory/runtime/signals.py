"""Being told to stop, for servers whose own way would end the process by the signal again when they are done."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_by(numbers: Sequence[int], handle: Callable[[signal.Signals, FrameType | None], None]) -> Iterator[None]:
    """Within the block these signals are handled between two steps of the event loop, and nothing else is done about them."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, handle, signal.Signals(number), None)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
