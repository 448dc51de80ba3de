"""Writes about the nodes of the table of contents that have changed: segments from what was said, periods from their parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import MemoryFault, Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import Failed, ReplyEnvelope
from agent_memory.contracts.streams import CONTENTS
from agent_memory.readmodels import due
from agent_memory.readmodels.due import Kind
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime import telemetry
from agent_memory.runtime.commanding import Commanding
from agent_memory.summarizer.domain import command
from agent_memory.summarizer.revisions import Revisions, Sessions

LOOK_SECONDS = 0.25
LEASE_MS = 30_000
"""How long a node is left to a worker that took it and was not heard of since. One that lives renews it."""
SWEPT_MS = 600_000
"""A sweep sees to what would be due in that time."""
SEEN_SECONDS = 10.0
AGAIN_MS = 1_000
REFUSED_MS = 600_000
LONGEST_PAUSE_MS = 600_000

log = structlog.get_logger(__name__)


Head = Callable[[], Awaitable[int]]
"""Position of the newest event of the log (`LogReader.head`)."""


class Item(msgspec.Struct, kw_only=True):
    """A node that was taken, by its log stream; what came of it."""

    stream: str
    changes: str
    scope: Scope
    node_id: str
    sent: CommandEnvelope | None = None
    again_ms: int | None = None


class Revising:
    """Takes what is due, has it drafted, records it, and sees to it that the view shows it. Any number of these may run.

    It reads the view only when that shows all of the log: what is half made again after a flush is not written about.
    """

    def __init__(
        self, redis: Redis, revisions: Revisions, commands: Commanding, head: Head, *, at_once: int, lease_ms: int = LEASE_MS
    ) -> None:
        self._redis = redis
        self._revisions = revisions
        self._commands = commands
        self._head = head
        self._ledger = Ledger(redis, CONTENTS)
        self._at_once = at_once
        self._lease_ms = lease_ms
        self._failed: dict[str, int] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                found = await self.look()
            except (MemoryFault, RedisError, OSError) as error:
                telemetry.ERRORS.labels("toc.revise", type(error).__name__).inc()
                log.warning("writing about nodes put off", error=f"{type(error).__name__}: {error}")
                found = 0
            if not found:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> int:
        """See to the nodes that are due now. How many there were. Raises MemoryFault and redis.RedisError; they come back then."""
        now_ms = _now_ms()
        taken = await due.take(self._redis, now_ms, until_ms=now_ms + self._lease_ms, most=self._at_once)
        if not taken:
            return 0
        items = [_item(stream, changes) for stream, changes in taken]
        try:
            async with self._held(items):
                await self._shown(await self._head())
                await self._draft(items)
                replies = await self._commands.send([item.sent for item in items if item.sent is not None])
                await self._shown(max((reply.position for reply in replies.values()), default=0))
        except BaseException:
            await asyncio.shield(self._give_back(items))
            raise
        for item in items:
            await self._settle(item, None if item.sent is None else replies.get(item.sent.id))
        return len(items)

    async def sweep(self, kind: Kind, *, seconds: float) -> dict[str, str]:
        """Have everything of a kind that waits seen to now. Says how much there was. Raises Unavailable when it is not in time."""
        now_ms = _now_ms()
        hastened = await due.hasten(self._redis, kind, now_ms, until_ms=now_ms + SWEPT_MS)
        deadline = time.monotonic() + seconds
        while (left := (await due.waiting(self._redis, until_ms=now_ms))[kind]) > 0:
            if time.monotonic() > deadline:
                raise Unavailable(f"{left} {kind} still wait to be written about")
            if not await self.look():
                await asyncio.sleep(LOOK_SECONDS)
        return {"hastened": str(hastened)}

    async def _draft(self, items: Sequence[Item]) -> None:
        sessions = await self._revisions.read([(item.scope, item.node_id) for item in items])
        limit = asyncio.Semaphore(self._revisions.at_once)

        async def one(item: Item) -> None:
            async with limit:
                await self._drafted(item, sessions)

        await asyncio.gather(*(one(item) for item in items))

    async def _drafted(self, item: Item, sessions: Sessions) -> None:
        try:
            made = await self._revisions.revision(item.scope, item.node_id, sessions)
        except RedisError:
            raise
        except Exception as error:
            # outermost loop: named, counted, and no node keeps others waiting
            times = self._failed[item.stream] = self._failed.get(item.stream, 0) + 1
            item.again_ms = _now_ms() + min(AGAIN_MS * 2**times, LONGEST_PAUSE_MS)
            telemetry.ERRORS.labels("toc.revise", type(error).__name__).inc()
            unexpected = None if isinstance(error, MemoryFault) else error
            log.warning(
                "node put off", node=item.node_id, error=f"{type(error).__name__}: {error}", times=times, exc_info=unexpected
            )
            return
        self._failed.pop(item.stream, None)
        if made is not None:
            revision, expected, use = made
            item.sent = command(item.scope, revision, expected, use, _now_ms())

    async def _settle(self, item: Item, reply: ReplyEnvelope | None) -> None:
        now_ms = _now_ms()
        if item.again_ms is not None:
            await due.put_off(self._redis, item.stream, item.again_ms)
        elif item.sent is not None and reply is None:
            await due.put_off(self._redis, item.stream, now_ms + AGAIN_MS)
        elif reply is not None and isinstance(reply.reply, Failed):
            fault = reply.reply.fault
            lost = fault.name in ("Conflict", "Unavailable")
            telemetry.ERRORS.labels("toc.revise", fault.name).inc()
            (log.info if lost else log.error)("revision not recorded", node=item.node_id, fault=fault.name, detail=fault.detail)
            await due.put_off(self._redis, item.stream, now_ms + (AGAIN_MS if lost else REFUSED_MS))
        else:
            await due.settle(self._redis, item.stream, item.changes, again_ms=now_ms + AGAIN_MS)

    @asynccontextmanager
    async def _held(self, items: Sequence[Item]) -> AsyncIterator[None]:
        """Renews the lease on the items meanwhile. When it cannot, another may do the same: that is recorded once all the same."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self._lease_ms / 3000)
                try:
                    await due.hold(self._redis, [item.stream for item in items], until_ms=_now_ms() + self._lease_ms)
                except (RedisError, OSError) as error:
                    telemetry.ERRORS.labels("toc.revise", type(error).__name__).inc()

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _give_back(self, items: Sequence[Item]) -> None:
        for item in items:
            await due.put_off(self._redis, item.stream, _now_ms() + AGAIN_MS)

    async def _shown(self, position: int) -> None:
        """Wait until the table of contents shows everything up to a position. Raises Unavailable when it does not in time."""
        deadline = time.monotonic() + SEEN_SECONDS
        while await self._ledger.checkpoint() < position:
            if time.monotonic() > deadline:
                raise Unavailable("the table of contents does not show all of the log yet")
            await asyncio.sleep(0.01)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _item(stream: str, changes: str) -> Item:
    scope, node_id = due.node_of(stream)
    return Item(stream=stream, changes=changes, scope=scope, node_id=node_id)
