"""`agent-memory import`: histories of other tools, or our own export, into a server."""

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console

from agent_memory.cli.importers import claude_code
from agent_memory.cli.importers.formats import FORMATS, Format, Unrecognised
from agent_memory.cli.loading.bundles import BUNDLE, begins_a_bundle, import_bundles
from agent_memory.cli.loading.lanes import send
from agent_memory.cli.loading.reach import server_url, token
from agent_memory.cli.loading.sources import Source, find, opened
from agent_memory.cli.loading.summary import Meter, as_json, as_text, counted, meter
from agent_memory.cli.loading.tally import Tally
from agent_memory.cli.loading.told import Told
from agent_memory.cli.output import CommandError
from agent_memory.cli.server import told
from agent_memory.client import MemoryClient, MemoryClientError

NOT_DONE = 1
DONE_IN_PART = 4
AGAIN = "run the same again: what is stored already is not stored twice"


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders, zip archives, or - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")] = False,
    format_: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}, {BUNDLE}; told from the content when not given.")
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Where the events belong.")] = None,
    user_id: Annotated[str | None, typer.Option("--user-id", "-u", help="Whose events they are.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Of a bundle: leave what went on otherwise here as it is, instead of refusing all.")
    ] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="The server; default AGENT_MEMORY_URL, or the stack on this machine.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Restore a bundle that `agent-memory export` wrote, or load histories: JSONL (an event a line), Claude Code, ChatGPT.

    Ids are derived from content and place: importing twice creates nothing the second time, and what hooks of Claude Code
    recorded of a session is not recorded again from its transcript. A bad line is reported with its
    number and reason, the rest goes on; a bundle is restored whole or not at all, and says itself whose it is.

    Exit code 0 when all went well, 4 when some input was bad, 1 when nothing could be done or a
    FILE is not there, 3 when no server runs. AGENT_MEMORY_TOKEN is the credential, where one is needed.
    """
    if format_ is not None and format_ not in (*FORMATS, BUNDLE):
        raise CommandError(f"there is no format {format_!r}", hint=f"formats: {', '.join(FORMATS)}, {BUNDLE}", code=2)
    if not all(name.strip() for name in files):
        raise CommandError("a FILE is empty", hint="nothing was sent; the current folder is .", code=2)
    bundles = [name for name in files if format_ == BUNDLE or (format_ is None and begins_a_bundle(name))]
    if bundles:
        if bundles != files:
            raise CommandError("bundles and histories are imported apart from each other", code=2)
        if namespace is not None or user_id is not None:
            raise CommandError("a bundle says itself whose it is: --namespace and --user-id are for histories", code=2)
        import_bundles(bundles, url, dry_run=dry_run, keep=keep, json=json)
        return
    tally = Tally()
    sources = [source for name in files for source in _found(name)]
    memory = None if dry_run else _client(server_url(url, os.environ), namespace, user_id)
    chosen = FORMATS[format_] if format_ else None
    with meter(Console(stderr=True)) as bar:
        stopped = asyncio.run(_load(sources, chosen, memory, tally, bar))
    error = stopped.text if stopped else ""
    print(as_json(tally, dry_run=dry_run, error=error) if json else "\n".join(as_text(tally, dry_run=dry_run)))
    if stopped:
        raise stopped
    if tally.bad:
        raise SystemExit(DONE_IN_PART if tally.read else NOT_DONE)


def _client(url: str, namespace: str | None, user_id: str | None) -> MemoryClient:
    try:
        return MemoryClient(url, token(os.environ), namespace, user_id)
    except MemoryClientError as error:
        raise told(error) from None


def _found(name: str) -> list[Source]:
    """What stands behind a FILE. One that is not there stops the import before anything is sent: it is a slip of the keys."""
    try:
        return find(name)
    except OSError as error:
        hint = "nothing was sent; give files, folders or zip archives that are there and may be read, or - for standard input"
        raise CommandError(f"{name} cannot be read: {_reason(error)}", hint=hint, code=NOT_DONE) from None


async def _load(
    sources: list[Source], chosen: Format | None, memory: MemoryClient | None, tally: Tally, bar: Meter
) -> CommandError | None:
    """Load every source. Returns what made it stop."""
    try:
        for source in sources:
            await _load_one(source, chosen, memory, tally, bar)
    except MemoryClientError as error:
        stopped = told(error, f"stopped after {counted(tally.created + tally.known, 'event')}: ")
        return CommandError(stopped.text, hint=f"{AGAIN}. {stopped.hint}".rstrip(". "), code=stopped.code)
    finally:
        if memory:
            await memory.aclose()
    return None


async def _load_one(source: Source, chosen: Format | None, memory: MemoryClient | None, tally: Tally, bar: Meter) -> None:
    bar.begin(source.name, source.size)
    try:
        with opened(source, chosen) as history:
            tally.files[source.name] = history.format.title
            if memory is None:
                for item in history.items:
                    tally.take(item)
                    bar.show(history.read, counted(tally.read, "event"))
            else:
                told = Told(memory) if history.format.name == claude_code.NAME else None
                await send(history.items, memory, tally, lambda: bar.show(history.read, counted(tally.read, "event")), told=told)
    except (OSError, Unrecognised) as error:
        _refuse(tally, source.name, error)
    bar.finish(counted(tally.read, "event"))


def _refuse(tally: Tally, name: str, error: OSError | Unrecognised) -> None:
    """A file whose content cannot be read counts as one bad line."""
    tally.files.setdefault(name, "not read")
    tally.refuse(0, _reason(error))


def _reason(error: OSError | Unrecognised) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
