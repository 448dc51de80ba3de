"""Connections to Redis: how one to a host that vanished is noticed."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from agent_memory.runtime.broker import connect_redis, connected, make_broker
from agent_memory.runtime.redis_connection import connection_class
from agent_memory.runtime.settings import Settings


@asynccontextmanager
async def reader(url: str) -> AsyncIterator[Redis]:
    """What services read the bus with."""
    broker = make_broker(Settings(redis_url=url))
    await broker.connect()
    yield connected(broker)
    await broker.stop()


@pytest.mark.parametrize("client", [connect_redis, reader])
async def test_a_host_that_vanished_is_noticed_within_half_a_minute(client: object, redis_url: str) -> None:
    async with client(redis_url) as redis:  # type: ignore[operator]
        connection = await redis.connection_pool.get_connection()
        opened = connection._writer.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, every, times, unanswered = (
            opened.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        )
        await redis.connection_pool.release(connection)
    assert idle + every * times <= 30
    assert unanswered <= 30_000


def test_so_it_is_over_tls_and_a_socket_of_this_machine_needs_none() -> None:
    over_tls = connection_class("rediss://h:1/0")()
    assert isinstance(over_tls, SSLConnection)
    assert over_tls.socket_keepalive
    assert not hasattr(connection_class("unix:///tmp/redis.sock")(path="/tmp/redis.sock"), "socket_keepalive")
