"""After Redis came back: whatever it forgot of working memory is dropped, so that it is rebuilt from the log.

Redis keeps its own log with up to a second of delay; a killed Redis may come back with views that are older than what was
acknowledged. A new run id tells that it was restarted.

A new one may also have a clock that is behind, and commands have their order from it: what is asked next would count as older
than what is in the log, and be passed over.
"""

import asyncio

import psycopg
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.streams import COMMANDS, INGEST_GROUP
from agent_memory.eventlog.connect import Connections
from agent_memory.readmodels.sessions import SessionWriter, ViewWrite
from agent_memory.runtime.broker import COUNTER_BITS, ensure_group

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
NEWEST = """
    SELECT max((data->>'sequence')::bigint)
    FROM (SELECT data FROM events ORDER BY position DESC LIMIT %s) AS recent
"""
# At once, because an entry that is added in between must not be followed by one with a smaller id. ARGV: milliseconds, counter.
_GO_ON_AFTER = """
local told = redis.call('XINFO', 'STREAM', KEYS[1])
for at = 1, #told, 2 do
  if told[at] == 'last-generated-id' then
    local ms, counter = string.match(told[at + 1], '(%d+)-(%d+)')
    local ahead = tonumber(ARGV[1]) - tonumber(ms)
    if ahead < 0 or (ahead == 0 and tonumber(ARGV[2]) <= tonumber(counter)) then return 0 end
    redis.call('XSETID', KEYS[1], ARGV[1] .. '-' .. ARGV[2])
    return 1
  end
end
"""


class Reconciler:
    """Runs as a task of ingest."""

    def __init__(self, connections: Connections, views: Redis, bus: Redis) -> None:
        self._connections = connections
        self._servers = [views] if views is bus else [views, bus]
        self._views = SessionWriter(views)
        self._bus = bus

    async def run(self) -> None:
        """Watches for a restarted Redis. The first look counts as one: what happened before is not known."""
        known: list[str] = []
        while True:
            try:
                run_ids = [str((await server.info("server"))["run_id"]) for server in self._servers]
                if run_ids != known:
                    await self.go_on_after_the_log()
                    dropped = await self.reconcile()
                    log.info("views held against the log", sessions=dropped, redis=run_ids)
                    known = run_ids
            except (RedisError, psycopg.Error, OSError) as error:
                log.warning("put off", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def reconcile(self) -> int:
        """Drops views that are behind; returns how many sessions were looked at."""
        async with self._connections.connection() as connection:
            rows = await (await connection.execute(RECENT, (BACK_EVENTS, BACK_MS))).fetchall()
        writes = [ViewWrite(how="drop", stream=row[0], version=row[1]) for row in rows]
        for start in range(0, len(writes), CHUNK):
            await self._views.show(writes[start : start + CHUNK])
        return len(writes)

    async def go_on_after_the_log(self) -> bool:
        """Gives commands to come a later place than what was recorded; whether they would have had an earlier one."""
        async with self._connections.connection() as connection:
            row = await (await connection.execute(NEWEST, (BACK_EVENTS,))).fetchone()
        if row is None or row[0] is None:
            return False
        await ensure_group(self._bus, COMMANDS, INGEST_GROUP)
        ms, counter = int(row[0]) >> COUNTER_BITS, int(row[0]) & ((1 << COUNTER_BITS) - 1)
        moved = bool(await self._bus.eval(_GO_ON_AFTER, 1, COMMANDS, ms, counter))
        if moved:
            log.warning("the clock of Redis is behind what is in the log; commands go on after that", log_ms=ms)
        return moved
