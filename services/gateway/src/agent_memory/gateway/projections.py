"""How far the views are, as Redis has it."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import Unavailable
from agent_memory.readmodels.progress import Ledger, Progress


class RedisProjections:
    """Progress of every projection."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, projection: str) -> Progress:
        """Checkpoint and counters. Raises Unavailable."""
        try:
            return await Ledger(self._redis, projection).read()
        except (RedisError, OSError) as error:
            raise _away(projection) from error

    async def covers(self, projection: str, position: int) -> bool:
        """Whether the effect of this position is visible. Raises Unavailable."""
        try:
            return await Ledger(self._redis, projection).covers(position)
        except (RedisError, OSError) as error:
            raise _away(projection) from error


def _away(projection: str) -> Unavailable:
    return Unavailable(f"the progress of {projection} cannot be read: Redis is not reachable; try again")
