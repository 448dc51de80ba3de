"""The servers as they are: versions, the settings that durability hangs on, who is alive, who lags."""

import asyncio
import time
from typing import Any, get_args

import msgspec

from agent_memory.cli.invariants.ledger_checks import alive, standings
from agent_memory.cli.invariants.system import System, opened
from agent_memory.contracts.streams import COMMANDS, EVENTS, INGEST_GROUP, PROJECTIONS
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Kind

LOOK_EVERY_SECONDS = 0.1
_SAFE = {"fsync": ("on",), "synchronous_commit": ("on", "remote_write", "remote_apply", "local"), "full_page_writes": ("on",)}
_KINDS: tuple[Kind, ...] = get_args(Kind)


class ServerLook(msgspec.Struct, frozen=True, kw_only=True):
    """One server. `doubts`: settings under which it may lose what it should not, in words."""

    name: str
    version: str
    settings: dict[str, str]
    doubts: list[str] = []


class ViewLook(msgspec.Struct, frozen=True, kw_only=True):
    """One projection, in figures."""

    projection: str
    service: str
    alive: int
    position: int
    lag: int
    in_flight: int
    applied: int
    skipped: int
    dead_lettered: int
    pending: int
    letters: int


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown beside the invariants."""

    head: int
    servers: list[ServerLook]
    views: list[ViewLook]
    ingest_alive: int
    commands_waiting: int
    bus_length: int
    indexes: dict[str, str]


async def condition(system: System) -> Condition:
    """How the system is now. Raises redis.RedisError, psycopg.Error."""
    views = [
        ViewLook(
            projection=one.projection,
            service=one.service,
            alive=one.alive,
            position=one.progress.checkpoint,
            lag=one.lag,
            in_flight=one.in_flight,
            applied=one.progress.counters.get("applied", 0),
            skipped=one.progress.counters.get("skipped", 0),
            dead_lettered=one.progress.counters.get("dead_lettered", 0),
            pending=one.pending,
            letters=one.letters,
        )
        for one in await standings(system)
    ]
    return Condition(
        head=system.head,
        servers=[await _postgres(system), await _redis(system)],
        views=views,
        ingest_alive=await alive(system.redis, INGEST_GROUP),
        commands_waiting=await system.redis.xlen(COMMANDS),
        bus_length=await system.redis.xlen(EVENTS),
        indexes={kind: await _index(system, kind) for kind in _KINDS},
    )


async def waited(database_url: str, redis_url: str, seconds: float) -> bool:
    """Whether every view got to the head, and no command waits, in time."""
    deadline = time.monotonic() + seconds
    async with opened(database_url, redis_url) as system:
        while True:
            lags = [one.lag + one.progress.waiting for one in await standings(system)]
            if len(lags) == len(PROJECTIONS) and not any(lags) and not await system.redis.xlen(COMMANDS):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _postgres(system: System) -> ServerLook:
    names = ["server_version", *_SAFE]
    rows = await (await system.now.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (names,))).fetchall()
    settings = {str(name): str(setting) for name, setting in rows}
    version = settings.pop("server_version", "?")
    doubts = [
        f"{name} is {settings.get(name)}: what was acknowledged may be lost when the machine stops"
        for name, safe in _SAFE.items()
        if settings.get(name) not in safe
    ]
    return ServerLook(name="Postgres", version=version, settings=settings, doubts=doubts)


async def _redis(system: System) -> ServerLook:
    server, persistence, memory = [await system.redis.info(part) for part in ("server", "persistence", "memory")]
    modules = await _modules(system)
    settings = {
        "appendonly": "yes" if persistence["aof_enabled"] else "no",
        "maxmemory-policy": str(memory["maxmemory_policy"]),
        "search": str(modules.get("search", "none")),
    }
    doubts = []
    if not persistence["aof_enabled"]:
        doubts.append("appendonly is no: after a restart every view is built again from the log")
    if settings["maxmemory-policy"] != "noeviction":
        doubts.append(f"maxmemory-policy is {settings['maxmemory-policy']}: views may lose parts in silence; set noeviction")
    return ServerLook(name="Redis", version=str(server["redis_version"]), settings=settings, doubts=doubts)


async def _modules(system: System) -> dict[str, int]:
    answer: list[Any] = await system.redis.execute_command("MODULE LIST")
    listed = [dict(zip(one[::2], one[1::2], strict=True)) if isinstance(one, list) else one for one in answer]
    return {module[b"name"].decode(): module[b"ver"] for module in listed}


async def _index(system: System, kind: Kind) -> str:
    known = await generations.registry(system.redis, kind)
    if known.live is None:
        return "none"
    building = "" if known.building is None else f", {known.building.number} is being built"
    return f"generation {known.live.number}, {known.live.model}, {known.live.dimensions} dimensions{building}"
