"""Between the records of the HTTP API and what the client gives: the same as over gRPC."""

import msgspec

from agent_memory.client.toc import (
    Event,
    EventRole,
    EventType,
    Grip,
    GripSpan,
    JobResult,
    JobStatus,
    TimelineMatch,
    TocBullet,
    TocLevel,
    TocNode,
)
from agent_memory.contracts import jobs, toc
from agent_memory.contracts.records import TimelineEvent


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A found node, grip or event as the API writes it."""

    kind: str
    id: str
    score: float
    text: str = ""
    timestamp_ms: int = 0
    node: toc.TocNode | None = None
    grip: toc.Grip | None = None
    event: TimelineEvent | None = None


def match_of(told: Match) -> TimelineMatch:
    """A found node, grip or event."""
    return TimelineMatch(
        kind=told.kind,
        id=told.id,
        score=told.score,
        text=told.text,
        timestamp_ms=told.timestamp_ms,
        node=None if told.node is None else node_of(told.node),
        grip=None if told.grip is None else grip_of(told.grip),
        event=None if told.event is None else event_of(told.event),
    )


def event_of(told: TimelineEvent) -> Event:
    """Roles that are none of the timeline's own are a user's, as over gRPC."""
    return Event(
        event_id=told.event_id,
        session_id=told.session_id,
        timestamp_ms=told.timestamp_ms,
        event_type=EventType(told.event_type),
        role=next((role for role in EventRole if role == told.role), EventRole.USER),
        text=told.text,
        metadata=told.metadata,
        agent=told.agent,
    )


def node_of(told: toc.TocNode) -> TocNode:
    """A node of the table of contents."""
    return TocNode(
        node_id=told.node_id,
        level=TocLevel(told.level),
        title=told.title,
        summary=told.summary,
        bullets=[TocBullet(text=bullet.text, grip_ids=list(bullet.grip_ids)) for bullet in told.bullets],
        keywords=list(told.keywords),
        child_node_ids=list(told.child_node_ids),
        start_time_ms=told.start_time_ms,
        end_time_ms=told.end_time_ms,
        version=told.version,
        event_count=told.events,
        session_count=told.sessions,
        session_id=told.session_id,
        parent_node_id=told.parent_node_id,
    )


def grip_of(told: toc.Grip) -> Grip:
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


def job_of(told: jobs.JobStatus) -> JobStatus:
    """A job and how it went."""
    named = {field: getattr(told, field) for field in JobStatus.__struct_fields__ if field != "last_result"}
    return JobStatus(**named, last_result=JobResult(told.last_result or "unspecified"))
