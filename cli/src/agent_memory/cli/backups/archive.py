"""The file of a backup: a zip with one member a table, in Postgres' own text form, and a manifest with their hashes.

`manifest.json` is written last. Each member's hash is of its uncompressed bytes.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from agent_memory.contracts.errors import Refused

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK = 1 << 20


class TableCopy(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `bytes`: uncompressed."""

    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `product`: the version that wrote it; `revision`: of the schema; `position`: of the last event."""

    format: int = FORMAT
    product: str
    revision: str
    taken_at: str
    position: int
    tables: list[TableCopy]


class Writer:
    """Tables, then the manifest, into a file that only its owner may read."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.tables: list[TableCopy] = []

    def table(self, name: str, columns: list[str], pieces: Iterable[bytes]) -> TableCopy:
        """Takes one table as it comes. In Postgres' text form a row is a line."""
        digest, size, rows = hashlib.sha256(), 0, 0
        with self._archive.open(_member(name), "w", force_zip64=True) as out:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                rows += piece.count(b"\n")
                out.write(piece)
        self.tables.append(TableCopy(name=name, columns=columns, rows=rows, bytes=size, sha256=digest.hexdigest()))
        return self.tables[-1]

    def seal(self, manifest: Manifest) -> None:
        """The last member."""
        self._archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


@contextmanager
def written(file: Path) -> Iterator[Writer]:
    """A file that is there, on the disk, when all of it was written, and not before. Raises OSError."""
    part = file.with_name(f"{file.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(descriptor, 0o600)
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                yield Writer(archive)
            out.flush()
            os.fsync(descriptor)
        part.replace(file)
        _sync_folder(file.parent)
    finally:
        part.unlink(missing_ok=True)


class Backup:
    """A backup that is read. Raises Refused where the file is none, or is not whole."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        try:
            self.manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
        except (KeyError, msgspec.MsgspecError, zipfile.BadZipFile, zlib.error) as error:
            raise Refused(f"this is no backup: {error}") from None
        if self.manifest.format != FORMAT:
            raise Refused(f"this backup has format {self.manifest.format}; this version reads format {FORMAT}")

    @classmethod
    @contextmanager
    def opened(cls, file: Path) -> Iterator[Self]:
        """A backup in a file. Raises OSError, Refused."""
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise Refused(f"this is no backup, or it was cut off: {error}") from None
        with archive:
            yield cls(archive)

    def verify(self, table: TableCopy) -> None:
        """Reads a whole table. Raises Refused when it is not what the manifest says."""
        digest, rows = hashlib.sha256(), 0
        for piece in self.pieces(table):
            digest.update(piece)
            rows += piece.count(b"\n")
        if (digest.hexdigest(), rows) != (table.sha256, table.rows):
            raise Refused(f"table {table.name} is not what the manifest says")

    def pieces(self, table: TableCopy) -> Iterator[bytes]:
        """A table, piece by piece. Raises Refused when it cannot be read."""
        try:
            with self._archive.open(_member(table.name)) as member:
                while piece := member.read(_CHUNK):
                    yield piece
        except (KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise Refused(f"table {table.name} cannot be read: {error}") from None


def _member(table: str) -> str:
    return f"tables/{table}.copy"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
