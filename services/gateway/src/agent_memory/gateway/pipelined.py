"""Redis commands that travel together: what is asked in one turn of the event loop costs one write and one read."""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from agent_memory.runtime import telemetry
from agent_memory.runtime.redis_connection import connection_pool

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 5.0

log = structlog.get_logger(__name__)
Asked = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


def connection_to(redis_url: str) -> AbstractConnection:
    """A connection of its own, not yet open, that never retries by itself."""
    pool = connection_pool(redis_url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=None)
    connection: AbstractConnection = pool.make_connection()
    return connection


class Pipelined:
    """One connection shared by all callers. Their commands must be safe to send twice: a lost connection is tried again once.

    A pipeline of a client library costs some 100 µs whatever is in it; here that is shared by whoever asks at the same time.
    """

    def __init__(self, redis_url: str) -> None:
        self._connection = connection_to(redis_url)
        self._queue: list[Asked] = []
        self._writing: asyncio.Task[None] | None = None
        self._stale = False

    def send(self, *command: Any) -> "asyncio.Future[Any]":
        """Its answer, later: bytes, a list, or ResponseError; another RedisError when the server cannot be reached."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((command, answer))
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())
        return answer

    def reconnect(self) -> None:
        """Use a new connection from now on: the server has changed behind the old one."""
        self._stale = True

    async def stop(self) -> None:
        """Finish what is queued and close."""
        if self._writing is not None:
            await self._writing
        await self._connection.disconnect(nowait=True)

    async def _write(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                try:
                    try:
                        await self._exchange(batch)
                    except RedisConnectionError:
                        await self._connection.disconnect(nowait=True)
                        await self._exchange(batch)
                except (RedisError, OSError) as error:
                    await self._give_up(batch, error)
        finally:
            self._writing = None

    async def _exchange(self, batch: list[Asked]) -> None:
        connection = self._connection
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._stale:
                self._stale = False
                await connection.disconnect(nowait=True)
            if not connection.is_connected:
                await connection.connect()
            packed = b"".join(connection.pack_commands([command for command, _ in batch]))
            await connection.send_packed_command(packed, check_health=False)
            for _, answer in batch:
                try:
                    found = await connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    _refuse(answer, error)
                else:
                    if not answer.done():
                        answer.set_result(found)

    async def _give_up(self, batch: list[Asked], error: Exception) -> None:
        telemetry.ERRORS.labels("redis.pipelined", type(error).__name__).inc(len(batch))
        log.warning("redis cannot be reached", commands=len(batch), error=f"{type(error).__name__}: {error}")
        await self._connection.disconnect(nowait=True)
        for _, answer in batch:
            _refuse(answer, RedisConnectionError(str(error)))


def _refuse(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


class JoiningRedis(Redis):  # type: ignore[misc]
    """A client whose MGETs travel together; everything else is as usual."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pipelined: Pipelined | None = None

    @classmethod
    def joining(cls, redis_url: str) -> "JoiningRedis":
        """A client of that server that speaks bytes."""
        client: JoiningRedis = cls.from_pool(connection_pool(redis_url, socket_connect_timeout=CONNECT_SECONDS))
        client._pipelined = Pipelined(redis_url)
        return client

    async def mget(self, keys: Any, *args: Any) -> Any:
        """Values of keys, None where there is none."""
        if self._pipelined is None:
            return await super().mget(keys, *args)
        return await self._pipelined.send("MGET", *([keys] if isinstance(keys, str | bytes) else keys), *args)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        if self._pipelined is not None:
            await self._pipelined.stop()
        await super().aclose(close_connection_pool)
