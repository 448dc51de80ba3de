"""Bundles into a server: held to their manifest and seal here, before any of it is sent, and there once more."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import httpx
import msgspec
from rich.console import Console

from agent_memory.cli.loading.reach import NOT_RUNNING, server_url, token
from agent_memory.cli.loading.summary import Meter, counted, meter
from agent_memory.cli.output import CommandError
from agent_memory.cli.server import told
from agent_memory.client import MemoryClient, MemoryClientError
from agent_memory.client.errors import ConnectionFailed, error_of
from agent_memory.client.program import Answer
from agent_memory.contracts.bundles import MAX_LINE_BYTES, MEDIA_TYPE, Reader, Restored, is_manifest
from agent_memory.contracts.errors import Refused

BUNDLE = "bundle"
PATH = "/v1/bundle"
STANDARD_INPUT = "-"
CHUNK = 262_144
PATIENCE = httpx.Timeout(30.0, read=None)
"""How long a server takes to write, or to read the log, depends on how much there is."""
SHOW_EVERY = 1_000


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was read to its end and is whole."""

    name: str
    path: Path
    size: int
    counts: dict[str, int]
    sha256: str
    events_sha256: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one. `restored`: None when no server was asked."""

    file: str
    bytes: int
    counts: dict[str, int]
    sha256: str
    seconds: float
    restored: Restored | None


def begins_a_bundle(name: str) -> bool:
    """Whether a file, or standard input, begins with a manifest."""
    if name == STANDARD_INPUT:
        peek: Callable[[int], bytes] | None = getattr(sys.stdin.buffer, "peek", None)
        return peek is not None and is_manifest(peek(CHUNK).partition(b"\n")[0])
    try:
        with Path(name).open("rb") as file:
            return is_manifest(file.readline(CHUNK))
    except OSError:
        return False


def import_bundles(names: Sequence[str], url: str | None, *, dry_run: bool, keep: bool, json: bool) -> None:
    """Restores bundles and prints what was done. Raises CommandError; nothing is sent unless all of them are whole."""
    with ExitStack() as stack:
        bar = stack.enter_context(meter(Console(stderr=True)))
        found = [checked(name, stack.enter_context(_as_file(name)), bar) for name in names]
        done = asyncio.run(sent(found, server_or_none(url, dry_run=dry_run), bar, dry_run=dry_run, keep=keep))
    if json:
        print(msgspec.json.encode(done).decode())
    else:
        print("\n".join(line for one in done for line in in_words(one)))


def checked(name: str, path: Path, bar: Meter) -> Bundle:
    """Reads a bundle to its end. Raises CommandError when it is not whole, or not what it was."""
    reader = Reader()
    try:
        bar.begin(f"Checking {name}", path.stat().st_size)
        with path.open("rb") as file:
            for line in iter(lambda: file.readline(MAX_LINE_BYTES), b""):
                reader.line(line)
                if reader.number % SHOW_EVERY == 0:
                    bar.show(file.tell(), counted(reader.counts["events"], "event"))
        seal = reader.finish()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}") from None
    except Refused as error:
        raise CommandError(f"{name}: {error.detail}", hint="export it again" if reader.manifest else "") from None
    return Bundle(
        name=name,
        path=path,
        size=path.stat().st_size,
        counts=seal.counts,
        sha256=seal.sha256,
        events_sha256=seal.events_sha256,
    )


def failure(response: httpx.Response, body: bytes) -> MemoryClientError:
    """The error that an answer is."""
    return error_of(Answer(status=response.status_code, headers=dict(response.headers), body=body))


@contextmanager
def _as_file(name: str) -> Iterator[Path]:
    """Standard input is kept until it was read to its end."""
    if name != STANDARD_INPUT:
        yield Path(name)
        return
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)


def server_or_none(url: str | None, *, dry_run: bool) -> str | None:
    """Where to send it; None when there is no server and nothing is to be written."""
    try:
        return server_url(url, os.environ)
    except CommandError as error:
        if dry_run and error.code == NOT_RUNNING:
            return None
        raise


async def sent(bundles: Sequence[Bundle], url: str | None, bar: Meter, *, dry_run: bool, keep: bool) -> list[Imported]:
    """Restores them, one after the other. `url` None: nobody is asked. Raises CommandError for what the server refuses."""
    done = []
    try:
        async with MemoryClient(url or "http://nowhere", token(os.environ)) as memory:
            for bundle in bundles:
                began = time.monotonic()
                restored = None if url is None else await _send(bundle, memory, bar, dry_run=dry_run, keep=keep)
                seconds = round(time.monotonic() - began, 3)
                about = {"file": bundle.name, "bytes": bundle.size, "counts": bundle.counts, "sha256": bundle.sha256}
                done.append(Imported(**about, seconds=seconds, restored=restored))  # type: ignore[arg-type]
    except MemoryClientError as error:
        raise told(error, f"{bundles[len(done)].name}: ") from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    return done


async def _send(bundle: Bundle, memory: MemoryClient, bar: Meter, *, dry_run: bool, keep: bool) -> Restored:
    bar.begin(f"Importing {bundle.name}", bundle.size)
    try:
        with bundle.path.open("rb") as file:
            response = await memory.http.post(
                PATH,
                params={"dry_run": str(dry_run).lower(), "keep": str(keep).lower()},
                content=_chunks(file, bar),
                headers={**memory.headers, "Content-Type": MEDIA_TYPE},
                timeout=PATIENCE,
            )
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        raise ConnectionFailed(f"no answer from {memory.http.base_url} ({why}); import it again: nothing is doubled") from None
    if response.status_code != httpx.codes.OK:
        raise failure(response, response.content)
    return msgspec.json.decode(response.content, type=Restored)


async def _chunks(file: IO[bytes], bar: Meter) -> AsyncIterator[bytes]:
    sent = 0
    for chunk in iter(lambda: file.read(CHUNK), b""):
        yield chunk
        sent += len(chunk)
        bar.show(sent, "sent")
    bar.show(sent, "being written")


def in_words(one: Imported) -> list[str]:
    counts = one.counts
    lines = [
        f"bundle: {one.file}: {counted(counts.get('events', 0), 'event')}, {counted(counts.get('sessions', 0), 'session')}, whole"
    ]
    done = one.restored
    if done is None:
        return [*lines, "dry run: no server was asked"]
    if done.dry_run:
        lines.append("dry run: nothing was written")
    places = f"in {counted(done.sessions, 'session')} and {done.memories:,} memories"
    lines.append(f"created {done.created:,} {places}, already known {done.known:,} ({one.seconds:.1f} s)")
    if done.kept:
        named = f": {', '.join(done.left)}" if done.left else ""
        lines.append(f"left as they are here, because they went on otherwise: {done.kept:,}{named}")
    if done.embeddings or done.answers:
        lines.append(f"beside them {counted(done.embeddings, 'vector')} and {counted(done.answers, 'answer')} of models")
    return lines
