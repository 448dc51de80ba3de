"""Sending events: several requests at a time, but those of one session one after the other, because their order matters."""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from agent_memory.cli.importers.items import Found, Item
from agent_memory.cli.loading.tally import Tally
from agent_memory.cli.loading.told import Told
from agent_memory.client import InvalidRequest, MemoryClient

LANES = 4
BATCH_EVENTS = 500
BATCH_BYTES = 4_000_000


async def send(
    items: Iterator[Item],
    memory: MemoryClient,
    tally: Tally,
    moved: Callable[[], None],
    *,
    told: Told | None = None,
    batch_events: int = BATCH_EVENTS,
) -> None:
    """Record all events that the items hold, but those that `told` knows; `moved` is called whenever `tally` has changed.

    Raises MemoryClientError when the server cannot be reached or refuses more than single events; what was sent stays sent.
    """
    queues: list[asyncio.Queue[list[Found] | None]] = [asyncio.Queue(maxsize=1) for _ in range(LANES)]
    try:
        async with asyncio.TaskGroup() as group:
            for queue in queues:
                group.create_task(_work(queue, memory, tally, moved, told))
            await _deal(items, [_Lane(queue, batch_events) for queue in queues], tally, moved)
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def _deal(items: Iterator[Item], lanes: list["_Lane"], tally: Tally, moved: Callable[[], None]) -> None:
    """Deal out events to lanes by session. Reading happens in a thread: a pipe may keep it waiting."""
    while some := await asyncio.to_thread(lambda: list(islice(items, BATCH_EVENTS))):
        for item in some:
            tally.take(item)
            if isinstance(item, Found):
                await lanes[zlib.crc32(item.event.session_id.encode()) % len(lanes)].add(item)
        moved()
    for lane in lanes:
        await lane.finish()


class _Lane:
    """What waits to be sent on one lane, and the queue of its worker."""

    def __init__(self, queue: asyncio.Queue[list[Found] | None], batch_events: int) -> None:
        self._queue = queue
        self._batch_events = batch_events
        self._held: list[Found] = []
        self._size = 0

    async def add(self, item: Found) -> None:
        """Keep one event, handing over a batch before it whenever one is full. Waits while the worker has enough to do."""
        size = len(msgspec.json.encode(item.event))
        if self._held and (len(self._held) == self._batch_events or self._size + size > BATCH_BYTES):
            await self._hand_over()
        self._held.append(item)
        self._size += size

    async def finish(self) -> None:
        """Hand over the rest, and that it was the last."""
        if self._held:
            await self._hand_over()
        await self._queue.put(None)

    async def _hand_over(self) -> None:
        batch, self._held, self._size = self._held, [], 0
        await self._queue.put(batch)


async def _work(
    queue: asyncio.Queue[list[Found] | None], memory: MemoryClient, tally: Tally, moved: Callable[[], None], told: Told | None
) -> None:
    while (batch := await queue.get()) is not None:
        fresh = await told.fresh(batch) if told else batch
        tally.known += len(batch) - len(fresh)
        await _record(fresh, memory, tally)
        moved()


async def _record(batch: list[Found], memory: MemoryClient, tally: Tally) -> None:
    """Send one batch. An event that the server refuses is noted as a bad line, and the others are sent without it."""
    if not batch:
        return
    try:
        recorded = await memory.record_events([item.event for item in batch])
    except InvalidRequest as error:
        index = _refused(error, len(batch))
        if index is None and len(batch) > 1:
            middle = len(batch) // 2
            await _record(batch[:middle], memory, tally)
            await _record(batch[middle:], memory, tally)
            return
        refused = batch[index or 0]
        tally.refuse(refused.number, f"the server refused it: {error}")
        await _record([item for item in batch if item is not refused], memory, tally)
    else:
        tally.stored(recorded)


def _refused(error: InvalidRequest, size: int) -> int | None:
    where = re.match(r"events\.(\d+)", error.field or "")
    return int(where[1]) if where and int(where[1]) < size else None
