"""Partitions that somebody waits for: requests from a stream, answers under a key of their own."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import MemoryFault, Unavailable, as_fault
from agent_memory.contracts.partition_runs import PartitionAnswer, RunPartition
from agent_memory.contracts.records import Partition
from agent_memory.contracts.streams import DATA_FIELD, PARTITION_RUNS, PARTITION_RUNS_GROUP, partition_answer_key
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry

ANSWER_SECONDS = 600
AT_ONCE = 8
WORK = "summary-view-partition"

log = structlog.get_logger(__name__)
_request = msgspec.json.Decoder(RunPartition).decode


class Partitions(Protocol):
    """Summarises one group of a view (`SummaryViews`)."""

    async def one(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition: ...


class AnswerPartitions:
    """Handler of PARTITION_RUNS. Idempotent: a group that was summarised since is not summarised again; the answer is the same.

    An entry that its replica did not answer comes to another one; what the model said is in the journal by then.
    """

    def __init__(self, redis: Redis, partitions: Partitions) -> None:
        self._redis = redis
        self._partitions = partitions
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._held: set[bytes] = set()

    async def handle(self, entries: Sequence[Entry]) -> None:
        """Begin what was asked, as far as there is room. It is answered beside, so that one request does not hold up the next."""
        for entry in entries:
            if entry.id in self._held:
                continue  # handed out again because it takes long; it is at work
            await self._room.acquire()
            self._held.add(entry.id)
            task = asyncio.create_task(self._seen_through(entry))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        """Returns when all that was begun is answered."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _seen_through(self, entry: Entry) -> None:
        try:
            await self._answer(entry)
        except (RedisError, OSError) as error:
            log.warning("partition left to others", error=f"{type(error).__name__}: {error}")
        finally:
            self._held.discard(entry.id)
            self._room.release()

    async def _answer(self, entry: Entry) -> None:
        try:
            request = _request(entry.fields[DATA_FIELD.encode()])
        except (msgspec.MsgspecError, KeyError) as error:
            telemetry.ERRORS.labels(WORK, type(error).__name__).inc()
            log.error("not a request", entry=entry.id.decode(), error=str(error))
        else:
            key = partition_answer_key(request.id)
            if not await self._redis.exists(key):
                await self._redis.set(key, msgspec.json.encode(await self._made(request)), ex=ANSWER_SECONDS)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(PARTITION_RUNS, PARTITION_RUNS_GROUP, entry.id)
            pipe.xdel(PARTITION_RUNS, entry.id)
            await pipe.execute()

    async def _made(self, request: RunPartition) -> PartitionAnswer:
        try:
            with telemetry.measured(WORK, telemetry.WORK_SECONDS.labels(WORK), "work.do", request.traceparent):
                return PartitionAnswer(partition=await self._partitions.one(request.tenant, request.view_id, request.group))
        except MemoryFault as error:
            return PartitionAnswer(fault=as_fault(error))
        except (RedisError, OSError):
            raise
        except Exception as error:
            # outermost loop of this request: told to whoever waits as something that may work later
            log.error("partition failed", view_id=request.view_id, exc_info=error)
            return PartitionAnswer(fault=as_fault(Unavailable("the partition could not be summarised; try again")))
