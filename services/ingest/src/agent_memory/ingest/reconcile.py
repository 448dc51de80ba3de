"""After Redis came back: whatever it forgot of working memory is dropped, so that it is rebuilt from the log.

Redis keeps its own log with up to a second of delay; a killed Redis may come back with views that are older than what was
acknowledged. A new run id tells that it was restarted.
"""

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.eventlog.connect import Connections
from agent_memory.readmodels.sessions import SessionWriter, ViewWrite

log = structlog.get_logger("reconcile")

LOOK_SECONDS = 1.0
BACK_MS = 120_000
BACK_EVENTS = 10_000
"""How far back views are held against the log, by time and by count: much more than Redis can lose, whatever a clock says."""

RECENT = """
    SELECT stream, max(version) FROM events
    WHERE position > least((SELECT position FROM log_head) - %s, coalesce((
        SELECT position FROM events WHERE recorded_ms < (SELECT recorded_ms FROM events ORDER BY position DESC LIMIT 1) - %s
        ORDER BY position DESC LIMIT 1), 0))
    AND stream >= 'session/' AND stream < 'session0'
    GROUP BY stream
"""
CHUNK = 500


class Reconciler:
    """Runs as a task of ingest."""

    def __init__(self, connections: Connections, redis: Redis) -> None:
        self._connections = connections
        self._redis = redis
        self._views = SessionWriter(redis)

    async def run(self) -> None:
        """Watches for a restarted Redis. The first look counts as one: what happened before is not known."""
        known = ""
        while True:
            try:
                run_id = str((await self._redis.info("server"))["run_id"])
                if run_id != known:
                    dropped = await self.reconcile()
                    log.info("views held against the log", sessions=dropped, redis=run_id)
                    known = run_id
            except (RedisError, OSError) as error:
                log.warning("redis away", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def reconcile(self) -> int:
        """Drops views that are behind; returns how many sessions were looked at."""
        async with self._connections.connection() as connection:
            rows = await (await connection.execute(RECENT, (BACK_EVENTS, BACK_MS))).fetchall()
        writes = [ViewWrite(how="drop", stream=row[0], version=row[1]) for row in rows]
        for start in range(0, len(writes), CHUNK):
            await self._views.show(writes[start : start + CHUNK])
        return len(writes)
