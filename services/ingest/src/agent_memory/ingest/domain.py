"""One decision per command: which events, what the view is to show, what is answered. Pure.

`Facts` hold the folded states that the commands of a batch ask about. Decisions fold their events into them, so the next
command of the batch sees what the one before it did. When a batch is not written, its facts are thrown away.
"""

from collections.abc import Iterable

import msgspec

from agent_memory.contracts import streams
from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    AnyCommand,
    AppendMessages,
    DeleteWorkingMemory,
    EditMemory,
    ForgetMemories,
    RecordEvents,
    ReplaceWorkingMemory,
    StoreMemories,
    Tick,
)
from agent_memory.contracts.events import (
    Event,
    EventRecorded,
    JobDue,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
)
from agent_memory.contracts.records import MemoryRecord, Scope, to_datetime
from agent_memory.contracts.replies import (
    Acknowledged,
    AnyReply,
    EventsRecorded,
    MemoriesForgotten,
    MemoriesStored,
    MemoryChanged,
    WorkingMemoryChanged,
)
from agent_memory.ingest import memories, sessions
from agent_memory.ingest.memories import Memory
from agent_memory.ingest.sessions import Session, Taken


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command with what is true of it alone: whose, at which bus position, at what time (UTC milliseconds)."""

    command: AnyCommand
    scope: Scope
    sequence: int
    now_ms: int


class Facts(msgspec.Struct, kw_only=True):
    """What is known before deciding. States are made on first use for streams that have no events yet."""

    sessions: dict[str, Session] = {}
    memories: dict[str, Memory] = {}
    jobs: dict[str, int] = {}
    taken: Taken = msgspec.field(default_factory=dict)


class Emitted(msgspec.Struct, frozen=True):
    """An event with its place in a stream."""

    stream: str
    version: int
    event: Event
    scope: Scope


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`touched`: the sessions that got events, and whether each had a document before that is still valid."""

    events: list[Emitted]
    reply: AnyReply
    touched: dict[str, bool] = {}


def session_streams(request: Request) -> Iterable[str]:
    """Streams of the sessions that the command asks about."""
    match request.command:
        case RecordEvents(events=events):
            return {streams.session_stream(request.scope, event.session_id) for event in events}
        case ReplaceWorkingMemory(session_id=id_) | AppendMessages(session_id=id_) | DeleteWorkingMemory(session_id=id_):
            return (streams.session_stream(request.scope, id_),)
        case _:
            return ()


def latest_streams(request: Request) -> Iterable[str]:
    """Streams whose newest event is their state."""
    tenant = request.scope.tenant
    match request.command:
        case StoreMemories(memories=records):
            return {streams.memory_stream(tenant, record.id) for record in records}
        case EditMemory(memory_id=id_):
            return (streams.memory_stream(tenant, id_),)
        case ForgetMemories(memory_ids=ids):
            return {streams.memory_stream(tenant, id_) for id_ in ids}
        case Tick(job=job):
            return (streams.job_stream(tenant, job),)
        case _:
            return ()


def claimed_ids(request: Request) -> Iterable[tuple[str, str]]:
    """(scope path, event id) pairs that the command may record."""
    path = request.scope.path
    match request.command:
        case RecordEvents(events=events):
            return [(path, event.event_id) for event in events]
        case ReplaceWorkingMemory(session_id=id_, messages=messages) | AppendMessages(session_id=id_, messages=messages):
            return [(path, event_id) for m in messages for event_id in (m.id, f"{id_}:{m.id}")]
        case _:
            return ()


def decide(request: Request, facts: Facts) -> Decision:
    """What happens. Raises a MemoryFault when the command is refused; nothing has changed then."""
    command = request.command
    match command:
        case RecordEvents():
            return _record_events(command, request, facts)
        case AppendMessages() | ReplaceWorkingMemory() | DeleteWorkingMemory():
            return _change_session(command, request, facts)
        case StoreMemories():
            return _store_memories(command, request, facts)
        case EditMemory():
            return _edit_memory(command, request, facts)
        case ForgetMemories():
            return _forget_memories(command, request, facts)
        case Tick():
            return _tick(command, request, facts)


def _record_events(command: RecordEvents, request: Request, facts: Facts) -> Decision:
    by_session: dict[str, list[int]] = {}
    for index, event in enumerate(command.events):
        by_session.setdefault(event.session_id, []).append(index)
    emitted: list[Emitted] = []
    created = [False] * len(command.events)
    touched = {}
    for session_id, indexes in by_session.items():
        stream = streams.session_stream(request.scope, session_id)
        session = facts.sessions.setdefault(stream, Session())
        was_alive = session.alive
        expired = sessions.expiry(session_id, session, request.now_ms, request.sequence)
        new, flags = sessions.record_events(
            [command.events[index] for index in indexes],
            session,
            path=request.scope.path,
            stream=stream,
            taken=facts.taken,
            sequence=request.sequence,
        )
        for index, flag in zip(indexes, flags, strict=True):
            created[index] = flag
        if new:
            emitted += _fold_session(stream, session, [*expired, *new], request)
            touched[stream] = was_alive and not expired
    ids = [event.event_id for event in command.events]
    return Decision(events=emitted, reply=EventsRecorded(event_ids=ids, created=created), touched=touched)


def _change_session(
    command: AppendMessages | ReplaceWorkingMemory | DeleteWorkingMemory, request: Request, facts: Facts
) -> Decision:
    stream = streams.session_stream(request.scope, command.session_id)
    session = facts.sessions.setdefault(stream, Session())
    was_alive, path = session.alive and not sessions.is_expired(session, request.now_ms), request.scope.path
    superseded = request.sequence <= session.sequence
    created: list[bool] = []
    match command:
        case AppendMessages():
            new, created = sessions.append(
                command, session, path=path, stream=stream, taken=facts.taken, sequence=request.sequence, now_ms=request.now_ms
            )
            if new:
                new = [*sessions.expiry(command.session_id, session, request.now_ms, request.sequence), *new]
        case ReplaceWorkingMemory():
            new = sessions.replace(
                command, session, path=path, stream=stream, taken=facts.taken, sequence=request.sequence, now_ms=request.now_ms
            )
        case DeleteWorkingMemory():
            new = sessions.delete(command, session, sequence=request.sequence, now_ms=request.now_ms)
    emitted = _fold_session(stream, session, new, request)
    reply = WorkingMemoryChanged(
        session_id=command.session_id,
        version=session.version,
        created=created,
        superseded=superseded,
        created_at=session.created_at,
        updated_ms=request.now_ms,
    )
    return Decision(events=emitted, reply=reply, touched={stream: was_alive} if emitted else {})


def _fold_session(stream: str, session: Session, events: list[Event], request: Request) -> list[Emitted]:
    emitted = []
    for event in events:
        sessions.evolve(session, event, request.now_ms)
        emitted.append(Emitted(stream, session.version, event, request.scope))
    return emitted


def _store_memories(command: StoreMemories, request: Request, facts: Facts) -> Decision:
    emitted: list[Emitted] = []
    outcomes = []
    for record in command.memories:
        memory, stream = _memory(record.id, request, facts)
        events, outcome = memories.store(record, memory, request.sequence)
        emitted += _fold_memory(stream, memory, events, _scope_of(record, request.scope))
        outcomes.append(outcome)
    reply = MemoriesStored(memory_ids=[record.id for record in command.memories], outcomes=outcomes)
    return Decision(events=emitted, reply=reply)


def _edit_memory(command: EditMemory, request: Request, facts: Facts) -> Decision:
    memory, stream = _memory(command.memory_id, request, facts)
    events, record = memories.edit(command, memory, request.sequence, to_datetime(request.now_ms))
    emitted = _fold_memory(stream, memory, events, _scope_of(record, request.scope))
    return Decision(events=emitted, reply=MemoryChanged(record=msgspec.Raw(encode(record))))


def _forget_memories(command: ForgetMemories, request: Request, facts: Facts) -> Decision:
    emitted: list[Emitted] = []
    gone = []
    for memory_id in dict.fromkeys(command.memory_ids):
        memory, stream = _memory(memory_id, request, facts)
        scope = request.scope if memory.record is None else _scope_of(memory.record, request.scope)
        now = to_datetime(request.now_ms)
        if events := memories.forget(memory_id, memory, request.sequence, now, command.reason):
            emitted += _fold_memory(stream, memory, events, scope)
            gone.append(memory_id)
    return Decision(events=emitted, reply=MemoriesForgotten(memory_ids=gone))


def _memory(memory_id: str, request: Request, facts: Facts) -> tuple[Memory, str]:
    stream = streams.memory_stream(request.scope.tenant, memory_id)
    return facts.memories.setdefault(stream, Memory()), stream


def _fold_memory(stream: str, memory: Memory, events: list[Event], scope: Scope) -> list[Emitted]:
    emitted = []
    for event in events:
        memories.evolve(memory, event)
        emitted.append(Emitted(stream, memory.version, event, scope))
    return emitted


def _scope_of(record: MemoryRecord, scope: Scope) -> Scope:
    return Scope(tenant=scope.tenant, namespace=record.namespace or "", user_id=record.user_id or "")


def _tick(command: Tick, request: Request, facts: Facts) -> Decision:
    stream = streams.job_stream(request.scope.tenant, command.job)
    version = facts.jobs[stream] = facts.jobs.get(stream, 0) + 1
    event = JobDue(job=command.job, due_ms=command.due_ms)
    return Decision(events=[Emitted(stream, version, event, request.scope)], reply=Acknowledged())


def timeline_key(event: Event) -> tuple[str | None, int | None]:
    """Event id and time of what belongs on the timeline."""
    if isinstance(event, EventRecorded):
        return event.event.event_id, event.event.timestamp_ms
    return None, None


def session_id_of(event: Event) -> str:
    """The session that an event of a session's stream belongs to."""
    match event:
        case EventRecorded(event=recorded):
            return recorded.session_id
        case WorkingMemoryReplaced() | MessagesRestored() | WorkingMemoryDeleted():
            return event.session_id
        case _:
            raise TypeError(f"{type(event).__name__} is not an event of a session")
