"""Summaries of the groups of a view: from the memory index to the log, each paid for once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Protocol

import structlog
from redis.asyncio import Redis

from agent_memory.contracts.commands import AnyCommand, RecordPartition
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import NotFound, Unavailable
from agent_memory.contracts.events import AnyEvent, PartitionSummarized, SummaryViewCreated
from agent_memory.contracts.records import ModelUse, Partition, Scope, SummaryView, to_milliseconds
from agent_memory.contracts.replies import Failed
from agent_memory.contracts.streams import MEMORY_INDEX, partition_stream, partition_streams, view_stream
from agent_memory.eventlog.newest import State
from agent_memory.readmodels.everything import Search, everything
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.view_filters import members as filters_of
from agent_memory.runtime import telemetry
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.leases import Leases
from agent_memory.runtime.llm import CompletionRefused
from agent_memory.summarizer.partitions import (
    FAILED,
    NO_MATCHING_MEMORIES,
    Group,
    Member,
    fingerprint,
    grouped,
    in_order,
    member,
    named,
)
from agent_memory.summarizer.view_models import ViewModels

AT_ONCE = 4
"""Groups of one view that are summarised at the same time."""
INDEX_SECONDS = 30.0
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.02, 0.5

log = structlog.get_logger(__name__)


class Log(Protocol):
    """What is asked of the log (`NewestReader`)."""

    async def head(self) -> int: ...
    async def newest(self, stream: str) -> AnyEvent | None: ...
    async def newest_under(self, prefix: str) -> list[State]: ...


class NoSummary(Unavailable):
    """The model gave none, however often it was asked."""


class SummaryViews:
    """Summarises groups of views. Any number of these may run: of one group one at a time works, the others then see its result."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        search: Search,
        models: ViewModels,
        commands: Commanding,
        leases: Leases,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._index = Ledger(redis, MEMORY_INDEX)
        self._log = log
        self._search = search
        self._models = models
        self._commands = commands
        self._leases = leases
        self._clock = clock

    async def one(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition:
        """Summarise one group. Without an answer of the model the summary says so, and an earlier one stays recorded.

        Raises NotFound without such a view, Unavailable, redis.RedisError.
        """
        view = await self._view(tenant, view_id)
        await self._indexed()
        now = self._clock()
        members = in_order([member(record) async for record in everything(self._search, tenant, filters_of(view, group, now))])
        stream = partition_stream(tenant, view_id, group)
        try:
            return await self._summarised(tenant, view, group, members, now, _partition(await self._log.newest(stream)))
        except NoSummary:
            return _made(view, group, members, now, FAILED)

    async def all(self, tenant: str, view_id: str) -> None:
        """Summarise every group, and empty those that have no memories any more.

        Raises NoSummary when the model failed for some of them, after all were tried; NotFound, Unavailable, redis.RedisError.
        """
        view = await self._view(tenant, view_id)
        await self._indexed()
        now = self._clock()
        records = [record async for record in everything(self._search, tenant, filters_of(view, None, now))]
        groups = grouped(view, records)
        known: dict[Group, Partition] = {}
        for state in await self._log.newest_under(partition_streams(tenant, view_id)):
            if (partition := _partition(state.event)) is not None:
                known[tuple(partition.group.get(field, "") for field in view.group_by)] = partition
        groups |= {group: [] for group, partition in known.items() if group not in groups and not partition.empty}
        room, failures = asyncio.Semaphore(AT_ONCE), list[NoSummary]()

        async def summarise(group: Group, members: list[Member]) -> None:
            async with room:
                try:
                    await self._summarised(tenant, view, named(view, group), members, now, known.get(group))
                except NoSummary as error:
                    failures.append(error)

        ended = await asyncio.gather(*(summarise(*one) for one in sorted(groups.items())), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        if failures:
            raise NoSummary(f"{len(failures)} of {len(groups)} partitions have no summary: {failures[0].detail}")

    async def _summarised(
        self, tenant: str, view: SummaryView, group: dict[str, str], members: list[Member], now: datetime, known: Partition | None
    ) -> Partition:
        mark = fingerprint(view, await self._models.name(view), members)
        if known is not None and known.fingerprint == mark:
            return known
        stream = partition_stream(tenant, view.id, group)
        async with self._alone(stream):
            known = _partition(await self._log.newest(stream))
            if known is not None and (known.fingerprint == mark or known.computed_at > now):
                return known
            try:
                summary, use = await self._asked(tenant, view, members)
            except NoSummary:
                if known is None:
                    await self._record(tenant, stream, _made(view, group, members, now, FAILED), ModelUse())
                raise
            partition = _made(view, group, members, now, summary, mark)
            await self._record(tenant, stream, partition, use)
            return partition

    async def _asked(self, tenant: str, view: SummaryView, members: Sequence[Member]) -> tuple[str, ModelUse]:
        if not members:
            return "", ModelUse()
        try:
            return await self._models.summary(tenant, view, members)
        except (Unavailable, CompletionRefused) as error:
            await self._log.head()  # when it is the log that is away, that is not the model's failure
            log.warning("no summary", view_id=view.id, error=error.detail)
            raise NoSummary(error.detail) from error

    async def _record(self, tenant: str, stream: str, partition: Partition, use: ModelUse) -> None:
        moment = ".".join(map(str, to_milliseconds(partition.computed_at)))
        digest = blake2b(stream.encode(), digest_size=16).hexdigest()
        await commanded(self._commands, tenant, f"partition/{digest}/{moment}", RecordPartition(partition=partition, use=use))
        telemetry.WORK_DONE.labels("summary-view-partition").inc()

    async def _view(self, tenant: str, view_id: str) -> SummaryView:
        event = await self._log.newest(view_stream(tenant, view_id))
        if not isinstance(event, SummaryViewCreated):
            raise NotFound(f"SummaryView {view_id} not found")
        return event.view

    async def _indexed(self) -> None:
        """Wait until the index shows all that is in the log: what it does not show yet must not pass for forgotten."""
        head, pause, waited = await self._log.head(), FIRST_LOOK_SECONDS, 0.0
        while not await self._index.covers(head):
            if waited > INDEX_SECONDS:
                raise Unavailable(f"{MEMORY_INDEX} has not reached position {head} yet; try again")
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(pause * 2, LONGEST_LOOK_SECONDS)

    @asynccontextmanager
    async def _alone(self, stream: str) -> AsyncIterator[None]:
        """Nobody else summarises the group meanwhile. A holder that died is waited out."""
        pause = FIRST_LOOK_SECONDS
        while True:
            async with self._leases.held(stream) as mine:
                if mine:
                    yield
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK_SECONDS)


async def commanded(commands: Commanding, tenant: str, command_id: str, command: AnyCommand) -> None:
    """Have a command decided. Raises the MemoryFault it was refused with, Unavailable when there is no answer, redis.RedisError."""
    milliseconds, _ = to_milliseconds(datetime.now(UTC))
    envelope = CommandEnvelope(
        id=command_id,
        scope=Scope(tenant=tenant),
        issued_ms=milliseconds,
        command=command,
        correlation_id=command_id,
        traceparent=telemetry.traceparent_of(),
    )
    answer = (await commands.send([envelope])).get(command_id)
    if answer is None:
        raise Unavailable(f"{command_id} is not recorded yet", command_id=command_id)
    if isinstance(answer.reply, Failed):
        raise answer.reply.fault.error(command_id)


def _partition(event: AnyEvent | None) -> Partition | None:
    return event.partition if isinstance(event, PartitionSummarized) else None


def _made(
    view: SummaryView, group: dict[str, str], members: Sequence[Member], now: datetime, summary: str, mark: str = ""
) -> Partition:
    return Partition(
        view_id=view.id,
        group=group,
        summary=summary if members else "",
        memory_count=len(members),
        empty=not members,
        empty_reason=None if members else NO_MATCHING_MEMORIES,
        computed_at=now,
        memory_ids=[one.id for one in members],
        fingerprint=mark,
    )
