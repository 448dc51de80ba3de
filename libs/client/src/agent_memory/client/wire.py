"""Between the messages of `memory.proto` and what the client takes and gives."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from agent_memory.client.errors import SerializationFailed
from agent_memory.client.toc import (
    BrowseTocResult,
    Event,
    EventRole,
    EventType,
    ExpandGripResult,
    GetEventsResult,
    Grip,
    GripSpan,
    JobResult,
    JobStatus,
    SchedulerStatus,
    TimelineMatch,
    TocBullet,
    TocLevel,
    TocNode,
)
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.records import TimelineEvent

E = TypeVar("E", bound=StrEnum)
AnyEvent = Event | TimelineEvent | Mapping[str, Any]


def message(kind: Any, **fields: Any) -> Any:
    """A message of the given kind, without the fields that are None. Raises SerializationFailed for what does not fit in."""
    try:
        return kind(**{name: value for name, value in fields.items() if value is not None})
    except (ValueError, TypeError) as error:
        raise SerializationFailed(f"{kind.DESCRIPTOR.name} cannot be written: {error}") from None


def event_message(event: AnyEvent) -> pb.Event:
    """An event as it is sent. Raises SerializationFailed."""
    if isinstance(event, Mapping):
        try:
            event = msgspec.convert(event, Event)
        except msgspec.ValidationError as error:
            raise SerializationFailed(f"Event cannot be written: {error}") from None
    try:
        event_type = pb.EventType.Value(f"EVENT_TYPE_{event.event_type.upper()}")
        role = pb.EventRole.Value(f"EVENT_ROLE_{event.role.upper()}")
    except ValueError as error:
        raise SerializationFailed(f"Event cannot be written: {error}") from None
    sent: pb.Event = message(
        pb.Event,
        event_id=event.event_id,
        session_id=event.session_id,
        timestamp_ms=event.timestamp_ms,
        event_type=event_type,
        role=role,
        text=event.text,
        metadata=event.metadata,
        agent=event.agent,
    )
    return sent


def event_of(told: pb.Event) -> Event:
    """Types and roles that are not given, or not known here, are those of a user's message, as in the service itself."""
    return Event(
        event_id=told.event_id,
        session_id=told.session_id,
        timestamp_ms=told.timestamp_ms,
        event_type=_named(pb.EventType, told.event_type, EventType, EventType.USER_MESSAGE),
        role=_named(pb.EventRole, told.role, EventRole, EventRole.USER),
        text=told.text,
        metadata=dict(told.metadata),
        agent=told.agent if told.HasField("agent") else None,
    )


def node_of(told: pb.TocNode) -> TocNode:
    """A node of the table of contents."""
    return TocNode(
        node_id=told.node_id,
        level=_named(pb.TocLevel, told.level, TocLevel, TocLevel.UNSPECIFIED),
        title=told.title,
        summary=_given(told, "summary"),
        bullets=[TocBullet(text=bullet.text, grip_ids=list(bullet.grip_ids)) for bullet in told.bullets],
        keywords=list(told.keywords),
        child_node_ids=list(told.child_node_ids),
        start_time_ms=told.start_time_ms,
        end_time_ms=told.end_time_ms,
        version=told.version,
        event_count=told.event_count,
        session_count=told.session_count,
        session_id=_given(told, "session_id"),
        parent_node_id=_given(told, "parent_node_id"),
    )


def grip_of(told: pb.Grip) -> Grip:
    """A grip with its spans."""
    return Grip(
        grip_id=told.grip_id,
        excerpt=told.excerpt,
        event_id_start=told.event_id_start,
        event_id_end=told.event_id_end,
        timestamp_ms=told.timestamp_ms,
        source=told.source,
        spans=[GripSpan(event_id=span.event_id, start=span.start, end=span.end) for span in told.spans],
        session_id=told.session_id,
        node_id=told.node_id,
    )


def children_of(told: pb.BrowseTocResponse) -> BrowseTocResult:
    """A page of children."""
    children = [node_of(child) for child in told.children]
    return BrowseTocResult(children=children, continuation_token=_given(told, "continuation_token"), has_more=told.has_more)


def events_of(told: pb.GetEventsResponse) -> GetEventsResult:
    """A page of events."""
    events = [event_of(event) for event in told.events]
    return GetEventsResult(events=events, has_more=told.has_more, next_cursor=_given(told, "next_cursor"))


def expansion_of(told: pb.ExpandGripResponse) -> ExpandGripResult:
    """A grip in its conversation."""
    return ExpandGripResult(
        grip=grip_of(told.grip) if told.HasField("grip") else None,
        events_before=[event_of(event) for event in told.events_before],
        excerpt_events=[event_of(event) for event in told.excerpt_events],
        events_after=[event_of(event) for event in told.events_after],
    )


def match_of(told: pb.TimelineMatch) -> TimelineMatch:
    """A found node, grip or event."""
    return TimelineMatch(
        kind=told.kind,
        id=told.id,
        score=told.score,
        text=told.text,
        timestamp_ms=told.timestamp_ms,
        node=node_of(told.node) if told.HasField("node") else None,
        grip=grip_of(told.grip) if told.HasField("grip") else None,
        event=event_of(told.event) if told.HasField("event") else None,
    )


def scheduler_of(told: pb.GetSchedulerStatusResponse) -> SchedulerStatus:
    """The scheduler and its jobs."""
    return SchedulerStatus(scheduler_running=told.scheduler_running, jobs=[_job_of(job) for job in told.jobs])


def _job_of(told: pb.JobStatusProto) -> JobStatus:
    return JobStatus(
        job_name=told.job_name,
        cron_expr=told.cron_expr,
        last_run_ms=told.last_run_ms,
        last_duration_ms=told.last_duration_ms,
        last_result=_named(pb.JobResultStatus, told.last_result, JobResult, JobResult.UNSPECIFIED),
        last_error=_given(told, "last_error"),
        next_run_ms=told.next_run_ms,
        run_count=told.run_count,
        error_count=told.error_count,
        is_running=told.is_running,
        is_paused=told.is_paused,
        last_run_metadata=dict(told.last_run_metadata),
        time_zone=told.time_zone or "UTC",
        meaning=told.meaning,
    )


def _given(told: Any, field: str) -> Any:
    return getattr(told, field) if told.HasField(field) else None


def _named(enum: Any, number: int, kind: type[E], otherwise: E) -> E:
    name = enum.Name(number).lower() if number in enum.values() else ""
    return next((member for member in kind if name.endswith(f"_{member.value}")), otherwise)
