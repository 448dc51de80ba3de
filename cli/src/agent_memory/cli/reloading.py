"""A program that is started again whenever the code that it runs has changed: for those who change it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from agent_memory.embedded.told import Told

LOOK_EVERY_SECONDS = 0.5
GRACE_SECONDS = 15.0


def code_folders() -> list[Path]:
    """Where the code of this system lies."""
    return [Path(folder) for folder in sys.modules["agent_memory"].__path__]


def stamps(folders: Iterable[Path]) -> dict[Path, int]:
    """When each file of code was changed last."""
    found = {}
    for folder in folders:
        for file in folder.rglob("*.py"):
            try:
                found[file] = file.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # an editor replaces files
    return found


def run_reloading(
    argv: Sequence[str], environment: Mapping[str, str], folders: Sequence[Path], tell: Callable[[str], None]
) -> None:
    """Runs the program until SIGINT or SIGTERM; one that ends by itself is started again after the next change.

    Call it in the main thread.
    """
    told_to_stop = Told()
    told_to_stop.on((signal.SIGINT, signal.SIGTERM))
    while not told_to_stop.is_set():
        seen = stamps(folders)
        process = subprocess.Popen(argv, env=dict(environment))
        ended = False
        while not told_to_stop.wait(LOOK_EVERY_SECONDS) and stamps(folders) == seen:
            if not ended and process.poll() is not None:
                ended = True
                tell(f"it ended with {process.returncode}; it is started again after the next change")
        if not told_to_stop.is_set():
            tell("the code has changed: starting again")
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
