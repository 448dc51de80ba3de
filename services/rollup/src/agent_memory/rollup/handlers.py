"""Events of the log into the table of contents."""

from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import EventRecorded
from agent_memory.readmodels import contents
from agent_memory.rollup.domain import tally

TYPES: frozenset[str] = frozenset({EventRecorded.__name__})


class KeepContents:
    """Projection CONTENTS. Idempotent by (stream, version): an event is counted once, in any order and however often it comes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Count the events of the batch. Raises redis.RedisError; the batch may then be given again."""
        decoded = [(envelope, decode_event(envelope.type, envelope.data)) for envelope in batch]
        recorded = [(envelope, event.event) for envelope, event in decoded if isinstance(event, EventRecorded)]
        await contents.add(self._redis, tally(recorded))
