"""What could not be delivered yet: one file for each report, written before the first attempt and removed after success.

A file appears whole or not at all (written beside, flushed to disk, renamed), is never changed, and its name sorts by when it
was kept. So writers and deliverers need no lock, and a process that dies at any point loses nothing: at worst something is
delivered twice, and its event ids, fixed when it was kept, make the second time nothing new.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from agent_memory.client.toc import Event
from agent_memory.client.ulid import new_ulid
from agent_memory.embedded.home import Home, home_path

_SUFFIX = ".json"


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Events of one hook, and whose they are. `endpoint`: the server that was named for them; empty, the stack of the home."""

    events: list[Event]
    namespace: str | None = None
    user_id: str | None = None
    endpoint: str = ""


class Spool:
    """Reports that wait, in the first of these folders that can be written; `refused` ones are set aside with the reason."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    def keep(self, report: Report) -> Path:
        """Returns when the report is on disk. Raises OSError when no folder takes it."""
        return self._write(f"{_now()}{_SUFFIX}", msgspec.json.encode(report))

    def waiting(self) -> list[Path]:
        """Files of reports that wait, the oldest first."""
        found = [file for folder in self.folders for file in _files(folder) if file.name.endswith(_SUFFIX)]
        return sorted(found, key=lambda file: file.name)

    def read(self, file: Path) -> Report | None:
        """The report, or None when another process has delivered it meanwhile. Raises msgspec.DecodeError for what is none."""
        try:
            return msgspec.json.decode(file.read_bytes(), type=Report)
        except FileNotFoundError:
            return None

    def done(self, file: Path) -> None:
        """It was delivered."""
        file.unlink(missing_ok=True)

    def refuse(self, file: Path, reason: str) -> None:
        """It never can be delivered: kept aside, for people to look at."""
        aside = _folder(file.parent / "refused")
        (aside / f"{file.name}.reason").write_text(reason + "\n", encoding="utf-8", errors="replace")
        try:
            os.replace(file, aside / file.name)
        except FileNotFoundError:
            # Another process has set it aside, or delivered it.
            return

    def keep_unreadable(self, raw: bytes, reason: str) -> Path:
        """What a hook said that is no report, set aside. Raises OSError when no folder takes it."""
        file = self._write(f"{_now()}.raw", raw)
        self.refuse(file, reason)
        return file.parent / "refused" / file.name

    def refused(self) -> list[Path]:
        """Files that were set aside, the oldest first."""
        found = [file for folder in self.folders for file in _files(folder / "refused") if not file.name.endswith(".reason")]
        return sorted(found, key=lambda file: file.name)

    def _write(self, name: str, content: bytes) -> Path:
        failure: OSError | None = None
        for folder in self.folders:
            try:
                return _write_whole(_folder(folder), name, content)
            except OSError as error:
                failure = error
        raise failure or FileNotFoundError("there is no folder to keep it in")


def spool_of(environment: Mapping[str, str], home: Path | None = None) -> Spool:
    """The spool of a home: in it; where that cannot be written, in the folder for temporary files, apart from that of other homes,
    whose memory what waits here is none of.
    """
    place = home or home_path(environment)
    otherwise = Path(tempfile.gettempdir()) / f"agent-memory-{os.getuid()}" / Home(path=Path(os.path.realpath(place))).fingerprint
    return Spool([place / "spool", otherwise / "spool"])


def _write_whole(folder: Path, name: str, content: bytes) -> Path:
    part = folder / f".{name}.{os.getpid()}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(part, folder / name)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _flush_folder(folder)
    return folder / name


def _folder(path: Path) -> Path:
    """The folder, this user's alone. Raises OSError when it is another's, who could read what is put there."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to somebody else")
    return path


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from [folder / entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Nothing was ever kept there, or nothing of this user's.
        return


def _now() -> str:
    return new_ulid(time.time_ns() // 1_000_000)
