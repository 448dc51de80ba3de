"""Redis commands that travel together: what is asked in one turn of the event loop costs one write and one read."""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from agent_memory.runtime import telemetry
from agent_memory.runtime.redis_connection import connection_pool

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 5.0
SEARCH_SECONDS = 30.0
"""Longest wait for one answer among searches: others' may be carried out first, of which each may take five seconds."""
SEARCH_LANES = 4
"""Connections that searches share: while one delivers answers, Redis works on what came over another."""

log = structlog.get_logger(__name__)
Command = tuple[Any, ...]


class Asked(NamedTuple):
    """Commands of one caller. `alone`: the answer is that of the only command; otherwise a list, errors among it."""

    commands: Sequence[Command]
    answer: "asyncio.Future[Any]"
    alone: bool


def connection_to(redis_url: str) -> AbstractConnection:
    """A connection of its own, not yet open, that never retries by itself."""
    pool = connection_pool(redis_url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=None)
    connection: AbstractConnection = pool.make_connection()
    return connection


class Pipelined:
    """One connection shared by all callers. Their commands must be safe to send twice: a lost connection is tried again once.

    A pipeline of a client library costs some 100 µs whatever is in it; here that is shared by whoever asks at the same time.
    """

    def __init__(self, redis_url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._connection = connection_to(redis_url)
        self._answer_seconds = answer_seconds
        self._queue: list[Asked] = []
        self._open = 0
        self._writing: asyncio.Task[None] | None = None
        self._stale = False

    def send(self, *command: Any) -> "asyncio.Future[Any]":
        """Its answer, later: bytes, a list, or ResponseError; another RedisError when the server cannot be reached."""
        return self._asked((command,), alone=True)

    def together(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        """Their answers, later, in order and nothing of others between; a ResponseError is the answer it is. Raises as `send`."""
        return self._asked(commands, alone=False)

    @property
    def waiting(self) -> int:
        """Callers that have no answer yet."""
        return self._open

    def reconnect(self) -> None:
        """Use a new connection from now on: the server has changed behind the old one."""
        self._stale = True

    async def stop(self) -> None:
        """Finish what is queued and close."""
        if self._writing is not None:
            await self._writing
        await self._connection.disconnect(nowait=True)

    def _asked(self, commands: Sequence[Command], *, alone: bool) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(Asked(commands, answer, alone))
        self._open += 1
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())
        return answer

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
                self._open -= len(batch)
        finally:
            self._writing = None

    async def _exchange(self, batch: list[Asked]) -> None:
        connection = self._connection
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(self._answer_seconds) as limit:
            if self._stale:
                self._stale = False
                await connection.disconnect(nowait=True)
            if not connection.is_connected:
                await connection.connect()
            packed = b"".join(connection.pack_commands([command for asked in batch for command in asked.commands]))
            await connection.send_packed_command(packed, check_health=False)
            for asked in batch:
                _settle(asked, [await self._reply() for _ in asked.commands])
                limit.reschedule(now() + self._answer_seconds)

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    async def _give_up(self, batch: list[Asked], error: Exception) -> None:
        telemetry.ERRORS.labels("redis.pipelined", type(error).__name__).inc(len(batch))
        log.warning("redis cannot be reached", commands=len(batch), error=f"{type(error).__name__}: {error}")
        await self._connection.disconnect(nowait=True)
        for asked in batch:
            if not asked.answer.done():
                asked.answer.set_exception(RedisConnectionError(str(error)))


def _settle(asked: Asked, replies: list[Any]) -> None:
    if asked.answer.done():  # the caller has gone, or had its answer before the connection was lost
        return
    if not asked.alone:
        asked.answer.set_result(replies)
    elif isinstance(replies[0], ResponseError):
        asked.answer.set_exception(replies[0])
    else:
        asked.answer.set_result(replies[0])


_waiting = attrgetter("waiting")


class JoiningRedis(Redis):  # type: ignore[misc]
    """A client whose MGETs travel together, and whose searches do, apart from them; everything else is as usual."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pipelined: Pipelined | None = None
        self._lanes: list[Pipelined] = []

    @classmethod
    def joining(cls, redis_url: str) -> "JoiningRedis":
        """A client of that server that speaks bytes."""
        client: JoiningRedis = cls.from_pool(connection_pool(redis_url, socket_connect_timeout=CONNECT_SECONDS))
        client._pipelined = Pipelined(redis_url)
        client._lanes = [Pipelined(redis_url, answer_seconds=SEARCH_SECONDS) for _ in range(SEARCH_LANES)]
        return client

    async def together(self, commands: Sequence[Command]) -> list[Any]:
        """Answers of commands that are safe to send twice, an error as the answer it is. Raises RedisError when out of reach."""
        return await min(self._lanes, key=_waiting).together(commands)

    async def mget(self, keys: Any, *args: Any) -> Any:
        """Values of keys, None where there is none."""
        if self._pipelined is None:
            return await super().mget(keys, *args)
        return await self._pipelined.send("MGET", *([keys] if isinstance(keys, str | bytes) else keys), *args)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        for pipelined in (*self._lanes, *([self._pipelined] if self._pipelined else [])):
            await pipelined.stop()
        await super().aclose(close_connection_pool)
