"""Accounted for: every position of the log is, for every projection, either dealt with or known to be in flight."""

from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.cli.invariants.results import Findings, Result
from agent_memory.cli.invariants.system import System
from agent_memory.contracts.streams import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    HEARTBEAT_STALE_MS,
    INGEST_GROUP,
    PROJECTIONS,
    heartbeat_key,
)
from agent_memory.readmodels.progress import Ledger, Progress, holes

NAME = "everything is accounted for"
FORGOTTEN_MS = 120_000
"""Twice what the most patient service waits before it takes over what another left."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One projection: how far, how many positions are in flight (those that wait for a newer version included), and what waits on
    the bus for it.
    """

    projection: str
    service: str
    progress: Progress
    head: int
    in_flight: int
    alive: int
    pending: int
    forgotten: int
    letters: int

    @property
    def lag(self) -> int:
        """Positions that are not accounted for up to the first gap."""
        return max(self.head - self.progress.checkpoint, 0)


async def standings(system: System) -> list[Standing]:
    """How every projection stands."""
    letters = await _letters(system.redis)
    found = []
    for name, service in PROJECTIONS.items():
        progress = await Ledger(system.redis, name).read()
        # Read after the progress: nothing can be accounted for that is not in the log yet.
        row = await (await system.now.execute("SELECT position FROM log_head")).fetchone()
        head = int(row[0]) if row else 0
        pending, forgotten = await _pending(system.redis, EVENTS, name)
        found.append(
            Standing(
                projection=name,
                service=service,
                progress=progress,
                head=head,
                in_flight=sum(last - first + 1 for first, last in holes(progress, head)) + progress.waiting,
                alive=await alive(system.redis, service),
                pending=pending,
                forgotten=forgotten,
                letters=len(letters.get(name, ())),
            )
        )
    return found


def account(standing: Standing, found: Findings) -> None:
    """Holds one projection's counters against its positions."""
    progress, name = standing.progress, standing.projection
    counted = sum(progress.counters.values())
    found.looked_at("projections")
    found.looked_at("positions", standing.head)
    if progress.accounted > standing.head or any(last > standing.head for _, last in progress.ahead):
        found.broken(f"{name} has accounted for positions beyond the head {standing.head}")
    if counted != progress.accounted:
        found.broken(f"{name} counted {counted} outcomes for {progress.accounted} positions")
    if counted + standing.in_flight != standing.head:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in progress.counters.items())
        found.broken(f"{name}: head {standing.head} is not {outcomes} and {standing.in_flight} in flight")
    # A letter that was sent again or dropped stays counted; one more than was counted never was accounted for.
    if standing.letters > progress.counters.get("dead_lettered", 0):
        found.broken(f"{name} has {standing.letters} dead letters and counted {progress.counters.get('dead_lettered', 0)}")
    if standing.letters:
        found.warn(f"{name} has {standing.letters} dead letters: `agent-memory dead-letters list`")
    if progress.waiting:
        found.warn(f"{name}: {progress.waiting} events of a newer version wait for an upgraded replica of {standing.service}")
    if not standing.alive and (standing.in_flight or standing.forgotten):
        found.broken(f"{name}: {standing.in_flight} positions wait and no replica of {standing.service} lives")


async def accounted(system: System, *, quick: bool) -> Result:
    """head = indexed + skipped + dead-lettered + in flight, for each projection; nothing waits for nobody."""
    found = Findings()
    for standing in await standings(system):
        account(standing, found)
    waiting, forgotten = await _pending(system.redis, COMMANDS, INGEST_GROUP)
    found.looked_at("commands in hand", waiting)
    if given_up := len((await _letters(system.redis)).get(INGEST_GROUP, ())):
        # Whoever sent them was told that they failed, so no promise is broken; but somebody has to look at them.
        found.warn(f"{given_up} commands were given up: `agent-memory dead-letters list`")
    if forgotten:
        found.broken(f"{forgotten} commands wait for more than {FORGOTTEN_MS // 1000} s")
    return found.result(3, NAME, "`agent-memory status` shows what does not run; its log says why")


async def alive(redis: Redis, service: str) -> int:
    """How many replicas of a service were heard of lately, by the clock of Redis, which wrote that down."""
    now = (await redis.time())[0] * 1000
    return sum(1 for seen in (await redis.hgetall(heartbeat_key(service))).values() if now - int(seen) < HEARTBEAT_STALE_MS)


async def _pending(redis: Redis, stream: str, group: str) -> tuple[int, int]:
    """Messages that a replica holds, and those of them that it has held for too long."""
    try:
        summary: Any = await redis.xpending(stream, group)
        left = await redis.xpending_range(stream, group, min="-", max="+", count=1000, idle=FORGOTTEN_MS)
    except ResponseError as error:
        if "NOGROUP" in str(error):
            return 0, 0
        raise
    return int(summary["pending"]), len(left)


async def _letters(redis: Redis) -> dict[str, set[bytes]]:
    """What each group gave up and nobody has dealt with: of a projection positions, so a letter that was written twice is one."""
    found: dict[str, set[bytes]] = {}
    first = "-"
    while chunk := await redis.xrange(DEAD_LETTERS, min=first, count=500):
        for entry_id, fields in chunk:
            position = fields.get(b"position", b"0")
            found.setdefault(fields.get(b"group", b"").decode(), set()).add(entry_id if position == b"0" else position)
        first = f"({chunk[-1][0].decode()}"
    return found
