"""What decisions are made of: the request, what is known, and what comes out."""

from collections.abc import Iterable

import msgspec

from agent_memory.contracts import streams
from agent_memory.contracts.commands import (
    AnyCommand,
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
from agent_memory.contracts.events import Event
from agent_memory.contracts.records import MemoryRecord, Scope, memory_hash, to_datetime
from agent_memory.contracts.replies import AnyReply
from agent_memory.ingest.claims import Claims
from agent_memory.ingest.memories import Memory
from agent_memory.ingest.merges import sources_of
from agent_memory.ingest.promotion import own_id, promoted
from agent_memory.ingest.sessions import Session, Taken
from agent_memory.ingest.views_and_tasks import Newest

_record = msgspec.json.Decoder(MemoryRecord).decode


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
    histories: dict[str, list[Event]] = {}
    newest: dict[str, Newest] = {}
    claims: Claims = msgspec.field(default_factory=Claims)
    taken: Taken = msgspec.field(default_factory=dict)
    said: dict[tuple[str, str], tuple[str, str]] = {}
    """(scope path, event id) to (stream, text) of the timeline events that grips quote."""


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
        case (
            ReplaceWorkingMemory(session_id=id_)
            | AppendMessages(session_id=id_)
            | DeleteWorkingMemory(session_id=id_)
            | SummarizeSession(session_id=id_)
            | RecordExtraction(session_id=id_)
        ):
            return (streams.session_stream(request.scope, id_),)
        case _:
            return ()


def memory_streams(request: Request) -> Iterable[str]:
    """Streams of the memories that the command asks about."""
    tenant = request.scope.tenant
    match request.command:
        case StoreMemories(memories=records, within=within) if within is not None:
            ids = [id_ for record in records for id_ in (record.id, own_id(record))]
        case StoreMemories(memories=records) | RecordExtraction(memories=records):
            ids = [record.id for record in records]
        case ReplaceWorkingMemory() as command:
            ids = [id_ for record in records_to_promote(command, request) for id_ in (record.id, own_id(record))]
        case EditMemory(memory_id=id_) | EnrichMemory(memory_id=id_) | UnmergeMemory(memory_id=id_):
            ids = [id_]
        case ForgetMemories(memory_ids=ids) | TouchMemories(memory_ids=ids):
            pass
        case MergeMemories(record=record, source_ids=sources):
            ids = [record.id, *sources]
        case _:
            return ()
    return {streams.memory_stream(tenant, id_) for id_ in ids}


def history_streams(request: Request) -> Iterable[str]:
    """Streams of which every event is asked about."""
    if isinstance(request.command, UnmergeMemory):
        return (streams.memory_stream(request.scope.tenant, request.command.memory_id),)
    return ()


def newest_streams(request: Request) -> Iterable[str]:
    """Streams whose newest event is their state, other than those of memories."""
    tenant = request.scope.tenant
    match request.command:
        case Tick(job=job) | StartJob(job=job) | FinishJob(job=job) | PauseJob(job=job) | ResumeJob(job=job) | RunJobNow(job=job):
            return (streams.job_stream(tenant, job),)
        case CreateSummaryView(view=view):
            return (streams.view_stream(tenant, view.id),)
        case DeleteSummaryView(view_id=id_):
            return (streams.view_stream(tenant, id_),)
        case RecordPartition(partition=partition):
            group = streams.partition_stream(tenant, partition.view_id, partition.group)
            return (streams.view_stream(tenant, partition.view_id), group)
        case RecordRevision(revision=revision):
            return (streams.node_stream(request.scope, revision.node_id),)
        case ChangeTask(task=task):
            of = () if task.view_id is None else (streams.view_stream(tenant, task.view_id),)
            return (streams.task_stream(tenant, task.id), *of)
        case _:
            return ()


def quoted_ids(request: Request) -> Iterable[tuple[str, str]]:
    """(scope path, event id) of the timeline events that grips of the command quote."""
    if isinstance(request.command, RecordRevision):
        return {(request.scope.path, span.event_id) for grip in request.command.revision.grips for span in grip.spans}
    return ()


def restored_streams(request: Request, facts: Facts) -> Iterable[str]:
    """Streams of memories that come back, known once the history is."""
    tenant = request.scope.tenant
    return [
        streams.memory_stream(tenant, record.id)
        for stream in history_streams(request)
        for record in sources_of(facts.histories.get(stream, []))
    ]


def claimed_hashes(request: Request, facts: Facts) -> Iterable[tuple[str, str]]:
    """(tenant, memory hash) of contents of which it matters who stands for them; asked when the memories are known."""
    tenant = request.scope.tenant
    match request.command:
        case MergeMemories(source_ids=ids):
            known = (facts.memories.get(streams.memory_stream(tenant, id_)) for id_ in ids)
            records = [memory.record for memory in known if memory is not None and memory.record is not None]
            return [(tenant, record.memory_hash) for record in records if record.memory_hash]
        case UnmergeMemory():
            sources = [record for stream in history_streams(request) for record in sources_of(facts.histories.get(stream, []))]
            return [(tenant, record.memory_hash) for record in sources if record.memory_hash]
        case StoreMemories(memories=records, deduplicate=True) | RecordExtraction(memories=records):
            return [(tenant, memory_hash(record)) for record in records]
        case ReplaceWorkingMemory() as command:
            return [(tenant, memory_hash(record)) for record in records_to_promote(command, request)]
        case _:
            return ()


def records_to_promote(command: ReplaceWorkingMemory, request: Request) -> list[MemoryRecord]:
    """The memories of a document as they would be in long-term memory; none when they are not to go there."""
    if not command.promote or not command.memories:
        return []
    now = to_datetime(request.now_ms)
    return [promoted(_record(raw), command, request.scope, now) for raw in command.memories]


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
