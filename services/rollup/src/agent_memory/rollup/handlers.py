"""Events of the log into the table of contents."""

from collections.abc import Sequence
from functools import partial

from redis.asyncio import Redis

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.readmodels import contents, due
from agent_memory.readmodels.contents import Step, Written, Zoned
from agent_memory.readmodels.contents_keeping import TYPES, Keeping
from agent_memory.rollup.domain import Delays, due_after_revision, due_after_step

__all__ = ["TYPES", "KeepContents"]


class KeepContents:
    """Projection CONTENTS. Idempotent, as `Keeping` is."""

    def __init__(self, redis: Redis, *, zones: Zoned, delays: Delays) -> None:
        self._redis = redis
        self._zones = zones
        self._delays = delays
        self._keeping = Keeping(redis, zones)

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Take the batch into every generation there is.

        Raises Unavailable when others keep moving the same sessions, and redis.RedisError; the batch may then be given again.
        """
        there = await contents.generations(self._redis)
        for generation in there.all:
            if generation != there.live:
                await self._keeping.take(generation, batch)
            else:
                now_ms = batch[-1].recorded_ms
                # Marked before: what a step ended is not known any more to whoever takes it again after a death.
                _, written = await self._keeping.take(generation, batch, partial(self._mark, now_ms))
                await due.mark(self._redis, self._above(written, now_ms))

    async def _mark(self, now_ms: int, steps: Sequence[Step]) -> None:
        found = [part for one in steps for part in due_after_step(one, now_ms, self._delays, self._zones.of(one.scope.tenant))]
        await due.mark(self._redis, found)

    def _above(self, written: Sequence[Written], now_ms: int) -> list[tuple[str, int]]:
        return [
            part
            for one in written
            for part in due_after_revision(one.scope, one.revision, now_ms, self._delays, self._zones.of(one.scope.tenant))
        ]
