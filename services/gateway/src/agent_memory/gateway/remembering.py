"""Traces that say what was done to a memory, in the words of OpenTelemetry's conventions for generative AI (v0.1, in development).

A span is named by its operation (`create_memory`, `upsert_memory`, `update_memory`, `delete_memory`, `search_memory`) and carries
`gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.memory.store.id` (the tenant), `gen_ai.conversation.id` (the session),
`gen_ai.memory.record.id` where it is about a single one, and `gen_ai.memory.record.count`. What was said, and what was asked for,
is never in a trace: those attributes are opt-in there, and nobody can opt in here.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import msgspec

from agent_memory.contracts import commands
from agent_memory.contracts.queries import SearchMemories, SearchTimeline
from agent_memory.contracts.records import Scope
from agent_memory.gateway.ports import Answer, CommandBus
from agent_memory.runtime import telemetry
from agent_memory.runtime.telemetry import SpanName

PROVIDER = "agent_memory"
COUNT = "gen_ai.memory.record.count"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something done to a memory: the name of its span, and what the span says."""

    name: SpanName
    attributes: Mapping[str, str | int]


class RememberingBus:
    """A command bus with a span around each command that changes memory."""

    def __init__(self, bus: CommandBus) -> None:
        self._bus = bus

    async def ask(self, scope: Scope, command: commands.AnyCommand, **about: str) -> Answer:
        """As the port says."""
        with around(operation_of(scope, command), about.get("traceparent", "")):
            return await self._bus.ask(scope, command, **about)


def around(operation: Operation | None, parent: str = "") -> AbstractContextManager[None]:
    """A span of the operation; of none, what is current stays so."""
    return telemetry.NOTHING if operation is None else telemetry.span(operation.name, parent, **operation.attributes)


def operation_of(scope: Scope, command: commands.AnyCommand) -> Operation | None:
    """What a command does to a memory; None when it does nothing to one."""
    tenant = scope.tenant
    match command:
        case commands.RecordEvents(events=events):
            sessions = {event.session_id for event in events}
            ids = [event.event_id for event in events]
            return _operation("create_memory", tenant, ids, session=sessions.pop() if len(sessions) == 1 else None)
        case commands.AppendMessages(session_id=session, messages=messages):
            return _operation("create_memory", tenant, [one.id for one in messages], session=session)
        case commands.ReplaceWorkingMemory(session_id=session, messages=messages):
            return _operation("upsert_memory", tenant, [one.id for one in messages], session=session)
        case commands.DeleteWorkingMemory(session_id=session):
            return _operation("delete_memory", tenant, None, session=session)
        case commands.StoreMemories(memories=memories):
            return _operation("upsert_memory", tenant, [one.id for one in memories])
        case commands.EditMemory(memory_id=memory_id) | commands.UnmergeMemory(memory_id=memory_id):
            return _operation("update_memory", tenant, [memory_id])
        case commands.ForgetMemories(memory_ids=ids):
            return _operation("delete_memory", tenant, ids)
        case _:
            return None


def search_of(query: SearchMemories | SearchTimeline) -> Mapping[str, str | int]:
    """What the span of a search says before it is known what is found."""
    tenant, session = (query.tenant, None) if isinstance(query, SearchMemories) else (query.scope.tenant, query.session_id or None)
    return _operation("search_memory", tenant, None, session=session).attributes


def found(count: int) -> None:
    """Says how much a search found, in the span that is current."""
    telemetry.about(**{COUNT: count})


def _operation(name: SpanName, tenant: str, ids: list[str] | None, *, session: str | None = None) -> Operation:
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": name,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.memory.store.id": tenant,
    }
    if session is not None:
        attributes["gen_ai.conversation.id"] = session
    if ids is not None:
        attributes[COUNT] = len(ids)
        if len(ids) == 1:
            attributes["gen_ai.memory.record.id"] = ids[0]
    return Operation(name=name, attributes=attributes)
