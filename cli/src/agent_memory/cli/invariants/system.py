"""The system that is looked at: its servers, and which vectors and indexes its settings mean. Only reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import Unavailable
from agent_memory.readmodels.contents import UTC_ALWAYS, Zoned, zones_held

Connection = AsyncConnection[TupleRow]

SETTLE_SECONDS = 5.0


class System(msgspec.Struct, frozen=True, kw_only=True):
    """`log` reads one moment of the log: what is recorded while a check runs does not appear half-way.

    `settle_seconds`: how long a view may be behind. It is written right after its commit; when ingest dies between the two,
    another replica sees to it within about so long. `views`: where working memory lies, often `redis` itself.
    """

    log: Connection
    now: Connection
    redis: Redis
    views: Redis
    head: int
    messages_too: bool = False
    settle_seconds: float = SETTLE_SECONDS
    zones: Zoned = UTC_ALWAYS


@asynccontextmanager
async def opened(
    database_url: str,
    redis_url: str,
    *,
    views_url: str = "",
    messages_too: bool = False,
    settle_seconds: float = SETTLE_SECONDS,
    zones: Zoned = UTC_ALWAYS,
) -> AsyncIterator[System]:
    """Connections to all servers, closed at the end. `zones`: those of a table of contents that does not say its own.

    Raises Unavailable naming the server that does not answer.
    """
    redis = Redis.from_url(redis_url, protocol=2, socket_connect_timeout=3)
    apart = views_url not in ("", redis_url)
    views = Redis.from_url(views_url, protocol=2, socket_connect_timeout=3) if apart else redis
    try:
        async with connected(database_url) as log, connected(database_url) as now:
            await redis.ping()
            await views.ping()
            async with log.transaction():
                await log.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                head = await number(log, "SELECT position FROM log_head")
                yield System(
                    log=log,
                    now=now,
                    redis=redis,
                    views=views,
                    head=head,
                    messages_too=messages_too,
                    settle_seconds=settle_seconds,
                    zones=await zones_held(redis) or zones,
                )
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
    finally:
        await views.aclose()
        await redis.aclose()


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Connection]:
    """One connection to the log's database. Raises Unavailable."""
    try:
        connection = await AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=3, application_name="agent-memory doctor"
        )
    except (psycopg.OperationalError, OSError) as error:
        raise Unavailable(f"Postgres does not answer: {error}") from error
    async with connection:
        yield connection


async def number(connection: Connection, query: str, values: tuple[object, ...] = ()) -> int:
    """The one number that a query answers; 0 for none."""
    row = await (await connection.execute(query, values or None)).fetchone()
    return int(row[0] or 0) if row else 0
