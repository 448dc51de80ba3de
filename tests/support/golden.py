"""A log made of the golden events: what was recorded once, in whatever shape, in the streams it belongs in."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent_memory.contracts.codec import decode_envelope, decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import (
    job_stream,
    memory_stream,
    node_stream,
    partition_stream,
    session_stream,
    task_stream,
    view_stream,
)
from agent_memory.eventlog.rows import Batch, NewEvent, SessionRow

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"
SCOPE = Scope(tenant="t", namespace="n", user_id="u")
SESSION = session_stream(SCOPE, "s1")
MEMORY = memory_stream("t", "01HXYZ")
JOB = job_stream("t", "hourly-rollup")
STREAMS = {
    "EventRecorded": SESSION,
    "WorkingMemoryDeleted": SESSION,
    "WorkingMemoryReplaced": SESSION,
    "MessagesRestored": SESSION,
    "WorkingMemorySummarized": SESSION,
    "MemoriesExtracted": SESSION,
    "MemoryForgotten": MEMORY,
    "MemoryStored": MEMORY,
    "MemoryEdited": MEMORY,
    "SummaryViewDeleted": view_stream("t", "v1"),
    "SummaryViewCreated": view_stream("t", "v1"),
    "PartitionSummarized": partition_stream("t", "v1", {"user_id": "u"}),
    "TaskChanged": task_stream("t", "t1"),
    "NodeRevised": node_stream(SCOPE, "toc:segment:01HXYZ"),
    "JobDue": JOB,
    "JobStarted": JOB,
    "JobFinished": JOB,
    "JobPaused": JOB,
    "JobResumed": JOB,
}
"""Every type of event, in an order in which it could have happened, and its stream. What takes away comes first."""


def golden_events() -> dict[str, EventEnvelope]:
    """The events of all files, by the name of the file. Commands are left out."""
    found: dict[str, EventEnvelope] = {}
    for path in sorted(GOLDEN.glob("*.json")):
        body = path.read_bytes()
        if b'"position":' in body[:20]:
            found[path.name] = decode_envelope(body)
    return found


def first_versions() -> dict[str, EventEnvelope]:
    """By today's types, the oldest shape that each was written in."""
    found: dict[str, EventEnvelope] = {}
    for envelope in golden_events().values():
        found.setdefault(type(decode_event(envelope.type, envelope.data)).__name__, envelope)
    return found


def logged(events: Iterable[EventEnvelope]) -> Batch:
    """One event of every type, in whatever shape, as a batch that can be appended."""
    by_type = {type(decode_event(one.type, one.data)).__name__: one for one in events}
    versions: dict[str, int] = {}
    rows = []
    for name, stream in STREAMS.items():
        envelope, event = by_type[name], decode_event(by_type[name].type, by_type[name].data)
        versions[stream] = versions.get(stream, 0) + 1
        said = event.event if isinstance(event, EventRecorded) else None
        row = NewEvent(stream=stream, version=versions[stream], type=envelope.type, scope=SCOPE, data=bytes(envelope.data))
        placed = {"event_id": said.event_id, "timestamp_ms": said.timestamp_ms} if said else {}
        rows.append(msgspec.structs.replace(row, **placed))
    session = SessionRow(stream=SESSION, scope=SCOPE, session_id="s1", version=versions[SESSION], alive=True)
    return Batch(events=rows, sessions=[session])
