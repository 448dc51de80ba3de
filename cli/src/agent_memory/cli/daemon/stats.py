"""What the stores hold, in figures, and putting them in order."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
import psycopg
from psycopg import sql
from redis.exceptions import RedisError

from agent_memory.cli.reach import Servers
from agent_memory.contracts.streams import PROJECTIONS
from agent_memory.readmodels import contents
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import connect_redis

CONNECT_SECONDS = 5
FAMILIES = ("events", "toc", "grips", "outbox")
"""What the stores are asked for by name: what was said; nodes and grips of the table of contents; what no view has taken yet."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Events of every timeline, and bytes of the whole database."""

    events: int
    bytes: int


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of something, and the bytes that they say."""

    entries: int
    bytes: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `wal_bytes`: None where this user may not see it."""

    path: str
    bytes: int
    families: dict[str, Family]
    dead_rows: int
    wal_bytes: int | None
    redis_bytes: int


def totals(database_url: str) -> Totals:
    """Raises psycopg.Error."""
    with _connected(database_url) as log:
        return Totals(
            events=_number(log, "SELECT count(*) FROM events WHERE event_id IS NOT NULL"),
            bytes=_number(log, "SELECT pg_database_size(current_database())"),
        )


def stats(where: Servers, path: str) -> Stats:
    """Reads both stores; takes a second for a million events. Raises psycopg.Error, redis.RedisError."""
    reached, nodes, grips, redis_bytes = asyncio.run(_views(where.redis_url))
    with _connected(where.database_url) as log:
        events = _family(log, "SELECT count(*), coalesce(sum(pg_column_size(data)), 0) FROM events WHERE event_id IS NOT NULL")
        outbox = _family(log, "SELECT count(*), coalesce(sum(pg_column_size(data)), 0) FROM events WHERE position > %s", (reached,))
        return Stats(
            path=path,
            bytes=_number(log, "SELECT pg_database_size(current_database())"),
            families={"events": events, "toc": nodes, "grips": grips, "outbox": outbox},
            dead_rows=_number(log, "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables"),
            wal_bytes=_wal(log),
            redis_bytes=redis_bytes,
        )


def compact(where: Servers, families: tuple[str, ...], tell: Callable[[str], None]) -> None:
    """Gives back what is not used any more: in the tables for what is recorded, in Redis for views. Goes on while both are in use.

    Raises psycopg.Error, redis.RedisError.
    """
    if {"events", "outbox"} & set(families):
        with _connected(where.database_url, autocommit=True) as log:
            names = [row[0] for row in log.execute("SELECT relname FROM pg_stat_user_tables ORDER BY relname").fetchall()]
            for name in names:
                log.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(name)))
        tell(f"Postgres: {len(names)} tables vacuumed")
    if {"toc", "grips"} & set(families):
        asyncio.run(_compact_views(where.redis_url))
        tell("Redis: append-only file is being rewritten, memory given back")


async def _views(redis_url: str) -> tuple[int, Family, Family, int]:
    """Position that every view has reached; nodes; grips; bytes of Redis."""
    redis = connect_redis(redis_url)
    try:
        reached = min([await Ledger(redis, name).checkpoint() for name in PROJECTIONS])
        nodes, grips = await _count(redis, "node"), await _count(redis, "grip")
        memory = cast(Mapping[str, Any], await redis.info("memory"))
        return reached, nodes, grips, int(memory["used_memory"])
    finally:
        await redis.aclose()


async def _count(redis: Any, kind: str) -> Family:
    live = (await contents.generations(redis)).live
    entries = size = 0
    names: list[bytes] = []
    async for name in redis.scan_iter(match=f"{contents.PREFIX}{live}:*}}:{kind}:*", count=2_000):
        names.append(name)
    for start in range(0, len(names), 1_000):
        async with redis.pipeline(transaction=False) as pipe:
            for name in names[start : start + 1_000]:
                pipe.memory_usage(name)
            sizes = [used for used in await pipe.execute() if used]
        entries, size = entries + len(sizes), size + sum(sizes)
    return Family(entries=entries, bytes=size)


async def _compact_views(redis_url: str) -> None:
    redis = connect_redis(redis_url)
    try:
        await redis.execute_command("MEMORY", "PURGE")
        try:
            await redis.bgrewriteaof()
        except RedisError as error:
            # One that is under way does what was asked for.
            if "in progress" not in str(error):
                raise
    finally:
        await redis.aclose()


def _connected(database_url: str, *, autocommit: bool = False) -> psycopg.Connection:
    return psycopg.connect(database_url, connect_timeout=CONNECT_SECONDS, autocommit=autocommit)


def _number(log: psycopg.Connection, query: Any) -> int:
    row = log.execute(query).fetchone()
    return int(row[0]) if row else 0


def _family(log: psycopg.Connection, query: Any, values: tuple[int, ...] = ()) -> Family:
    row = log.execute(query, values).fetchone()
    return Family(entries=int(row[0]), bytes=int(row[1])) if row else Family(entries=0, bytes=0)


def _wal(log: psycopg.Connection) -> int | None:
    try:
        with log.transaction():
            return _number(log, "SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()")
    except psycopg.errors.InsufficientPrivilege:
        return None
