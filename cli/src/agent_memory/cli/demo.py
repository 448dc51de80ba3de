"""`agent-memory demo`: the whole system on a sample history, from nothing to found, in one command."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agent_memory.cli.demo_pages import Findings, Walk, show, show_further
from agent_memory.cli.importers import own
from agent_memory.cli.loading.lanes import send
from agent_memory.cli.loading.reach import server_url, token
from agent_memory.cli.loading.summary import Meter, counted, meter
from agent_memory.cli.loading.tally import Tally
from agent_memory.cli.output import AsJson, CommandError, console, note, print_json
from agent_memory.cli.sample import history
from agent_memory.cli.server import told
from agent_memory.cli.stopping import stoppable
from agent_memory.client import MemoryClient, MemoryClientError
from agent_memory.client.answers import Status
from agent_memory.client.toc import TocNode
from agent_memory.contracts.queries import SearchMode
from agent_memory.embedded.home import Home
from agent_memory.embedded.reach import erase
from agent_memory.embedded.supervisor import Stack

NAMESPACE = "demo"
PATIENCE_SECONDS = 300.0
SUMMARY_SECONDS = 60.0
LEVELS = 5
"""Year, month, week, day, segment."""
LOOK_EVERY_SECONDS = 0.1
BATCH_EVENTS = 20
SEARCHES: tuple[tuple[SearchMode, str], ...] = (
    ("semantic", "the same seat was sold to two people"),
    ("keyword", "lru_cache"),
    ("hybrid", "tabs or spaces"),
)
SESSION = "2025-10-16-not-walnuts"
_OWN_SERVERS = ("DATABASE_URL", "REDIS_URL")


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Use the stack of AGENT_MEMORY_HOME, started when it does not run, and leave it up.")
    ] = False,
    url: Annotated[str | None, typer.Option("--url", help="Use this server, and start none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start everything, import a sample history, search it, walk from a year down to the words, stop again.

    Runs on free ports in a temporary folder that is removed at the end. With --keep or --url the sample stays, in the
    namespace `demo`.
    """
    screen = console()
    began = time.monotonic()
    with _server(keep, url) as (address, lasting):
        if not lasting:
            started = f"Started Postgres, Redis and every service in {time.monotonic() - began:.1f} s."
            if as_json:
                note(started)
            else:
                screen.print(f"{started}\n")
        try:
            findings = asyncio.run(_demonstrate(address))
        except MemoryClientError as error:
            raise told(error) from None
        if as_json:
            print_json(findings)
            return
        show(screen, findings)
    show_further(screen, address, lasting=lasting, stops=keep)


@contextmanager
def _server(keep: bool, url: str | None) -> Iterator[tuple[str, bool]]:
    """The address of a server, and whether it stays when the demo is over."""
    if url:
        yield url.rstrip("/"), True
    elif keep:
        yield _kept(os.environ), True
    else:
        with _temporary(os.environ) as address:
            yield address, False


def _kept(environment: Mapping[str, str]) -> str:
    here = {name: value for name, value in environment.items() if name != "AGENT_MEMORY_URL"}
    try:
        return server_url(None, here)
    except CommandError:
        up = subprocess.run([sys.executable, "-m", "agent_memory.cli.main", "up", "--detach"], check=False)
        if up.returncode != 0:
            raise SystemExit(up.returncode) from None
        return server_url(None, here)


@contextmanager
def _temporary(environment: Mapping[str, str]) -> Iterator[str]:
    """A whole stack that leaves nothing behind, also when it is interrupted. Own servers: a demo must not fill anybody's."""
    inherited = {name: value for name, value in environment.items() if name not in _OWN_SERVERS}
    folder = Path(tempfile.mkdtemp(prefix="agent-memory-demo-"))
    # Nobody goes on talking here, so there is no reason to wait before something is written about it.
    environment = {"TIMELINE_SETTLE_SECONDS": "0.2", **inherited, "PORT": "0", "GRPC_PORT": "0"}
    stack = Stack(folder, environment=environment)
    with stoppable():
        try:
            with Console(stderr=True).status("Starting Postgres, Redis and every service"):
                stack.start()
            yield stack.http_urls[0]
        finally:
            stack.stop()
            erase(Home(path=folder))


async def _demonstrate(address: str) -> Findings:
    memory = MemoryClient(address, token(os.environ), NAMESPACE)
    async with memory:
        with meter(Console(stderr=True)) as bar:
            began = time.monotonic()
            tally = await _imported(memory, bar)
            stored = time.monotonic()
            status = await _indexed(memory, tally, bar)
            indexed = time.monotonic()
            walk = await _walked(memory, bar)
        hits = [(mode, text, await memory.search_timeline(text, mode=mode, limit=3)) for mode, text in SEARCHES]
        if silent := [mode for mode, _, found in hits if not found.events]:
            raise CommandError(f"{' and '.join(silent)} search found nothing", hint="`agent-memory doctor` looks for the reason")
        return Findings(
            address=address,
            tally=tally,
            store_seconds=stored - began,
            index_seconds=indexed - stored,
            hits=hits,
            walk=walk,
            session=await memory.get_working_memory(SESSION),
            status=status,
        )


async def _imported(memory: MemoryClient, bar: Meter) -> Tally:
    file = history()
    lines = file.read_bytes().splitlines(keepends=True)
    tally = Tally(files={file.name: "sample"})
    bar.begin("Importing the sample history", len(lines))

    def moved() -> None:
        stored = tally.created + tally.known
        bar.show(stored, counted(stored, "event"))

    await send(own.parse(lines), memory, tally, moved, batch_events=BATCH_EVENTS)
    bar.finish(counted(tally.read, "event"))
    return tally


async def _indexed(memory: MemoryClient, tally: Tally, bar: Meter) -> Status:
    """Wait until no projection lags behind the log. Raises CommandError when that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    status = await memory.status()
    behind = _lag(status)
    bar.begin("Waiting until all of it can be found", behind)
    while (left := _lag(status)) or status.head < tally.position:
        if time.monotonic() > deadline:
            late = ", ".join(f"{view.projection} by {view.lag}" for view in status.projections if view.lag)
            raise CommandError(f"still behind after {PATIENCE_SECONDS:.0f} s: {late}", hint="`agent-memory status` shows what runs")
        bar.show(max(0, behind - left), counted(left, "position") + " to go")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        status = await memory.status()
    bar.finish("")
    return status


async def _walked(memory: MemoryClient, bar: Meter) -> Walk:
    """From the first year down to the words of a bullet. What is not written about in time is shown as it is."""
    deadline = time.monotonic() + SUMMARY_SECONDS
    bar.begin("Waiting for summaries", LEVELS)
    path = await _first_path(memory)
    while len(written := [node for node in path if node.bullets]) < LEVELS and time.monotonic() < deadline:
        bar.show(len(written), counted(LEVELS - len(written), "level") + " to go")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        path = await _first_path(memory)
    bar.finish("")
    grips = [grip for node in path[-1:] for bullet in node.bullets for grip in bullet.grip_ids]
    return Walk(path=path, words=await memory.expand_grip(grips[0], 1, 1) if grips else None)


async def _first_path(memory: MemoryClient) -> list[TocNode]:
    path = (await memory.get_toc_root())[-1:]
    while path and (below := (await memory.browse_toc(path[-1].node_id, 1)).children):
        path += below
    return path


def _lag(status: Status) -> int:
    return max((view.lag for view in status.projections), default=0)
