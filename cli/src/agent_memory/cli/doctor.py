"""`agent-memory doctor`: does everything hold that the system promises?"""

import asyncio
import os
import time
from typing import Annotated

import msgspec
import typer

from agent_memory.cli.doctor_pages import as_json, show
from agent_memory.cli.invariants.checks import check_all
from agent_memory.cli.invariants.condition import Condition, condition, waited
from agent_memory.cli.invariants.results import Result
from agent_memory.cli.invariants.system import opened
from agent_memory.cli.output import CommandError, console, note
from agent_memory.cli.reach import Servers, servers
from agent_memory.contracts.errors import NeedsUpgrade
from agent_memory.readmodels.contents import Zoned, zones_of
from agent_memory.runtime.settings import load


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor saw."""

    ok: bool
    seconds: float
    quick: bool
    condition: Condition
    invariants: list[Result]


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="A sample, and nothing that reads the whole log.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="First wait up to so many seconds until no view lags.")] = 0.0,
    as_json_: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Check each invariant on the live system: exit code 0 when all hold, 1 when one does not, 3 when nothing runs.

    It only reads, and may run while the system is in use: what changes meanwhile is not held against it. It reads the whole
    log and every document (some 200 bytes of memory each) unless --quick is given.
    """
    settings = load(os.environ)
    zones = zones_of(settings.timeline_timezone, settings.timeline_timezones)
    messages_too = settings.index_all_messages_in_long_term_memory
    try:
        found = asyncio.run(_examine(servers(os.environ), quick=quick, wait=wait, messages_too=messages_too, zones=zones))
    except NeedsUpgrade as error:
        raise CommandError(error.detail, hint="use this command of the newest version that has written to this log") from None
    if as_json_:
        print(as_json(found))
    else:
        show(console(), found.condition, found.invariants, found.seconds)
    if not found.ok:
        raise SystemExit(1)


async def _examine(where: Servers, *, quick: bool, wait: float, messages_too: bool, zones: Zoned) -> Diagnosis:
    began = time.monotonic()
    if wait and not await waited(where.database_url, where.redis_url, wait):
        note(f"views still lag after {wait:g} s")
    async with opened(
        where.database_url, where.redis_url, views_url=where.views_url, messages_too=messages_too, zones=zones
    ) as system:
        seen = await condition(system)
        results = await check_all(system, quick=quick)
    ok = all(result.ok for result in results)
    return Diagnosis(ok=ok, seconds=round(time.monotonic() - began, 3), quick=quick, condition=seen, invariants=results)
