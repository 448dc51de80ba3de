"""Who may do a piece of background work, and when it is tried again after a failure. In Redis, so that replicas share it.

A lease keeps two replicas from paying for the same answer; it is not what makes work happen once. That is the id of the command
that records it. So losing all of this, as a flush does, costs nothing but time.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

LEASE_MS = 30_000
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 600_000
FORGOTTEN_SECONDS = 86_400

# KEYS: lease, failures. ARGV: token, lease in ms, now in ms, the longest pause in ms: what is further ahead a wrong clock has said.
_TAKE = """
local again = redis.call('HGET', KEYS[2], 'again_ms')
local pause = again and tonumber(again) - tonumber(ARGV[3]) or 0
if pause > 0 and pause <= tonumber(ARGV[4]) then return 0 end
-- Asked again, because the answer was lost with its connection, it is ours already.
return (redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[1]) == ARGV[1]) and 1 or 0
"""
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Leases:
    """Leases on the items of one kind of work."""

    def __init__(self, redis: Redis, work: str, *, lease_ms: int = LEASE_MS) -> None:
        self._redis = redis
        self._work = work
        self._lease_ms = lease_ms

    @asynccontextmanager
    async def held(self, item: str) -> AsyncIterator[bool]:
        """Whether the item may be worked on now; while the block runs, by nobody else. A dead holder's lease runs out."""
        token = secrets.token_hex(8)
        keys = self._keys(item)
        if not int(await self._redis.eval(_TAKE, 2, *keys, token, self._lease_ms, _now_ms(), LONGEST_PAUSE_MS)):
            yield False
            return
        renewing = asyncio.create_task(self._renew(keys[0], token))
        try:
            yield True
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await self._redis.eval(_RELEASE, 1, keys[0], token)

    async def succeeded(self, item: str) -> None:
        """Forget that it ever failed."""
        await self._redis.delete(self._keys(item)[1])

    async def failures(self, item: str) -> int:
        """How often it failed since it last succeeded."""
        return int(await self._redis.hget(self._keys(item)[1], "times") or 0)

    async def failed(self, item: str) -> float:
        """Put the item off, for twice as long each time. Returns for how many seconds."""
        key = self._keys(item)[1]
        times = int(await self._redis.hincrby(key, "times", 1))
        pause: int = min(FIRST_PAUSE_MS << min(times - 1, 20), LONGEST_PAUSE_MS)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, "again_ms", _now_ms() + pause)
            pipe.expire(key, FORGOTTEN_SECONDS)
            await pipe.execute()
        return pause / 1000

    async def _renew(self, key: str, token: str) -> None:
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            with suppress(RedisError, OSError):  # it may be back before the lease has run out
                await self._redis.eval(_RENEW, 1, key, token, self._lease_ms)

    def _keys(self, item: str) -> tuple[str, str]:
        name = f"am:lease:{self._work}:{{{item}}}"
        return f"{name}:holder", f"{name}:failures"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
