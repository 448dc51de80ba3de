"""Where the working-memory views of decided changes are shown: with the answers, or in a Redis of their own."""

import asyncio
import time
from collections.abc import Sequence

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.readmodels.sessions import SessionWriter, ViewWrite
from agent_memory.runtime import telemetry

log = structlog.get_logger("ingest")

LONGEST_SECONDS = 2.0
REST_SECONDS = 1.0
"""How long a Redis that failed is not asked: everybody else's answers would wait for it."""
NOTHING: frozenset[str] = frozenset()


class ShownWithAnswers:
    """One Redis holds both: views and answers go out in one round trip, or neither does."""

    def __init__(self, redis: Redis) -> None:
        self._views = SessionWriter(redis)

    async def show(self, views: Sequence[ViewWrite], pipeline: Redis) -> frozenset[str]:
        """Puts the views into the pipeline of the answers. None is left behind."""
        self._views.queue(views, pipeline)
        return NOTHING


class ShownApart:
    """Working memory has a Redis of its own. While that is away, only what changes sessions waits."""

    def __init__(self, redis: Redis) -> None:
        self._views = SessionWriter(redis)
        self._away_until = 0.0

    async def show(self, views: Sequence[ViewWrite], pipeline: Redis) -> frozenset[str]:
        """Shows the views, before anybody is answered. Returns the streams that are behind because it could not."""
        del pipeline
        if not views:
            return NOTHING
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    await self._views.show(list(views))
            except (RedisError, OSError, TimeoutError) as error:
                telemetry.ERRORS.labels("ingest", "WorkingMemoryUnavailable").inc()
                log.warning("working memory away", error=f"{type(error).__name__}: {error}", sessions=len(views))
                self._away_until = time.monotonic() + REST_SECONDS
            else:
                return NOTHING
        return frozenset(view.stream for view in views)
