"""The folder in which one machine keeps everything: servers' data, passwords, logs, and the state of what runs."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError, folder_error
from agent_memory.embedded.processes import until

NEEDED_BYTES = 200_000_000
"""Room that a new log, its indexes and the write-ahead log take before the first event."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """Passwords of the embedded servers, made once and kept readable by their owner only."""

    postgres: str
    redis: str


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of one home."""

    path: Path

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.path / "logs"

    @property
    def state(self) -> Path:
        """What runs now."""
        return self.path / "stack.json"

    @property
    def place(self) -> Path:
        """Names the folder outside the home that holds Postgres' data, where its user cannot reach the home."""
        return self.path / "postgres.place"

    @property
    def lock(self) -> Path:
        """Held for as long as a stack uses the home."""
        return self.path / "lock"

    @property
    def fingerprint(self) -> str:
        """Short name of this home for folders that have to live elsewhere."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:12]


def home_path(environment: Mapping[str, str]) -> Path:
    """AGENT_MEMORY_HOME, or the usual place for a user's data."""
    given = environment.get("AGENT_MEMORY_HOME", "").strip()
    if given:
        return Path(os.path.abspath(os.path.expanduser(given)))
    return Path.home() / ".local" / "share" / "agent-memory"


def open_home(path: Path) -> Home:
    """The home, made when absent. Raises StackError when the folder is read-only, full or not a folder."""
    home = Home(path=path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Others may pass through (Postgres' own user must reach its data when root starts it) but see nothing.
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        home.logs.mkdir(exist_ok=True, mode=0o700)
        free = shutil.disk_usage(path).free
        home.lock.touch(mode=0o600)
    except OSError as error:
        raise folder_error(path, error) from error
    if free < NEEDED_BYTES:
        raise StackError(
            f"{path} has {free // 1_000_000} MB left, {NEEDED_BYTES // 1_000_000} MB are needed",
            hint="free some space, or set AGENT_MEMORY_HOME to a folder on another disk",
        )
    return home


@contextmanager
def held(home: Home) -> Iterator[None]:
    """Keeps every other stack out of this home. Raises StackError when one is in already."""
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Briefly patient, because `is_held` takes the lock for a moment too.
        if not until(lambda: _locked(descriptor), 0.5):
            raise StackError(
                f"a stack already runs in {home.path}",
                hint="`agent-memory status` shows it, `agent-memory down` stops it; AGENT_MEMORY_HOME chooses another home",
            )
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(home: Home) -> bool:
    """Whether a stack uses this home now."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def secrets_of(home: Home) -> Secrets:
    """The passwords of this home, made on first use."""
    file = home.path / "secrets.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Secrets)
    except FileNotFoundError:
        made = Secrets(postgres=secrets.token_urlsafe(24), redis=secrets.token_urlsafe(24))
        write_private(file, msgspec.json.encode(made))
        return made
    except (OSError, msgspec.DecodeError) as error:
        raise StackError(f"{file} cannot be read: {error}", hint="it holds the servers' passwords; restore it") from error


def write_private(file: Path, content: bytes) -> None:
    """Replaces a file at once, readable by its owner only."""
    fresh = file.with_name(file.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        os.replace(fresh, file)
    except OSError as error:
        raise folder_error(file, error) from error
