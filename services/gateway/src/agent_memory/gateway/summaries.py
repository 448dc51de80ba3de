"""What the summarizer still has to do, as far as the gateway waits for it."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.readmodels import session_work


class PendingSummaries:
    """As the view of what is to be done for sessions has it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def pending(self, scope: Scope, session_id: str, position: int) -> bool:
        """Whether the session, as a write at that position left it, still waits to be summarised. Raises Unavailable."""
        try:
            return await session_work.pending(self._redis, scope, session_id, position)
        except RedisError as error:
            raise Unavailable("it cannot be told what waits for a summary: Redis is not reachable") from error


class NothingPending:
    """Stands where nobody summarises: no write waits."""

    async def pending(self, scope: Scope, session_id: str, position: int) -> bool:
        """Never."""
        return False
