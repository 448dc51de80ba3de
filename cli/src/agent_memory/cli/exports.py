"""`agent-memory export`: everything of a server, or of one namespace or user, as a bundle."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import httpx
import msgspec
import typer
from rich.console import Console

from agent_memory.cli.loading.bundles import PATH, PATIENCE, SHOW_EVERY, STANDARD_INPUT, failure
from agent_memory.cli.loading.reach import server_url, token
from agent_memory.cli.loading.summary import Meter, counted, meter
from agent_memory.cli.output import CommandError, note
from agent_memory.cli.server import told
from agent_memory.client import ConnectionFailed, MemoryClient, MemoryClientError
from agent_memory.contracts.bundles import Manifest, Reader, Seal, lines_of
from agent_memory.contracts.errors import Refused


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. `events_sha256` is of the events alone: equal for bundles that differ in what else they hold."""

    file: str
    bytes: int
    counts: dict[str, int]
    sha256: str
    events_sha256: str
    seconds: float


def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it; - for standard output.")],
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Only of this namespace.")] = None,
    user_id: Annotated[str | None, typer.Option("--user-id", "-u", help="Only of this user.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="With vectors, so that nothing has to be embedded again.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="With the journal of what models answered; only where there is one tenant.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write over a file that is there.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="The server; default AGENT_MEMORY_URL, or the stack on this machine.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Write a bundle: every event with ids, times and causes, and what models made of them, as lines of JSON with hashes.

    `agent-memory import FILE` restores it elsewhere. It is of one moment; what is recorded meanwhile is not in it.
    AGENT_MEMORY_TOKEN is the credential, of an admin; it says whose tenant is exported.
    """
    if file != STANDARD_INPUT and Path(file).exists() and not force:
        raise CommandError(f"{file} is there already", hint="name another file, or give --force")
    given = {"namespace": namespace, "user_id": user_id, "embeddings": _yes(embeddings), "answers": _yes(answers)}
    params = {name: value for name, value in given.items() if value is not None}
    began, address = time.monotonic(), server_url(url, os.environ)
    try:
        with meter(Console(stderr=True)) as bar, _written(file) as out:
            seal, size = asyncio.run(_fetch(address, params, out, bar))
    except MemoryClientError as error:
        raise told(error) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    except httpx.ConnectError as error:
        raise told(ConnectionFailed(f"no answer from {address}: {error}")) from None
    except httpx.TransportError as error:
        raise CommandError(f"the server went away ({error or type(error).__name__})", hint="export it again") from None
    except Refused as error:
        raise CommandError(f"what the server sent is not whole: {error.detail}", hint="export it again") from None
    seconds = round(time.monotonic() - began, 3)
    done = Exported(
        file=file, bytes=size, counts=seal.counts, sha256=seal.sha256, events_sha256=seal.events_sha256, seconds=seconds
    )
    tell = note if file == STANDARD_INPUT else print
    tell(msgspec.json.encode(done).decode() if json else _in_words(done))


async def _fetch(url: str, params: dict[str, str], out: IO[bytes], bar: Meter) -> tuple[Seal, int]:
    """Writes the bundle as it comes, and sees to it that it is whole."""
    reader, size = Reader(), 0
    async with (
        MemoryClient(url, token(os.environ)) as memory,
        memory.http.stream("GET", PATH, params=params, headers=memory.headers, timeout=PATIENCE) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise failure(response, await response.aread())
        async for line in lines_of(response.aiter_bytes(), reader):
            found = reader.line(line)
            size += out.write(line)
            if isinstance(found, Manifest):
                bar.begin("Exporting", found.counts.get("events"))
            elif reader.number % SHOW_EVERY == 0:
                bar.show(reader.counts["events"], counted(reader.counts["events"], "event"))
    return reader.finish(), size


@contextmanager
def _written(name: str) -> Iterator[IO[bytes]]:
    """A file that is there when all of it was written, and not before."""
    if name == STANDARD_INPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{name}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(name)
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _yes(chosen: bool) -> str | None:
    return "true" if chosen else None


def _in_words(done: Exported) -> str:
    counts = done.counts
    beside = "".join(f", {counted(counts[name], name[:-1])}" for name in ("embeddings", "answers") if name in counts)
    what = f"{counted(counts.get('events', 0), 'event')}, {counted(counts.get('sessions', 0), 'session')}{beside}"
    return f"{done.file}: {what}, {done.bytes:,} bytes in {done.seconds:.1f} s\nsha256 {done.sha256}"
