"""How long a backup of a large log takes, a restore, and the views after it; and how much memory. `python -m bench.backups --help`.

A year of conversations with what is written about their segments, and a vector for each message. Then: `agent-memory backup`,
`agent-memory restore` into a Postgres that has nothing, and a whole stack on it until every view shows all of the log.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from redis import Redis
from rich.console import Console
from rich.table import Table

from agent_memory.cli.invariants.condition import waited
from agent_memory.contracts.records import content_hash
from agent_memory.embedded.prepare import made
from agent_memory.embedded.servers import ServerUrls, running_servers
from agent_memory.embedded.supervisor import Stack
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.migrations import upgrade
from agent_memory.runtime.embed_hash import HashEmbedder
from bench import machine
from bench.history import Year, seed
from support.servers import stack_environment, temporary_home

DIMENSIONS = 384
VIEWS_SECONDS = 1_800.0
MEGABYTE = 1e6
FILLED = "filled"
"""Says in a home how many messages its log has."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was run. `resident_mb`: the most that it had in memory at a time; `cpu_seconds`: of itself alone."""

    seconds: float
    cpu_seconds: float
    resident_mb: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, sizes in bytes. `views_seconds`: from the start of the services until every view shows all of the log."""

    machine: machine.Machine
    events: int
    positions: int
    rows: int
    database: int
    file: int
    uncompressed: int
    redis: int
    backup: Ran
    restore: Ran
    views_seconds: float


def main() -> int:
    """Runs it. Exit code 1 when the views did not come back in time."""
    given = _arguments()
    machine.keep_to()
    screen = Console(highlight=False)
    with temporary_home() as fresh, temporary_home() as target:
        source = given.home or fresh
        file = target.parent / "log.zip"
        with running_servers(source, os.environ) as urls:
            if not (source / FILLED).exists():
                screen.print(f"filling a log with {given.events:,} messages …")
                (source / FILLED).write_text(str(asyncio.run(filled(urls, given.events, given.seed))))
            if given.fill_only:
                return 0
            screen.print("backing up …")
            backup, told = _ran(urls, "backup", str(file))
            database = _database_bytes(urls)
        with running_servers(target, os.environ) as urls:
            screen.print("restoring …")
            restore, _ = _ran(urls, "restore", str(file))
        screen.print("making the views …")
        seconds, redis = _views(target)
        found = Found(
            machine=machine.describe(),
            events=int((source / FILLED).read_text()),
            positions=told["position"],
            rows=sum(told["rows"].values()),
            database=database,
            file=told["bytes"],
            uncompressed=_uncompressed(file),
            redis=redis,
            backup=backup,
            restore=restore,
            views_seconds=seconds,
        )
    screen.print(table(found))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    screen.print(f"written: {given.json}")
    return 0 if seconds < VIEWS_SECONDS else 1


async def filled(urls: ServerUrls, events: int, number: int) -> int:
    """A migrated log with a year in it, and the vectors of all that was said. Returns how many messages."""
    made(urls.database_url).close()
    upgrade(urls.database_url)
    year = Year(seed=number, namespace="year", events=events)
    seeded = await seed(urls.database_url, year, written=True)
    embedder, connections = HashEmbedder(DIMENSIONS), Connections(urls.database_url, size=1)
    store = EmbeddingStore(connections)
    for batch in _batches(year):
        await store.keep(
            embedder.model, {content_hash(text): vector for text, vector in zip(batch, embedder.vectors(batch), strict=True)}
        )
    await connections.close()
    with psycopg.connect(urls.database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    return seeded.events


def _batches(year: Year) -> Iterator[list[str]]:
    texts: list[str] = []
    for session in year.sessions():
        texts += [event.text for event in session]
        if len(texts) > 2_000:
            yield texts
            texts = []
    yield texts


def _ran(urls: ServerUrls, *arguments: str) -> tuple[Ran, Any]:
    environment = {**os.environ, "DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url}
    began = time.monotonic()
    argv = [sys.executable, "-m", "agent_memory.cli.main", *arguments, "--json"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    ran = Ran(
        seconds=round(time.monotonic() - began, 1),
        cpu_seconds=round(usage.ru_utime + usage.ru_stime, 1),
        resident_mb=round(usage.ru_maxrss * 1024 / MEGABYTE, 1),
    )
    return ran, msgspec.json.decode(told)


def _views(home: Path) -> tuple[float, int]:
    began = time.monotonic()
    with Stack(home, environment=stack_environment(EMBEDDING_MODEL="hash")) as stack:
        asyncio.run(waited(stack.database_url, stack.redis_url, VIEWS_SECONDS))
        seconds = round(time.monotonic() - began, 1)
        with Redis.from_url(stack.redis_url) as redis:
            return seconds, int(redis.info("memory")["used_memory"])


def _database_bytes(urls: ServerUrls) -> int:
    with psycopg.connect(urls.database_url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _uncompressed(file: Path) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(one.file_size for one in archive.infolist())


def table(found: Found) -> Table:
    """For people."""
    shown = Table("what", "time", "processor", "memory at most", "size")
    shown.add_row("the log: " + f"{found.events:,} messages, {found.positions:,} positions", "", "", "", _mb(found.database))
    for name, ran, size in (("backup", found.backup, _mb(found.file)), ("restore", found.restore, "")):
        shown.add_row(name, f"{ran.seconds:.1f} s", f"{ran.cpu_seconds:.1f} s", f"{ran.resident_mb:.0f} MB", size)
    shown.add_row("every view anew", f"{found.views_seconds:.1f} s", "", "", _mb(found.redis))
    return shown


def _mb(size: int) -> str:
    return f"{size / MEGABYTE:,.0f} MB"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.backups", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="messages in the log (300,000)")
    parser.add_argument("--seed", type=int, default=20260302)
    parser.add_argument("--home", type=Path, metavar="DIR", help="keep the filled log there, or use the one that is there")
    parser.add_argument("--fill-only", action="store_true", help="with --home: fill it, measure nothing")
    parser.add_argument("--json", type=Path, default=Path("var/backups.json"), metavar="FILE", help="everything (var/backups.json)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
