"""Events of the log into groups of memories that say the same, and what is done about them when it is time or somebody asks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.compactor.compaction import Done, owners_like, remaining
from agent_memory.compactor.domain import latest, project
from agent_memory.compactor.settings import CompactorSettings
from agent_memory.contracts.codec import decode_event, encode
from agent_memory.contracts.compaction import Compact, Compacted
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Fault, MemoryFault, Unavailable, as_fault
from agent_memory.contracts.events import MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import COMPACTIONS, COMPACTOR_GROUP, DATA_FIELD, DUPLICATES, MEMORY_INDEX, compaction_answer_key
from agent_memory.readmodels import duplicates
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry

TYPES: frozenset[str] = frozenset(kind.__name__ for kind in (MemoryStored, MemoryEdited, MemoryForgotten))
ANSWER_SECONDS = 600
PAUSE_SECONDS = 0.05
MOST_DELIVERIES = 5
FAILS = Fault(name="Unavailable", detail="compaction fails inside each time it is tried; what the compactor logs says why")

log = structlog.get_logger("compactor")
_decode = msgspec.json.Decoder(Compact).decode


class KeepDuplicates:
    """Projection DUPLICATES. Idempotent by position: a memory's entry is only replaced from a higher one."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Group the memories of the batch. Raises redis.RedisError; the batch may then be given again."""
        changes = [project(envelope, decode_event(envelope.type, envelope.data)) for envelope in batch]
        await duplicates.write(self._redis, latest(change for change in changes if change is not None))


class Compacts(Protocol):
    """What a request needs of `compaction.Compaction`."""

    async def tenant(self, tenant: str, cause: str, *, wanted: Callable[[Scope], bool], patient: bool = False) -> Done: ...


class AnswerRequests:
    """Compacts while somebody waits. A request that its replica did not live to answer is done by another; twice does no harm."""

    def __init__(self, redis: Redis, compaction: Compacts, own: CompactorSettings, *, seconds: float) -> None:
        self._redis = redis
        self._compaction = compaction
        self._own = own
        self._seconds = seconds

    async def handle(self, entries: Sequence[Entry]) -> None:
        """Answers each request. Raises redis.RedisError; what is not answered stays on the stream."""
        await asyncio.gather(*map(self._answer, entries))

    async def _answer(self, entry: Entry) -> None:
        try:
            request = _decode(entry.fields[DATA_FIELD.encode()])
        except (msgspec.MsgspecError, KeyError) as error:
            telemetry.ERRORS.labels("compaction.request", type(error).__name__).inc()
            log.error("request cannot be read", error=f"{type(error).__name__}: {error}")
        else:
            # One that nobody survives, or that fails in a way nobody thought of, would otherwise be taken up for ever.
            given_up = entry.deliveries > MOST_DELIVERIES
            answer = Compacted(fault=FAILS) if given_up else await self.compact(request)
            await self._redis.set(compaction_answer_key(request.id), encode(answer), ex=ANSWER_SECONDS)
        await self._redis.xack(COMPACTIONS, COMPACTOR_GROUP, entry.id)
        await self._redis.xdel(COMPACTIONS, entry.id)

    async def compact(self, request: Compact) -> Compacted:
        """Compacts until nothing is left to merge among what the request is about."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._compacted(request)
        except TimeoutError:
            return Compacted(fault=as_fault(Unavailable("compaction takes long and goes on; ask again for how it ended")))
        except MemoryFault as error:
            return Compacted(fault=as_fault(error))

    async def _compacted(self, request: Compact) -> Compacted:
        wanted, total = owners_like(request.namespace, request.user_id), Done()
        await self._settled(request.position)
        while (done := await self._compaction.tenant(request.tenant, f"compact/{request.id}", wanted=wanted, patient=True)).merged:
            total.add(done)
            await self._settled(done.position)
        left = await remaining(self._redis, request.tenant, wanted)
        return Compacted(remaining=left, merged=total.merged, position=total.position)

    async def _settled(self, position: int) -> None:
        """Until both views hold what the log has up to there. Raises Unavailable when that takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._own.settle_seconds
        for projection in (DUPLICATES, MEMORY_INDEX):
            while not await Ledger(self._redis, projection).covers(position):
                if loop.time() > deadline:
                    raise Unavailable(f"{projection} has not reached position {position} yet; try again")
                await asyncio.sleep(PAUSE_SECONDS)
