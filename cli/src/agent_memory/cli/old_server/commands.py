"""`agent-memory migrate-memories` and `migrate-working-memory`: what an older server has in its Redis, into this one."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from agent_memory.cli.loading.bundles import Imported, checked, in_words, sent, server_or_none
from agent_memory.cli.loading.summary import Meter, counted, meter
from agent_memory.cli.old_server.converting import Draft, Taken, memory_lines, session_lines
from agent_memory.cli.old_server.layout import Unreadable
from agent_memory.cli.old_server.reading import PREFIXES, Bad, OldServer, connected

DONE_IN_PART = 4
SHOWN_BAD = 20
From = Annotated[
    str | None,
    typer.Option("--from", metavar="URL", help="Redis of the old server, redis://…; it is only read.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything, ask the server what it would do, write nothing.")]
Url = Annotated[str | None, typer.Option("--url", help="The server; default AGENT_MEMORY_URL, or the stack on this machine.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Keys to read at once.")]


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What was found there, and what became of it. `bad_keys`: the first 20 that could not be used, all are counted in `bad`."""

    sessions: int
    messages: int
    memories: int
    bad: int
    bad_keys: list[Bad]
    scan_seconds: float
    seconds: float
    imported: Imported | None


NOTHING = Migrated(sessions=0, messages=0, memories=0, bad=0, bad_keys=[], scan_seconds=0.0, seconds=0.0, imported=None)


def migrate_memories(
    from_: From = None,
    dry_run: DryRun = False,
    prefix: Annotated[
        list[str] | None, typer.Option("--prefix", help=f"What keys of memories begin with; {', '.join(PREFIXES)} if not given.")
    ] = None,
    batch_size: Batch = 1_000,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Bring the sessions and long-term memories of a Redis agent memory server here, with their ids and times.

    Doing it again changes nothing, and adds what came since; what was changed here meanwhile stays as it is here. Memories are
    embedded anew by this system's model. Exit code 4 when some keys could not be read.
    """
    if not as_json:
        print("Starting memory migrations...")
    prefixes = tuple(prefix or PREFIXES)
    done = NOTHING if from_ is None else asyncio.run(_migrate(from_, prefixes, batch_size, url, dry_run=dry_run))
    if as_json:
        print(msgspec.json.encode(done).decode())
    else:
        nothing = "Nothing to do without --from: memories of this system need no migration."
        print(nothing if from_ is None else "\n".join(_in_words(done)))
        print("Memory migrations completed successfully.")
    if done.bad:
        raise SystemExit(DONE_IN_PART)


def migrate_working_memory(
    from_: From = None, dry_run: DryRun = False, batch_size: Batch = 1_000, url: Url = None, as_json: Json = False
) -> None:
    """Bring the sessions of a Redis agent memory server here, of either format; as migrate-memories does, without the memories."""
    if not as_json:
        print("Scanning for working memory keys...")
    done = NOTHING if from_ is None else asyncio.run(_migrate(from_, (), batch_size, url, dry_run=dry_run))
    if as_json:
        print(msgspec.json.encode(done).decode())
    elif from_ is None:
        print("\nNo keys need migration. All done!")
    else:
        print(f"Scan completed in {done.scan_seconds:.2f}s\n  Sessions (need migration): {done.sessions}")
        print("\n--dry-run specified, no changes made." if dry_run else f"\nMigration completed in {done.seconds:.2f}s")
        rate = done.sessions / done.seconds if done.seconds else 0.0
        print(f"  Migrated: {0 if dry_run else done.sessions}\n  Errors: {done.bad}\n  Rate: {rate:.0f} keys/sec")
        print("\n".join([*_bad(done), *(in_words(done.imported) if done.imported else [])]))
    if done.bad:
        raise SystemExit(DONE_IN_PART)


async def _migrate(source: str, prefixes: tuple[str, ...], batch: int, url: str | None, *, dry_run: bool) -> Migrated:
    """Reads everything, makes a bundle of it, and has it restored."""
    target, began = server_or_none(url, dry_run=dry_run), time.monotonic()
    redis = await connected(source)
    try:
        old = OldServer(redis, prefixes=prefixes, batch=batch)
        with tempfile.TemporaryDirectory() as folder, meter(Console(stderr=True)) as bar:
            path = Path(folder) / "bundle.jsonl"
            with Draft(Path(folder)) as draft:
                sessions, messages, scan_seconds = await _take_sessions(old, draft, bar)
                memories = await _take_memories(old, draft, bar)
                draft.finish(path)
            imported = None
            if sessions or memories:
                bundle = checked("what was read", path, bar)
                (imported,) = await sent([bundle], target, bar, dry_run=dry_run, keep=True)
    finally:
        await redis.aclose()
    return Migrated(
        sessions=sessions,
        messages=messages,
        memories=memories,
        bad=len(old.bad),
        bad_keys=old.bad[:SHOWN_BAD],
        scan_seconds=round(scan_seconds, 3),
        seconds=round(time.monotonic() - began, 3),
        imported=imported,
    )


async def _take_sessions(old: OldServer, draft: Draft, bar: Meter) -> tuple[int, int, float]:
    """All sessions, the oldest first, as listings go. How many, with how many messages, and how long it took to find them."""
    began = time.monotonic()
    keys = await old.session_keys()
    scan_seconds = time.monotonic() - began
    bar.begin("Looking at sessions", len(keys))
    created = [(session.created_at, key) async for key, session in old.sessions(keys, _moved(bar, "session"))]
    old.bad.clear()  # they are looked at once more
    unreadable = sorted(set(keys) - {key for _, key in created})
    taken: Taken = {}
    sessions = messages = 0
    bar.begin("Reading sessions", len(keys))
    in_order = [key for _, key in sorted(created)] + unreadable
    async for key, session in old.sessions(in_order, _moved(bar, "session")):
        try:
            draft.add(session_lines(session, taken))
        except Unreadable as fault:
            old.refuse(key, str(fault))
            continue
        for reason in session.unreadable:
            old.refuse(key, reason)
        sessions, messages = sessions + 1, messages + len(session.messages)
    return sessions, messages, scan_seconds


async def _take_memories(old: OldServer, draft: Draft, bar: Meter) -> int:
    keys = await old.memory_keys()
    bar.begin("Reading memories", len(keys))
    claimed: set[str] = set()
    ids: set[str] = set()
    count = 0
    async for key, record in old.memories(keys, _moved(bar, "key")):
        try:
            if record.id in ids:
                raise Unreadable(f"another key holds memory {record.id}")
            draft.add(memory_lines(record, claimed))
        except Unreadable as fault:
            old.refuse(key, str(fault))
            continue
        ids.add(record.id)
        count += 1
    return count


def _moved(bar: Meter, thing: str) -> Callable[[int], None]:
    return lambda done: bar.show(done, counted(done, thing))


def _in_words(done: Migrated) -> list[str]:
    found = f"found {counted(done.sessions, 'session')} with {counted(done.messages, 'message')}, and {done.memories:,} memories"
    return [found, *_bad(done), *(in_words(done.imported)[1:] if done.imported else [])]


def _bad(done: Migrated) -> list[str]:
    shown = [f"  {ascii(one.key)[1:-1]}: {one.reason}" for one in done.bad_keys]
    more = [f"  and {done.bad - len(shown):,} more"] if done.bad > len(shown) else []
    return [f"{done.bad:,} could not be read:", *shown, *more] if done.bad else []
