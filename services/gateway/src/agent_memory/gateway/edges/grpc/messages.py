"""Messages of the wire to our own values, and back."""

from typing import Any, cast

from agent_memory.contracts.errors import Invalid
from agent_memory.contracts.jobs import JobStatus
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.records import (
    MAX_ID_BYTES,
    MAX_TIMESTAMP_MS,
    MIN_TIMESTAMP_MS,
    EventType,
    TimelineEvent,
)
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.gateway.timeline_use import Matched

MAX_TEXT_BYTES = 1_000_000
EVENT_TYPES: tuple[EventType, ...] = EventType.__args__  # type: ignore[attr-defined]
"""In the order of their numbers, from 1."""
NUMBER_OF_TYPE = {name: number for number, name in enumerate(EVENT_TYPES, 1)}
ROLES = ("user", "assistant", "system", "tool")
NUMBER_OF_ROLE = {name: number for number, name in enumerate(ROLES, 1)}
NUMBER_OF_LEVEL = {"year": 1, "month": 2, "week": 3, "day": 4, "segment": 5}
NUMBER_OF_RESULT = {None: 0, "success": 1, "failed": 2, "skipped": 3}
SALIENCE = 0.5
"""What the daemon says of everything."""


def event_of(message: pb.Event, where: str = "") -> TimelineEvent:
    """A recorded event. A type or role that is not known is that of a user. Raises Invalid naming the field at fault."""
    identified(message.event_id, f"{where}event_id")
    identified(message.session_id, f"{where}session_id")
    if not MIN_TIMESTAMP_MS <= message.timestamp_ms <= MAX_TIMESTAMP_MS:
        bounds = f"{MIN_TIMESTAMP_MS} to {MAX_TIMESTAMP_MS}"
        raise Invalid(
            f"Invalid timestamp: {where}timestamp_ms {message.timestamp_ms} is not {bounds}", field=f"{where}timestamp_ms"
        )
    for name, text in (
        ("text", message.text),
        ("agent", message.agent),
        *(("metadata", part) for pair in message.metadata.items() for part in pair),
    ):
        if "\0" in text or (len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES):
            raise Invalid(f"{where}{name} holds a NUL character or more than {MAX_TEXT_BYTES} bytes", field=f"{where}{name}")
    kind, role = message.event_type, message.role
    return TimelineEvent(
        event_id=message.event_id,
        session_id=message.session_id,
        timestamp_ms=message.timestamp_ms,
        event_type=EVENT_TYPES[kind - 1] if 1 <= kind <= len(EVENT_TYPES) else "user_message",
        role=ROLES[role - 1] if 1 <= role <= len(ROLES) else "user",
        text=message.text,
        metadata=dict(message.metadata),
        agent=message.agent.lower() or None if message.HasField("agent") else None,
    )


def required(value: str, field: str) -> str:
    """What may name something, or nothing. Raises Invalid naming the field when it is empty, or can be no id at all."""
    if not value:
        raise Invalid(f"{field} is required", field=field)
    if "\0" in value:
        raise Invalid(f"{field} holds a NUL character, which no id has", field=field)
    return value


def identified(value: str, field: str) -> str:
    """An id that can be given to something. Raises Invalid naming the field."""
    if not value:
        raise Invalid(f"{field} is required", field=field)
    if "\0" in value or len(value.encode()) > MAX_ID_BYTES:
        raise Invalid(f"{field} holds a NUL character or more than {MAX_ID_BYTES} bytes", field=field)
    return value


def event(said: TimelineEvent) -> pb.Event:
    """An event on the wire."""
    message = pb.Event(
        event_id=said.event_id,
        session_id=said.session_id,
        timestamp_ms=said.timestamp_ms,
        event_type=cast(Any, NUMBER_OF_TYPE[said.event_type]),
        role=cast(Any, NUMBER_OF_ROLE.get(said.role, 0)),
        text=said.text,
        metadata=said.metadata,
    )
    if said.agent is not None:
        message.agent = said.agent
    return message


def node(found: TocNode) -> pb.TocNode:
    """A node on the wire."""
    message = pb.TocNode(
        node_id=found.node_id,
        level=cast(Any, NUMBER_OF_LEVEL[found.level]),
        title=found.title,
        bullets=[pb.TocBullet(text=one.text, grip_ids=one.grip_ids) for one in found.bullets],
        keywords=found.keywords,
        child_node_ids=found.child_node_ids,
        start_time_ms=found.start_time_ms,
        end_time_ms=found.end_time_ms,
        version=found.version,
        salience_score=SALIENCE,
        memory_kind=pb.MEMORY_KIND_OBSERVATION,
        event_count=found.events,
        session_count=found.sessions,
    )
    if found.summary is not None:
        message.summary = found.summary
    if found.session_id is not None:
        message.session_id = found.session_id
    if found.parent_node_id is not None:
        message.parent_node_id = found.parent_node_id
    return message


def grip(found: Grip) -> pb.Grip:
    """A grip on the wire."""
    return pb.Grip(
        grip_id=found.grip_id,
        excerpt=found.excerpt,
        event_id_start=found.event_id_start,
        event_id_end=found.event_id_end,
        timestamp_ms=found.timestamp_ms,
        source=found.source,
        salience_score=SALIENCE,
        memory_kind=pb.MEMORY_KIND_OBSERVATION,
        spans=[pb.GripSpan(event_id=one.event_id, start=one.start, end=one.end) for one in found.spans],
        session_id=found.session_id,
        node_id=found.node_id,
    )


def job(status: JobStatus) -> pb.JobStatusProto:
    """How a job stands, on the wire."""
    message = pb.JobStatusProto(
        job_name=status.job_name,
        cron_expr=status.cron_expr,
        last_run_ms=status.last_run_ms,
        last_duration_ms=status.last_duration_ms,
        last_result=cast(Any, NUMBER_OF_RESULT[status.last_result]),
        next_run_ms=status.next_run_ms,
        run_count=status.run_count,
        error_count=status.error_count,
        is_running=status.is_running,
        is_paused=status.is_paused,
        last_run_metadata=status.last_run_metadata,
        time_zone=status.time_zone,
        meaning=status.meaning,
    )
    if status.last_error is not None:
        message.last_error = status.last_error
    return message


def matched(found: Matched) -> pb.TimelineMatch:
    """Something that a search found, on the wire."""
    return pb.TimelineMatch(
        kind=found.kind,
        id=found.id,
        score=found.score,
        text=found.text,
        timestamp_ms=found.timestamp_ms,
        node=None if found.node is None else node(found.node),
        grip=None if found.grip is None else grip(found.grip),
        event=None if found.event is None else event(found.event),
    )
