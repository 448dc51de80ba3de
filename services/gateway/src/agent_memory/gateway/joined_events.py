"""Events that are recorded one by one at the same time travel as one command."""

import asyncio
from typing import cast

import msgspec
import structlog

from agent_memory.contracts.commands import AnyCommand, RecordEvents
from agent_memory.contracts.errors import MemoryFault, Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import EventsRecorded
from agent_memory.gateway.ports import Answer, CommandBus
from agent_memory.runtime import telemetry

PATIENCE_SECONDS = 0.05
"""Longest wait for the command before: one that is lost holds nobody up."""
FEW = 20
"""Whoever brings more events than this at once needs no company."""
MOST_EVENTS = 500

log = structlog.get_logger(__name__)


class Waiting(msgspec.Struct, frozen=True):
    """Events of one caller, and where the answer goes."""

    command: RecordEvents
    answer: "asyncio.Future[Answer]"


class Group(msgspec.Struct):
    """What is under way and what waits of one scope."""

    under_way: int = 0
    waiting: list[Waiting] = []
    timer: asyncio.TimerHandle | None = None


class JoinedEvents:
    """A command bus on which whoever comes while events of the same scope are under way waits, and goes on with all who do.

    A command costs each process on its way more than its event does. Alone, a caller never waits. What a caller says about
    itself (a key, a correlation id, a trace) is said of its command alone, so such a one travels alone. When commands that
    were joined are refused, each is asked alone: nobody is told of the mistake of another.
    """

    def __init__(self, bus: CommandBus) -> None:
        self._bus = bus
        self._groups: dict[Scope, Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        scope: Scope,
        command: AnyCommand,
        *,
        idempotency_key: str = "",
        fingerprint: str = "",
        correlation_id: str = "",
        traceparent: str = "",
    ) -> Answer:
        """As the port says. The `command_id` of an answer may be shared with others."""
        if (
            isinstance(command, RecordEvents)
            and len(command.events) <= FEW
            and not (idempotency_key or correlation_id or traceparent)
        ):
            return await self._joined(scope, command)
        return await self._bus.ask(
            scope,
            command,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            correlation_id=correlation_id,
            traceparent=traceparent,
        )

    async def stop(self) -> None:
        """Returns when nobody waits any more. The bus must still answer, or fail whoever waits on it."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _joined(self, scope: Scope, command: RecordEvents) -> Answer:
        group = self._groups.setdefault(scope, Group())
        if group.under_way:
            waiting = Waiting(command, asyncio.get_running_loop().create_future())
            group.waiting.append(waiting)
            self._wait(scope, group)
            return await waiting.answer
        group.under_way += 1
        try:
            return await self._bus.ask(scope, command)
        finally:
            self._ended(scope, group)

    def _wait(self, scope: Scope, group: Group) -> None:
        if group.timer is None:
            group.timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._go, scope, group)

    def _ended(self, scope: Scope, group: Group) -> None:
        group.under_way -= 1
        if group.waiting:
            self._go(scope, group)
        elif not group.under_way:
            del self._groups[scope]

    def _go(self, scope: Scope, group: Group) -> None:
        """Those who wait are under way from now on."""
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        some = _taken(group)
        if group.waiting:
            self._wait(scope, group)
        group.under_way += 1
        task = asyncio.ensure_future(self._together(scope, group, some))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _together(self, scope: Scope, group: Group, some: list[Waiting]) -> None:
        try:
            if some:
                await self._tell(scope, some)
        finally:
            self._ended(scope, group)

    async def _tell(self, scope: Scope, some: list[Waiting]) -> None:
        telemetry.BATCH.labels("gateway.events").observe(len(some))
        try:
            answer = await self._bus.ask(scope, RecordEvents(events=[event for one in some for event in one.command.events]))
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait are told; they name and count it
            if isinstance(error, MemoryFault) and not isinstance(error, Unavailable):
                log.info("joined events were refused; each is asked alone", commands=len(some), error=error.detail)
                await asyncio.gather(*(self._alone(scope, one) for one in some))
                return
            for one in some:
                _fail(one, error)
        else:
            _settle(some, answer)

    async def _alone(self, scope: Scope, one: Waiting) -> None:
        try:
            answer = await self._bus.ask(scope, one.command)
        except Exception as error:  # noqa: BLE001 - as above
            _fail(one, error)
        else:
            if not one.answer.done():
                one.answer.set_result(answer)


def _taken(group: Group) -> list[Waiting]:
    """The first of those who wait, as many as go into one command. Whoever has gone meanwhile is left out."""
    some, events = list[Waiting](), 0
    for number, one in enumerate(group.waiting):
        if events + len(one.command.events) > MOST_EVENTS:
            group.waiting = group.waiting[number:]
            return some
        if not one.answer.done():
            some.append(one)
            events += len(one.command.events)
    group.waiting = []
    return some


def _settle(some: list[Waiting], answer: Answer) -> None:
    reply, at = cast(EventsRecorded, answer.reply), 0
    for one in some:
        end = at + len(one.command.events)
        own = EventsRecorded(event_ids=reply.event_ids[at:end], created=reply.created[at:end])
        if not one.answer.done():
            one.answer.set_result(Answer(command_id=answer.command_id, position=answer.position, reply=own))
        at = end


def _fail(one: Waiting, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
