"""Which daemon of this user runs in the background, and where: its process id and its home, one a line."""

import os
from collections.abc import Mapping
from pathlib import Path

from agent_memory.embedded.home import Home
from agent_memory.embedded.state import StackState, read_state


def pid_path(environment: Mapping[str, str]) -> Path:
    """The usual place of the file."""
    folder = environment.get("XDG_RUNTIME_DIR", "").strip()
    return (Path(folder) if folder else Path.home() / ".cache") / "agent-memory" / "daemon.pid"


def write_pid(file: Path, pid: int, home: Home) -> None:
    """Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_text(f"{pid}\n{home.path}\n")
    os.replace(fresh, file)


def home_in(file: Path) -> Home | None:
    """The home of the daemon that the file names, None without one that can be read."""
    try:
        _, home, *_ = file.read_text().splitlines()
    except (OSError, ValueError):
        return None
    return Home(path=Path(home))


def running_in(home: Home) -> StackState | None:
    """The stack that runs there now."""
    state = read_state(home)
    return state if state and state.alive else None


def find_running(environment: Mapping[str, str], usual: Home) -> tuple[Home, StackState | None]:
    """The daemon that the file names, or a stack in the usual home. The file of one that is gone is removed."""
    file = pid_path(environment)
    if named := home_in(file):
        if state := running_in(named):
            return named, state
        file.unlink(missing_ok=True)
    return usual, running_in(usual)
