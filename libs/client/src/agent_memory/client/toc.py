"""The timeline as its readers see it: events, nodes of the table of contents, grips, jobs. The same over gRPC and HTTP."""

from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec

from agent_memory.contracts.records import to_datetime, to_milliseconds


class EventType(StrEnum):
    """What happened."""

    SESSION_START = "session_start"
    USER_MESSAGE = "user_message"
    ASSISTANT_MESSAGE = "assistant_message"
    TOOL_RESULT = "tool_result"
    ASSISTANT_STOP = "assistant_stop"
    SUBAGENT_START = "subagent_start"
    SUBAGENT_STOP = "subagent_stop"
    SESSION_END = "session_end"


class EventRole(StrEnum):
    """Who did it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class TocLevel(StrEnum):
    """How much time a node spans. UNSPECIFIED: the server did not say, or said what this client does not know."""

    UNSPECIFIED = "unspecified"
    YEAR = "year"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    SEGMENT = "segment"


class JobResult(StrEnum):
    """How a job's last run ended. UNSPECIFIED: it never ran."""

    UNSPECIFIED = "unspecified"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something said or done in a session. `timestamp_ms` is UTC milliseconds."""

    event_id: str
    session_id: str
    timestamp_ms: int
    event_type: EventType = EventType.USER_MESSAGE
    role: EventRole = EventRole.USER
    text: str = ""
    metadata: dict[str, str] = {}
    agent: str | None = None

    @classmethod
    def new(
        cls,
        event_id: str,
        session_id: str,
        timestamp: datetime | int,
        event_type: EventType,
        role: EventRole,
        text: str,
        metadata: dict[str, str] | None = None,
        agent: str | None = None,
    ) -> Self:
        """An event at a moment, or at UTC milliseconds. A datetime without a zone is local time."""
        return cls(
            event_id=event_id,
            session_id=session_id,
            timestamp_ms=milliseconds_of(timestamp),
            event_type=event_type,
            role=role,
            text=text,
            metadata=metadata or {},
            agent=agent,
        )

    @property
    def timestamp(self) -> datetime:
        """The moment, in UTC, clamped to what a calendar can show."""
        return to_datetime(self.timestamp_ms)


class TocBullet(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said, and the grips that show where."""

    text: str
    grip_ids: list[str] = []


class TocNode(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time and what it was about. Times are UTC milliseconds, both ends included; children in order of time."""

    node_id: str
    level: TocLevel
    title: str
    summary: str | None = None
    bullets: list[TocBullet] = []
    keywords: list[str] = []
    child_node_ids: list[str] = []
    start_time_ms: int = 0
    end_time_ms: int = 0
    version: int = 1
    event_count: int = 0
    session_count: int = 0
    session_id: str | None = None
    parent_node_id: str | None = None


class GripSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an event's text: `text[start:end]`, in characters."""

    event_id: str
    start: int
    end: int


class Grip(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bullet comes from: the words, and the events that they were said in."""

    grip_id: str
    excerpt: str
    event_id_start: str
    event_id_end: str
    timestamp_ms: int
    source: str
    spans: list[GripSpan] = []
    session_id: str = ""
    node_id: str = ""


class BrowseTocResult(msgspec.Struct, frozen=True, kw_only=True):
    """A page of children. `continuation_token` continues; None: this was the last page."""

    children: list[TocNode]
    continuation_token: str | None = None
    has_more: bool = False


class GetEventsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Events in order of time. `next_cursor` continues exactly where this page ended."""

    events: list[Event]
    has_more: bool = False
    next_cursor: str | None = None


class ExpandGripResult(msgspec.Struct, frozen=True, kw_only=True):
    """A grip with the conversation around it. `grip` is None when there is none of that id; then the rest is empty."""

    grip: Grip | None = None
    events_before: list[Event] = []
    excerpt_events: list[Event] = []
    events_after: list[Event] = []


class TimelineMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A found node, grip or event (`kind`), whichever of the three is set. `score` is 0 to 1, higher is closer."""

    kind: str
    id: str
    score: float
    text: str = ""
    timestamp_ms: int = 0
    node: TocNode | None = None
    grip: Grip | None = None
    event: Event | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job: when it runs and how it went. Times are UTC milliseconds, 0 where there was none; `run_count` counts successes."""

    job_name: str
    cron_expr: str
    last_run_ms: int = 0
    last_duration_ms: int = 0
    last_result: JobResult = JobResult.UNSPECIFIED
    last_error: str | None = None
    next_run_ms: int = 0
    run_count: int = 0
    error_count: int = 0
    is_running: bool = False
    is_paused: bool = False
    last_run_metadata: dict[str, str] = {}
    time_zone: str = "UTC"
    meaning: str = ""


class SchedulerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether any scheduler runs, and its jobs."""

    scheduler_running: bool
    jobs: list[JobStatus] = []


def milliseconds_of(moment: datetime | int) -> int:
    """UTC milliseconds. A datetime without a zone is local time."""
    return moment if isinstance(moment, int) else to_milliseconds(moment.astimezone())[0]
