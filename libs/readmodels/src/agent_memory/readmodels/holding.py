"""A key in Redis that one process at most holds for as long as it works: renewed beside the work, so that no slow step loses it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

# Asked again, because the answer was lost with its connection, it is ours already.
_TAKE = """
return (redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[1]) == ARGV[1]) and 1 or 0
"""
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@asynccontextmanager
async def held(redis: "Redis", key: str, lease_ms: int) -> AsyncIterator[bool]:
    """Whether the key is ours while the block runs. Of a holder that died it is free after `lease_ms`. Raises redis.RedisError."""
    token = secrets.token_hex(8)
    if not int(await redis.eval(_TAKE, 1, key, token, lease_ms)):
        yield False
        return
    renewing = asyncio.create_task(_renew(redis, key, token, lease_ms))
    try:
        yield True
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await redis.eval(_RELEASE, 1, key, token)


async def _renew(redis: "Redis", key: str, token: str, lease_ms: int) -> None:
    while True:
        await asyncio.sleep(lease_ms / 3000)
        with suppress(RedisError, OSError):  # it may be back before the lease has run out
            await redis.eval(_RENEW, 1, key, token, lease_ms)
