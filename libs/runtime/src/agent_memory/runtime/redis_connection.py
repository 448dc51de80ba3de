"""Connections to Redis that pack commands in C: redis-py's asynchronous connection does it in Python, which was the largest
single cost of a write.
"""

import socket
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

_NOTICING = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
NOTICING = {getattr(socket, name): value for name, value in _NOTICING.items() if hasattr(socket, name)}
"""A host that vanished says nothing any more: after half a minute of that the connection counts as lost. Without, whoever reads
would wait for ever.
"""


class _Noticing:
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"socket_keepalive": True, "socket_keepalive_options": NOTICING, **options})


class _Packing:
    def pack_command(self, *args: Any) -> list[bytes]:
        name = args[0].encode() if isinstance(args[0], str) else args[0]
        return [hiredis.pack_command((*name.split(), *args[1:]))]

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ReadOnlyError as error:
            # Since a failover. The address may lead to the new primary by now, and this connection never will.
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise RedisConnectionError("this server has become a replica") from error


class PackingConnection(_Noticing, _Packing, Connection):  # type: ignore[misc]
    """Over TCP."""


class PackingSSLConnection(_Noticing, _Packing, SSLConnection):  # type: ignore[misc]
    """Over TLS."""


class PackingUnixConnection(_Packing, UnixDomainSocketConnection):  # type: ignore[misc]
    """Over a Unix socket."""


_CLASSES = {"redis": PackingConnection, "rediss": PackingSSLConnection, "unix": PackingUnixConnection}


def connection_class(url: str) -> type[Any]:
    """The class for a URL's scheme."""
    return _CLASSES.get(url.partition("://")[0], PackingConnection)


def connection_pool(url: str, **options: Any) -> ConnectionPool:
    """A pool that speaks bytes; RESP2, which Redis Search answers best.

    It tries a broken connection once more and then says so: whoever waits for an answer must not wait for Redis to come back.
    """
    pool = ConnectionPool.from_url(url, protocol=2, retry=Retry(NoBackoff(), 1), **options)
    pool.connection_class = connection_class(url)
    return pool


def connect_redis(url: str) -> Redis:
    """A client of that server."""
    return Redis.from_pool(connection_pool(url, socket_connect_timeout=3))
