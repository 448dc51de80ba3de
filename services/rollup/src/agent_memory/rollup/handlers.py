"""Events of the log into the table of contents."""

from collections.abc import Sequence

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
            steps, written = await self._keeping.take(generation, batch)
            if generation == there.live:
                await due.mark(self._redis, self._due(steps, written, batch[-1].recorded_ms))

    def _due(self, steps: Sequence[Step], written: Sequence[Written], now_ms: int) -> list[tuple[str, int]]:
        found = [part for one in steps for part in due_after_step(one, now_ms, self._delays, self._zones.of(one.scope.tenant))]
        for one in written:
            found += due_after_revision(one.scope, one.revision, now_ms, self._delays, self._zones.of(one.scope.tenant))
        return found
