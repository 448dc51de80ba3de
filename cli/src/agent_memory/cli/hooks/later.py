"""Delivering after the hook has ended: on a busy machine a second is too short, and the next hook may be long in coming."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_memory.cli.daemon.settings import BadConfig, load_settings
from agent_memory.cli.hooks.delivery import flush, server_of
from agent_memory.cli.hooks.spool import spool_of

SECONDS = 20.0
_LOCK = ".delivering"


def go_on() -> None:
    """Start a process that delivers what waits, of which nobody who started the hook knows. Raises OSError."""
    # Not from the folder it stands in, which is somebody's project and may hold modules of any name.
    argv = [sys.executable, "-P", "-m", __name__]
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet, setsid=True)


def main() -> None:
    """Deliver what waits, unless another process is about it."""
    try:
        settings = load_settings(os.environ)
    except BadConfig:
        settings = load_settings(os.environ, Path(os.devnull))
    spool = spool_of(os.environ, settings.home(os.environ).path)
    server = server_of(settings, os.environ)
    left = 0
    # Looked at while nobody is kept out: hooks that ended meanwhile have left theirs to this process.
    while spool.waiting() and not left:
        with _alone(spool.folders) as alone:
            if not alone:
                return
            left = flush(spool, server, SECONDS).left


@contextmanager
def _alone(folders: list[Path]) -> Iterator[bool]:
    """Whether nobody else delivers what is in these folders while the block runs."""
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        yield False
        return
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
