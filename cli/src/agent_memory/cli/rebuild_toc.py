"""`agent-memory rebuild-toc`: the table of contents anew from the log, beside the live one, without asking a model."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import date, datetime
from datetime import time as clock
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from agent_memory.cli.loading.summary import meter
from agent_memory.cli.output import CommandError
from agent_memory.cli.reach import Servers, servers
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.records import to_milliseconds
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels import contents
from agent_memory.readmodels.contents import Zoned, zones_held, zones_of
from agent_memory.readmodels.contents_rebuild import Rebuilding, compare, rebuild, replay
from agent_memory.runtime.broker import connect_redis
from agent_memory.runtime.settings import load


class RebuiltContents(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did, or would. `same`: whether the table of contents was what the log says already; None: not looked at."""

    dry_run: bool
    events: int
    revisions: int
    seconds: float
    digest: str
    same: bool | None = None


def rebuild_toc(
    from_date: Annotated[str, typer.Option("--from-date", metavar="YYYY-MM-DD", help="Only what was said from this day on.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Build the table of contents anew from the log, with the summaries that are recorded there; no model is asked.

    The next one is made beside the live one and swapped in: readers notice nothing. With --from-date, events from that day on are
    taken into the live one again, which mends what is missing. Days begin where they do in the live one.
    """
    day = day_of(from_date)
    settings = load(os.environ)
    otherwise = zones_of(settings.timeline_timezone, settings.timeline_timezones)
    try:
        done = asyncio.run(rebuilt(servers(os.environ), otherwise, since=day, dry_run=dry_run))
    except Conflict as error:
        raise CommandError(error.detail, hint="wait until it is done") from error
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(done)).decode())
        return
    verb = "would be read" if dry_run else "read"
    print(f"{done.events:,} events and {done.revisions:,} revisions {verb} in {done.seconds:.1f} s; no model was asked")
    if done.same is not None:
        print("the table of contents is what the log says" if done.same else "the table of contents is not what the log says")


async def rebuilt(where: Servers, otherwise: Zoned, *, since: date | None, dry_run: bool) -> RebuiltContents:
    """Does it, with a progress bar on standard error. `otherwise`: the time zones of a live one that does not say its own.

    Raises Conflict when somebody else does, Unavailable.
    """
    redis, connections = connect_redis(where.redis_url), Connections(where.database_url, size=2)
    began, last, same = time.monotonic(), Rebuilding(position=0, head=0), None
    log = LogReader(connections)
    try:
        zones = await zones_held(redis) or otherwise
        since_ms = _since(since, zones)
        before = await contents.digest(redis)
        steps: AsyncIterator[Rebuilding | tuple[str, str]]
        if dry_run:
            steps = compare(redis, log, zones)
        else:
            steps = rebuild(redis, log, zones) if since_ms is None else replay(redis, log, zones, since_ms=since_ms)
        with meter(Console(stderr=True)) as bar:
            bar.begin("Rebuilding the table of contents", await log.head())
            async for step in steps:
                if isinstance(step, tuple):
                    same = step[0] == step[1]
                else:
                    last = step
                    bar.show(step.position, f"{step.events:,} events")
        digest = before if dry_run else await contents.digest(redis)
        return RebuiltContents(
            dry_run=dry_run,
            events=last.events,
            revisions=last.revisions,
            seconds=round(time.monotonic() - began, 3),
            digest=digest,
            same=same if dry_run else before == digest,
        )
    finally:
        await redis.aclose()
        await connections.close()


def day_of(text: str) -> date | None:
    """The day of --from-date; None where it was not given. Raises CommandError (code 2)."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        hint = "--from-date takes YYYY-MM-DD, such as 2026-01-31"
        raise CommandError(f"--from-date {text!r} is no date", hint=hint, code=2) from None


def _since(day: date | None, zones: Zoned) -> int | None:
    if day is None:
        return None
    return to_milliseconds(datetime.combine(day, clock.min, zones.default))[0]
