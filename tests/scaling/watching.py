"""Looks at a running stack: processor time, lag, and what a killed replica leaves to others."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from redis.asyncio import Redis

from agent_memory.contracts.streams import (
    COMMANDS,
    EVENTS,
    INGEST_GROUP,
    MEMORY_INDEX,
    PROJECTIONS,
    TIMELINE_INDEX,
    checkpoint_key,
    counters_key,
)
from agent_memory.readmodels.progress import Ledger
from bench import processes
from scaling.steps import Look, Takeover

LOOK_SECONDS = 0.25
DONE_LOOK_SECONDS = 0.05
TAKEOVER_SECONDS = 60.0
MOST_HELD = 2_000
WRITERS = "(writers)"
INDEXES = (MEMORY_INDEX, TIMELINE_INDEX)
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


async def look(redis: Redis, position: int, pids: Mapping[str, int]) -> Look:
    """Now. `position`: of the last acknowledged write, which lag is counted from."""
    async with redis.pipeline(transaction=False) as pipe:
        for projection in PROJECTIONS:
            pipe.get(checkpoint_key(projection))
        for index in INDEXES:
            pipe.hget(counters_key(index), "applied")
        answers = await pipe.execute()
    reached = [int(one or 0) for one in answers]
    return Look(
        at=time.monotonic(),
        cpu=cpu(pids),
        busy=processes.busy_seconds(),
        lag={name: max(0, position - checkpoint) for name, checkpoint in zip(PROJECTIONS, reached, strict=False)},
        position=position,
        indexed=dict(zip(INDEXES, reached[len(PROJECTIONS) :], strict=True)),
    )


def cpu(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds so far. Of a server with those it has started; of a service its own: the nursery waited for the dead."""
    found = {WRITERS: time.process_time()}
    for name, pid in pids.items():
        found[name] = processes.cpu_seconds(pid) if name == "postgres" else _own(pid)
    return found


def _own(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK


async def watch(take: Callable[[], Awaitable[Look]], until: float) -> list[Look]:
    """A look now, then at intervals, the last one at the end."""
    looks = [await take()]
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(LOOK_SECONDS, left))
        looks.append(await take())
    return looks


async def held_by(redis: Redis, pid: int) -> dict[str, list[bytes]]:
    """Entries that a replica took and did not acknowledge, by consumer group."""
    groups = {
        INGEST_GROUP: COMMANDS,
        **dict.fromkeys((name for name, service in PROJECTIONS.items() if service == "indexer"), EVENTS),
    }
    found: dict[str, list[bytes]] = {}
    for group, stream in groups.items():
        for consumer in await redis.xinfo_consumers(stream, group):
            if f"-{pid}-".encode() in consumer["name"] and consumer["pending"]:
                entries = await redis.xpending_range(stream, group, "-", "+", MOST_HELD, consumername=consumer["name"])
                found[group] = [entry["message_id"] for entry in entries]
    return found


async def taken_over(redis: Redis, takeover: Takeover, held: Mapping[str, list[bytes]]) -> None:
    """Waits until all that a dead replica held is done by others, and notes how long that took."""
    began = time.monotonic()
    takeover.held = sum(map(len, held.values()))
    while time.monotonic() - began < TAKEOVER_SECONDS:
        if not [group for group, ids in held.items() if not await _done(redis, group, ids)]:
            takeover.seconds = round(time.monotonic() - began, 2)
            return
        await asyncio.sleep(DONE_LOOK_SECONDS)


async def _done(redis: Redis, group: str, ids: list[bytes]) -> bool:
    if group == INGEST_GROUP:
        # A command that is done is taken off the stream.
        async with redis.pipeline(transaction=False) as pipe:
            for id_ in ids:
                pipe.xrange(COMMANDS, id_, id_)
            return not any(await pipe.execute())
    progress = await Ledger(redis, group).read()
    return all(progress.covers(int(id_.split(b"-")[0])) for id_ in ids)
