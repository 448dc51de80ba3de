"""Publishes committed events on the bus, in log order, each with the stream id `<position>-0`.

So the bus id is the log position, and a relay that restarts cannot publish twice: Redis refuses ids that do not grow. One
process at a time relays, the one that holds the advisory lock; the others stand by. What was just committed by the same
process is handed over in memory; anything else is read from the log.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.streams import DATA_FIELD, EVENTS, PROJECTIONS, checkpoint_key
from agent_memory.eventlog.connect import noticing
from agent_memory.eventlog.reader import LogReader

log = structlog.get_logger("relay")

RELAY_LOCK = 0x616D_7265
CHUNK = 500
HANDOVER_LIMIT = 20_000
IDLE_SECONDS = 0.25
GATHER_SECONDS = 0.002
TRIM_SECONDS = 10.0
SILENT_MS = 30_000
"""Who leads says something every `TRIM_SECONDS`. From one that stands still, frozen say, the server takes the lock away."""
REPUBLISHED = 5_000
MOST_ON_BUS = 1_000_000
RETRY_SECONDS = 0.5

PUBLISH = """
-- ARGV: id, envelope, type for each event. What is on the bus already is refused by its id and passed over.
local published = 0
for i = 1, #ARGV, 3 do
  local added = redis.pcall('XADD', KEYS[1], ARGV[i], 'FIELD', ARGV[i + 1], 'type', ARGV[i + 2])
  if type(added) == 'table' and added.err then
    if not string.find(added.err, 'equal or smaller', 1, true) then return redis.error_reply(added.err) end
  else
    published = published + 1
  end
end
return published
""".replace("FIELD", DATA_FIELD)
"""One command for a whole chunk: packing hundreds of them costs more than sending them."""


class Published(msgspec.Struct, frozen=True):
    """An event ready for the bus: `body` is its envelope as JSON."""

    position: int
    type: str
    body: bytes


class Relay:
    """Runs as a task of ingest until cancelled."""

    def __init__(
        self,
        database_url: str,
        reader: LogReader,
        redis: Redis,
        *,
        on_published: Callable[[int, int], None] = lambda count, position: None,
    ) -> None:
        self._database_url = database_url
        self._reader = reader
        self._redis = redis
        self._on_published = on_published
        self._handed: deque[Published] = deque()
        self._wake = asyncio.Event()
        self._published: int | None = None
        self._gap = False
        self.leading = False

    def offer(self, events: Sequence[Published]) -> None:
        """Events this process has just committed. Ignored while another process relays: that one reads the log."""
        if self.leading and len(self._handed) < HANDOVER_LIMIT:
            self._handed.extend(events)
        else:
            self._gap = True
        self._wake.set()

    async def run(self) -> None:
        """Leads whenever the lock is free; survives the loss of either server."""
        while True:
            try:
                url = noticing(self._database_url, f"idle_session_timeout={SILENT_MS}")
                async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=3) as lock:
                    await self._lead(lock)
            except (psycopg.Error, Unavailable, RedisError, OSError) as error:
                log.warning("relay interrupted", error=f"{type(error).__name__}: {error}")
            finally:
                self.leading, self._published = False, None
                self._handed.clear()
            await asyncio.sleep(RETRY_SECONDS)

    async def _lead(self, lock: AsyncConnection) -> None:
        while True:
            row = await (await lock.execute("SELECT pg_try_advisory_lock(%s)", (RELAY_LOCK,))).fetchone()
            if row and row[0]:
                break
            await asyncio.sleep(RETRY_SECONDS)
        self._published = await self.last_published()
        self.leading = True
        self._on_published(0, self._published)  # who watches would take it for one that is far behind, until it publishes something
        log.info("relay leads", published=self._published)
        beat = asyncio.get_running_loop().time()
        look = True
        while True:
            await self._publish_all(look=look)
            now = asyncio.get_running_loop().time()
            if now - beat > TRIM_SECONDS:
                beat = now
                await lock.execute("SELECT 1")  # a lost connection means a lost lock: find out, and stand back
                await self.trim()
            look = False
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                look = True  # another process may have written
            self._wake.clear()

    async def last_published(self) -> int:
        """Position up to which events are on the bus, or need not be. Raises redis.RedisError, Unavailable."""
        try:
            info = await self._redis.xinfo_stream(EVENTS)
            last = int(bytes(info["last-generated-id"]).split(b"-")[0])
        except ResponseError:
            last = 0
        # No such stream, or one that a consumer has just made for its group: a new or flushed Redis. What is recent goes on the bus
        # again, the rest is read from the log.
        return last or max(await self._slowest(), await self._reader.head() - REPUBLISHED)

    async def _publish_all(self, *, look: bool) -> None:
        """Publishes what was handed over; goes to the log where that leaves a gap, or when it is time to look."""
        while True:
            chunk = self._next_handed()
            if not chunk and (look or self._gap):
                self._gap = False
                chunk = await self._next_read()
            if not chunk:
                return
            await self._publish(chunk)

    def _next_handed(self) -> list[Published]:
        assert self._published is not None
        while self._handed and self._handed[0].position <= self._published:
            self._handed.popleft()
        if not self._handed:
            return []
        if self._handed[0].position != self._published + 1:
            self._handed.clear()
            self._gap = True
            return []
        chunk: list[Published] = []
        while self._handed and len(chunk) < CHUNK and self._handed[0].position == self._published + 1 + len(chunk):
            chunk.append(self._handed.popleft())
        return chunk

    async def _next_read(self) -> list[Published]:
        assert self._published is not None
        events = await self._reader.after(self._published, limit=CHUNK)
        return [Published(event.position, event.type, encode(event)) for event in events]

    async def _publish(self, chunk: list[Published]) -> None:
        published = await self._put(chunk)
        self._published = chunk[-1].position
        self._on_published(published, self._published)
        # Commits that follow each other closely share a command, and wake the consumers once.
        await asyncio.sleep(GATHER_SECONDS)
        if published < len(chunk):
            log.info("already on the bus", events=len(chunk) - published, position=self._published)

    async def _put(self, chunk: list[Published]) -> int:
        parts: list[bytes | str] = []
        for event in chunk:
            parts += (f"{event.position}-0", event.body, event.type)
        return int(await self._redis.eval(PUBLISH, 1, EVENTS, *parts))

    async def publish_missing(self) -> int:
        """Puts on the bus what was committed and is not there, and returns how much that was. Safe beside whoever leads: what is on
        the bus already is refused. Raises redis.RedisError, Unavailable.
        """
        last, published = await self.last_published(), 0
        while events := await self._reader.after(last, limit=CHUNK):
            chunk = [Published(event.position, event.type, encode(event)) for event in events]
            published += await self._put(chunk)
            last = chunk[-1].position
        return published

    async def trim(self) -> int:
        """Removes from the bus what every projection has accounted for; returns how many entries went. Of what the slowest has not,
        the newest `MOST_ON_BUS` stay: one that does not run must not fill Redis, and reads the rest from the log.
        """
        unneeded = max(await self._slowest(), await self.last_published() - MOST_ON_BUS)
        return int(await self._redis.xtrim(EVENTS, minid=f"{unneeded + 1}-0", approximate=True)) if unneeded > 0 else 0

    async def _slowest(self) -> int:
        values = await self._redis.mget([checkpoint_key(name) for name in PROJECTIONS])
        return min(int(value or 0) for value in values)
