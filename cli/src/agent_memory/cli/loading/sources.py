"""Files, folders, zip archives and standard input, as lines of a known format."""

import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from agent_memory.cli.importers.formats import HEAD_BYTES, Format, detect
from agent_memory.cli.importers.items import Item
from agent_memory.cli.importers.reading import MAX_LINE_BYTES

STANDARD_INPUT = "-"
_EXPORTS = "conversations*.json"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One history to read. `member` is its name inside an archive; `size` is in bytes, None when nobody knows."""

    name: str
    path: Path | None = None
    member: str | None = None
    size: int | None = None


def find(name: str) -> list[Source]:
    """The histories behind what was typed: a file, `-`, those in a folder and below, or the conversations in a zip archive.

    Raises OSError when there is no such thing or it may not be read, and FileNotFoundError when a folder or an archive has no
    history in it.
    """
    if name == STANDARD_INPUT:
        return [Source(name="standard input")]
    path = Path(name)
    if path.is_dir():
        found = sorted({*path.rglob("*.jsonl"), *path.rglob(_EXPORTS)})
        return _some([Source(name=str(file), path=file, size=file.stat().st_size) for file in found], name, "*.jsonl")
    size = path.stat().st_size
    if path.is_file():
        path.open("rb").close()  # whether it may be read is told now, before others were
    if not zipfile.is_zipfile(path):
        return [Source(name=name, path=path, size=size if path.is_file() else None)]
    with _unpacked(path) as archive:
        members = [member for member in archive.infolist() if Path(member.filename).match(_EXPORTS)]
    sources = [Source(name=f"{name}:{each.filename}", path=path, member=each.filename, size=each.file_size) for each in members]
    return _some(sources, name, _EXPORTS)


def _some(found: list[Source], name: str, pattern: str) -> list[Source]:
    if not found:
        raise FileNotFoundError(f"no {pattern} in {name}")
    return found


class Opened:
    """A source that is being read: its format, its items, and how many bytes were read so far."""

    def __init__(self, stream: IO[bytes], chosen: Format | None) -> None:
        head = stream.read(HEAD_BYTES)
        self.format = chosen or detect(head)
        self._rewound = _Rewound(head, stream)
        lines = io.BufferedReader(self._rewound, HEAD_BYTES)
        self.items: Iterator[Item] = self.format.parse(_lines(lines) if self.format.by_line else iter([lines.read()]))

    @property
    def read(self) -> int:
        """Bytes read so far."""
        return self._rewound.count


@contextmanager
def opened(source: Source, chosen: Format | None) -> Iterator[Opened]:
    """Raises OSError when it cannot be read, Unrecognised when `chosen` is None and the format cannot be told."""
    if source.path is None:
        yield Opened(sys.stdin.buffer, chosen)
    elif source.member is None:
        with source.path.open("rb") as stream:
            yield Opened(stream, chosen)
    else:
        with _unpacked(source.path) as archive, archive.open(source.member) as stream:
            yield Opened(stream, chosen)


@contextmanager
def _unpacked(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive, whose many ways to be broken all become OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise OSError(f"the archive is damaged: {error}") from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise OSError("the archive asks for a password") from None


class _Rewound(io.RawIOBase):
    """A stream whose head was read already, and that may not be able to seek back."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than the stub's Buffer
        size = len(buffer)
        piece, self._head = self._head[:size], self._head[size:]
        piece = piece or self._rest.read(size)
        buffer[: len(piece)] = piece
        self.count += len(piece)
        return len(piece)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines; of one that is too long only as much as shows that it is."""
    while line := stream.readline(MAX_LINE_BYTES + 2):
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (more := stream.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
        yield line
