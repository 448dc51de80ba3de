"""One decision per command: which events, what the view is to show, what is answered. Pure.

`Facts` hold the folded states that the commands of a batch ask about. Decisions fold their events into them, so the next
command of the batch sees what the one before it did. When a batch is not written, its facts are thrown away.
"""

from msgspec.structs import replace

from agent_memory.contracts import streams
from agent_memory.contracts.commands import (
    AppendMessages,
    ChangeTask,
    CreateSummaryView,
    DeleteSummaryView,
    DeleteWorkingMemory,
    EditMemory,
    EnrichMemory,
    FinishJob,
    ForgetMemories,
    MergeMemories,
    PauseJob,
    RecordEvents,
    RecordExtraction,
    RecordPartition,
    RecordRevision,
    ReplaceWorkingMemory,
    ResumeJob,
    RunJobNow,
    StartJob,
    StoreMemories,
    SummarizeSession,
    Tick,
    TouchMemories,
    UnmergeMemory,
)
from agent_memory.contracts.events import (
    Event,
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import Scope, to_datetime
from agent_memory.contracts.replies import Acknowledged, EventsRecorded, WorkingMemoryChanged
from agent_memory.ingest import revisions, sessions, views_and_tasks
from agent_memory.ingest.decide_memories import decide_memory, extract, promote
from agent_memory.ingest.facts import Decision, Emitted, Facts, Request
from agent_memory.ingest.jobs import decide_job
from agent_memory.ingest.sessions import Session
from agent_memory.ingest.views_and_tasks import Newest

SessionCommand = AppendMessages | ReplaceWorkingMemory | DeleteWorkingMemory | SummarizeSession | RecordExtraction
ViewCommand = CreateSummaryView | DeleteSummaryView | RecordPartition | ChangeTask


def decide(request: Request, facts: Facts) -> Decision:
    """What happens. Raises a MemoryFault when the command is refused; nothing has changed then."""
    command = request.command
    match command:
        case RecordEvents():
            return _record_events(command, request, facts)
        case AppendMessages() | ReplaceWorkingMemory() | DeleteWorkingMemory() | SummarizeSession() | RecordExtraction():
            return _change_session(command, request, facts)
        case (
            StoreMemories() | EditMemory() | EnrichMemory() | TouchMemories() | MergeMemories() | UnmergeMemory() | ForgetMemories()
        ):
            return decide_memory(command, request, facts)
        case CreateSummaryView() | DeleteSummaryView() | RecordPartition() | ChangeTask():
            return _change_view(command, request, facts)
        case RecordRevision():
            return _revise(command, request, facts)
        case Tick() | StartJob() | FinishJob() | PauseJob() | ResumeJob() | RunJobNow():
            stream = streams.job_stream(request.scope.tenant, command.job)
            new = decide_job(command, _newest(stream, facts).event, request.now_ms)
            return Decision(events=_fold_newest(stream, new, request.scope, facts), reply=Acknowledged())


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


def _change_session(command: SessionCommand, request: Request, facts: Facts) -> Decision:
    stream = streams.session_stream(request.scope, command.session_id)
    session = facts.sessions.setdefault(stream, Session())
    was_alive, path = session.alive and not sessions.is_expired(session, request.now_ms), request.scope.path
    sequence, now_ms = request.sequence, request.now_ms
    superseded = sequence <= session.sequence
    created: list[bool] = []
    beside: list[Emitted] = []
    memories = None
    match command:
        case AppendMessages():
            new, created = sessions.append(
                command, session, path=path, stream=stream, taken=facts.taken, sequence=sequence, now_ms=now_ms
            )
            if new:
                new = [*sessions.expiry(command.session_id, session, now_ms, sequence), *new]
        case ReplaceWorkingMemory():
            new = sessions.replace(command, session, path=path, stream=stream, taken=facts.taken, sequence=sequence, now_ms=now_ms)
            if command.promote and command.memories and not superseded:
                beside, memories = promote(command, request, facts)
                new = [*new[:-1], replace(new[-1], memories=memories)]
        case DeleteWorkingMemory():
            new = sessions.delete(command, session, sequence=sequence, now_ms=now_ms)
        case SummarizeSession():
            new = sessions.summarize(command, session, sequence=sequence, now_ms=now_ms)
        case RecordExtraction():
            beside, new = extract(command, session, request, facts)
    emitted = _fold_session(stream, session, new, request)
    reply = WorkingMemoryChanged(
        session_id=command.session_id,
        version=session.version,
        created=created,
        superseded=superseded,
        created_at=session.created_at,
        updated_ms=now_ms,
        memories=memories,
        extracted=[id_ for id_ in session.messages if id_ in session.extracted] if session.extracted else [],
    )
    return Decision(events=[*beside, *emitted], reply=reply, touched={stream: was_alive} if emitted else {})


def _fold_session(stream: str, session: Session, events: list[Event], request: Request) -> list[Emitted]:
    emitted = []
    for event in events:
        sessions.evolve(session, event, request.now_ms)
        emitted.append(Emitted(stream, session.version, event, request.scope))
    return emitted


def _change_view(command: ViewCommand, request: Request, facts: Facts) -> Decision:
    tenant, now = request.scope.tenant, to_datetime(request.now_ms)
    match command:
        case CreateSummaryView(view=view):
            stream = streams.view_stream(tenant, view.id)
            new = views_and_tasks.create_view(command, _newest(stream, facts), now)
        case DeleteSummaryView(view_id=view_id):
            stream = streams.view_stream(tenant, view_id)
            new = views_and_tasks.delete_view(command, _newest(stream, facts), now)
        case RecordPartition(partition=partition):
            stream = streams.partition_stream(tenant, partition.view_id, partition.group)
            of = _newest(streams.view_stream(tenant, partition.view_id), facts)
            new = views_and_tasks.record_partition(command, of, _newest(stream, facts))
        case ChangeTask(task=task):
            stream = streams.task_stream(tenant, task.id)
            owner = None if task.view_id is None else _newest(streams.view_stream(tenant, task.view_id), facts)
            new = views_and_tasks.change_task(command, owner, _newest(stream, facts))
    return Decision(events=_fold_newest(stream, new, Scope(tenant=tenant), facts), reply=Acknowledged())


def _newest(stream: str, facts: Facts) -> Newest:
    return facts.newest.setdefault(stream, Newest())


def _fold_newest(stream: str, events: list[Event], scope: Scope, facts: Facts) -> list[Emitted]:
    emitted = []
    for event in events:
        known = _newest(stream, facts)
        known.version, known.event = known.version + 1, event
        emitted.append(Emitted(stream, known.version, event, scope))
    return emitted


def _revise(command: RecordRevision, request: Request, facts: Facts) -> Decision:
    stream = streams.node_stream(request.scope, command.revision.node_id)
    new = revisions.record_revision(command, _newest(stream, facts), facts.said, request.scope)
    return Decision(events=_fold_newest(stream, new, request.scope, facts), reply=Acknowledged())


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
        case (
            WorkingMemoryReplaced() | MessagesRestored() | WorkingMemoryDeleted() | WorkingMemorySummarized() | MemoriesExtracted()
        ):
            return event.session_id
        case _:
            raise TypeError(f"{type(event).__name__} is not an event of a session")
