"""Asking the compactor and waiting for it."""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.compaction import Compact, Compacted
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.streams import COMPACTIONS, DATA_FIELD, compaction_answer_key
from agent_memory.runtime.service import is_alive

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.01, 0.25
GRACE_SECONDS = 5.0
"""The compactor says itself when it takes too long; only one that died in between is silent."""
_decode = msgspec.json.Decoder(Compacted).decode


class RedisCompaction:
    """A request on the bus, its answer in Redis. The request outlives whoever waits for it."""

    def __init__(self, redis: Redis, *, new_id: Callable[[], str], seconds: float) -> None:
        self._redis = redis
        self._new_id = new_id
        self._seconds = seconds

    async def compact(self, tenant: str, position: int, namespace: str | None, user_id: str | None) -> Compacted:
        """What became of everything up to a log position. Raises Unavailable when nobody does it, or it takes too long."""
        request = Compact(id=self._new_id(), tenant=tenant, position=position, namespace=namespace, user_id=user_id)
        try:
            await self._check_alive()
            await self._redis.xadd(COMPACTIONS, {DATA_FIELD: encode(request)})
            answer = await self._answer(request.id)
        except (RedisError, OSError) as error:
            raise Unavailable("compaction cannot be asked for: Redis is not reachable; try again") from error
        if answer.fault is not None:
            raise answer.fault.error(request.id)
        return answer

    async def _check_alive(self) -> None:
        if not await is_alive(self._redis, "compactor"):
            raise Unavailable("no replica of the compactor is alive; try again when one is")

    async def _answer(self, request_id: str) -> Compacted:
        deadline, pause = time.monotonic() + self._seconds + GRACE_SECONDS, FIRST_PAUSE_SECONDS
        while True:
            found = cast(bytes | None, await self._redis.getdel(compaction_answer_key(request_id)))
            if found is not None:
                return _decode(found)
            if time.monotonic() > deadline:
                raise Unavailable("compaction takes long and goes on; ask again for how it ended")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
