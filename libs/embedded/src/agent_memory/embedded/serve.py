"""A stack that runs until it is told to stop, by Ctrl-C or SIGTERM. Run as a module for one that stays in the background."""

import os
import signal
import sys
import threading
from collections.abc import Callable

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.supervisor import Stack
from agent_memory.embedded.told import Told


def serve(stack: Stack, ready: Callable[[Stack], None], stopping: Callable[[], None]) -> None:
    """Starts the stack, calls `ready`, and returns when it has been stopped. Call it in the main thread; raises StackError."""
    told_to_stop = Told()
    told_to_stop.on((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    outcome: list[StackError] = []

    def bring_up() -> None:
        try:
            stack.start()
        except StackError as error:
            outcome.append(error)
            told_to_stop.set()

    starter = threading.Thread(target=bring_up, name="starter", daemon=True)
    starter.start()
    while starter.is_alive() and not told_to_stop.is_set():
        starter.join(0.1)
    if not told_to_stop.is_set():
        ready(stack)
        told_to_stop.wait()
    if not outcome:
        stopping()
    stack.stop()
    starter.join()
    if outcome:
        raise outcome[0]


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        serve(Stack(tell=_print), lambda stack: _print(f"ready, pid {os.getpid()}"), lambda: _print("stopping"))
    except StackError as error:
        sys.exit(f"{error.text}" + (f" ({error.hint})" if error.hint else ""))
