"""Events of the log into groups of memories that say the same."""

from redis.asyncio import Redis

from agent_memory.compactor.domain import latest, project
from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.readmodels import duplicates

TYPES: frozenset[str] = frozenset(kind.__name__ for kind in (MemoryStored, MemoryEdited, MemoryForgotten))


class KeepDuplicates:
    """Projection DUPLICATES. Idempotent by position: a memory's entry is only replaced from a higher one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Group the memories of the batch. Raises redis.RedisError; the batch may then be given again."""
        changes = [project(envelope, decode_event(envelope.type, envelope.data)) for envelope in batch]
        await duplicates.write(self._redis, latest(change for change in changes if change is not None))
