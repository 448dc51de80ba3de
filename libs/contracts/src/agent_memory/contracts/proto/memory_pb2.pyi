from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    EVENT_TYPE_SESSION_START: _ClassVar[EventType]
    EVENT_TYPE_USER_MESSAGE: _ClassVar[EventType]
    EVENT_TYPE_ASSISTANT_MESSAGE: _ClassVar[EventType]
    EVENT_TYPE_TOOL_RESULT: _ClassVar[EventType]
    EVENT_TYPE_ASSISTANT_STOP: _ClassVar[EventType]
    EVENT_TYPE_SUBAGENT_START: _ClassVar[EventType]
    EVENT_TYPE_SUBAGENT_STOP: _ClassVar[EventType]
    EVENT_TYPE_SESSION_END: _ClassVar[EventType]

class EventRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_ROLE_UNSPECIFIED: _ClassVar[EventRole]
    EVENT_ROLE_USER: _ClassVar[EventRole]
    EVENT_ROLE_ASSISTANT: _ClassVar[EventRole]
    EVENT_ROLE_SYSTEM: _ClassVar[EventRole]
    EVENT_ROLE_TOOL: _ClassVar[EventRole]

class TocLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOC_LEVEL_UNSPECIFIED: _ClassVar[TocLevel]
    TOC_LEVEL_YEAR: _ClassVar[TocLevel]
    TOC_LEVEL_MONTH: _ClassVar[TocLevel]
    TOC_LEVEL_WEEK: _ClassVar[TocLevel]
    TOC_LEVEL_DAY: _ClassVar[TocLevel]
    TOC_LEVEL_SEGMENT: _ClassVar[TocLevel]

class JobResultStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_RESULT_STATUS_UNSPECIFIED: _ClassVar[JobResultStatus]
    JOB_RESULT_STATUS_SUCCESS: _ClassVar[JobResultStatus]
    JOB_RESULT_STATUS_FAILED: _ClassVar[JobResultStatus]
    JOB_RESULT_STATUS_SKIPPED: _ClassVar[JobResultStatus]

class MemoryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEMORY_KIND_UNSPECIFIED: _ClassVar[MemoryKind]
    MEMORY_KIND_OBSERVATION: _ClassVar[MemoryKind]
    MEMORY_KIND_PREFERENCE: _ClassVar[MemoryKind]
    MEMORY_KIND_PROCEDURE: _ClassVar[MemoryKind]
    MEMORY_KIND_CONSTRAINT: _ClassVar[MemoryKind]
    MEMORY_KIND_DEFINITION: _ClassVar[MemoryKind]
EVENT_TYPE_UNSPECIFIED: EventType
EVENT_TYPE_SESSION_START: EventType
EVENT_TYPE_USER_MESSAGE: EventType
EVENT_TYPE_ASSISTANT_MESSAGE: EventType
EVENT_TYPE_TOOL_RESULT: EventType
EVENT_TYPE_ASSISTANT_STOP: EventType
EVENT_TYPE_SUBAGENT_START: EventType
EVENT_TYPE_SUBAGENT_STOP: EventType
EVENT_TYPE_SESSION_END: EventType
EVENT_ROLE_UNSPECIFIED: EventRole
EVENT_ROLE_USER: EventRole
EVENT_ROLE_ASSISTANT: EventRole
EVENT_ROLE_SYSTEM: EventRole
EVENT_ROLE_TOOL: EventRole
TOC_LEVEL_UNSPECIFIED: TocLevel
TOC_LEVEL_YEAR: TocLevel
TOC_LEVEL_MONTH: TocLevel
TOC_LEVEL_WEEK: TocLevel
TOC_LEVEL_DAY: TocLevel
TOC_LEVEL_SEGMENT: TocLevel
JOB_RESULT_STATUS_UNSPECIFIED: JobResultStatus
JOB_RESULT_STATUS_SUCCESS: JobResultStatus
JOB_RESULT_STATUS_FAILED: JobResultStatus
JOB_RESULT_STATUS_SKIPPED: JobResultStatus
MEMORY_KIND_UNSPECIFIED: MemoryKind
MEMORY_KIND_OBSERVATION: MemoryKind
MEMORY_KIND_PREFERENCE: MemoryKind
MEMORY_KIND_PROCEDURE: MemoryKind
MEMORY_KIND_CONSTRAINT: MemoryKind
MEMORY_KIND_DEFINITION: MemoryKind

class Event(_message.Message):
    __slots__ = ("event_id", "session_id", "timestamp_ms", "event_type", "role", "text", "metadata", "agent")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    session_id: str
    timestamp_ms: int
    event_type: EventType
    role: EventRole
    text: str
    metadata: _containers.ScalarMap[str, str]
    agent: str
    def __init__(self, event_id: _Optional[str] = ..., session_id: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., event_type: _Optional[_Union[EventType, str]] = ..., role: _Optional[_Union[EventRole, str]] = ..., text: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., agent: _Optional[str] = ...) -> None: ...

class IngestEventRequest(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class IngestEventResponse(_message.Message):
    __slots__ = ("event_id", "created", "deduplicated")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    created: bool
    deduplicated: bool
    def __init__(self, event_id: _Optional[str] = ..., created: _Optional[bool] = ..., deduplicated: _Optional[bool] = ...) -> None: ...

class IngestEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class IngestEventsResponse(_message.Message):
    __slots__ = ("created", "existing", "position")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    created: int
    existing: int
    position: int
    def __init__(self, created: _Optional[int] = ..., existing: _Optional[int] = ..., position: _Optional[int] = ...) -> None: ...

class TocBullet(_message.Message):
    __slots__ = ("text", "grip_ids")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    GRIP_IDS_FIELD_NUMBER: _ClassVar[int]
    text: str
    grip_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., grip_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class TocNode(_message.Message):
    __slots__ = ("node_id", "level", "title", "summary", "bullets", "keywords", "child_node_ids", "start_time_ms", "end_time_ms", "version", "salience_score", "memory_kind", "is_pinned", "access_count", "last_accessed_ms", "event_count", "session_count", "session_id", "parent_node_id")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    BULLETS_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    CHILD_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    END_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_KIND_FIELD_NUMBER: _ClassVar[int]
    IS_PINNED_FIELD_NUMBER: _ClassVar[int]
    ACCESS_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_ACCESSED_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SESSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    level: TocLevel
    title: str
    summary: str
    bullets: _containers.RepeatedCompositeFieldContainer[TocBullet]
    keywords: _containers.RepeatedScalarFieldContainer[str]
    child_node_ids: _containers.RepeatedScalarFieldContainer[str]
    start_time_ms: int
    end_time_ms: int
    version: int
    salience_score: float
    memory_kind: MemoryKind
    is_pinned: bool
    access_count: int
    last_accessed_ms: int
    event_count: int
    session_count: int
    session_id: str
    parent_node_id: str
    def __init__(self, node_id: _Optional[str] = ..., level: _Optional[_Union[TocLevel, str]] = ..., title: _Optional[str] = ..., summary: _Optional[str] = ..., bullets: _Optional[_Iterable[_Union[TocBullet, _Mapping]]] = ..., keywords: _Optional[_Iterable[str]] = ..., child_node_ids: _Optional[_Iterable[str]] = ..., start_time_ms: _Optional[int] = ..., end_time_ms: _Optional[int] = ..., version: _Optional[int] = ..., salience_score: _Optional[float] = ..., memory_kind: _Optional[_Union[MemoryKind, str]] = ..., is_pinned: _Optional[bool] = ..., access_count: _Optional[int] = ..., last_accessed_ms: _Optional[int] = ..., event_count: _Optional[int] = ..., session_count: _Optional[int] = ..., session_id: _Optional[str] = ..., parent_node_id: _Optional[str] = ...) -> None: ...

class Grip(_message.Message):
    __slots__ = ("grip_id", "excerpt", "event_id_start", "event_id_end", "timestamp_ms", "source", "salience_score", "memory_kind", "is_pinned", "spans", "session_id", "node_id")
    GRIP_ID_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_START_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_END_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SALIENCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_KIND_FIELD_NUMBER: _ClassVar[int]
    IS_PINNED_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    grip_id: str
    excerpt: str
    event_id_start: str
    event_id_end: str
    timestamp_ms: int
    source: str
    salience_score: float
    memory_kind: MemoryKind
    is_pinned: bool
    spans: _containers.RepeatedCompositeFieldContainer[GripSpan]
    session_id: str
    node_id: str
    def __init__(self, grip_id: _Optional[str] = ..., excerpt: _Optional[str] = ..., event_id_start: _Optional[str] = ..., event_id_end: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., source: _Optional[str] = ..., salience_score: _Optional[float] = ..., memory_kind: _Optional[_Union[MemoryKind, str]] = ..., is_pinned: _Optional[bool] = ..., spans: _Optional[_Iterable[_Union[GripSpan, _Mapping]]] = ..., session_id: _Optional[str] = ..., node_id: _Optional[str] = ...) -> None: ...

class GripSpan(_message.Message):
    __slots__ = ("event_id", "start", "end")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    start: int
    end: int
    def __init__(self, event_id: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class GetTocRootRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTocRootResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[TocNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[TocNode, _Mapping]]] = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("node_id", "version")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    version: int
    def __init__(self, node_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetNodeResponse(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: TocNode
    def __init__(self, node: _Optional[_Union[TocNode, _Mapping]] = ...) -> None: ...

class BrowseTocRequest(_message.Message):
    __slots__ = ("parent_id", "limit", "continuation_token")
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent_id: str
    limit: int
    continuation_token: str
    def __init__(self, parent_id: _Optional[str] = ..., limit: _Optional[int] = ..., continuation_token: _Optional[str] = ...) -> None: ...

class BrowseTocResponse(_message.Message):
    __slots__ = ("children", "continuation_token", "has_more")
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    children: _containers.RepeatedCompositeFieldContainer[TocNode]
    continuation_token: str
    has_more: bool
    def __init__(self, children: _Optional[_Iterable[_Union[TocNode, _Mapping]]] = ..., continuation_token: _Optional[str] = ..., has_more: _Optional[bool] = ...) -> None: ...

class GetEventsRequest(_message.Message):
    __slots__ = ("from_timestamp_ms", "to_timestamp_ms", "limit", "cursor", "session_id")
    FROM_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    TO_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    from_timestamp_ms: int
    to_timestamp_ms: int
    limit: int
    cursor: str
    session_id: str
    def __init__(self, from_timestamp_ms: _Optional[int] = ..., to_timestamp_ms: _Optional[int] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class GetEventsResponse(_message.Message):
    __slots__ = ("events", "has_more", "next_cursor")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    has_more: bool
    next_cursor: str
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., has_more: _Optional[bool] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ExpandGripRequest(_message.Message):
    __slots__ = ("grip_id", "events_before", "events_after")
    GRIP_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    grip_id: str
    events_before: int
    events_after: int
    def __init__(self, grip_id: _Optional[str] = ..., events_before: _Optional[int] = ..., events_after: _Optional[int] = ...) -> None: ...

class ExpandGripResponse(_message.Message):
    __slots__ = ("grip", "events_before", "excerpt_events", "events_after")
    GRIP_FIELD_NUMBER: _ClassVar[int]
    EVENTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_EVENTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    grip: Grip
    events_before: _containers.RepeatedCompositeFieldContainer[Event]
    excerpt_events: _containers.RepeatedCompositeFieldContainer[Event]
    events_after: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, grip: _Optional[_Union[Grip, _Mapping]] = ..., events_before: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., excerpt_events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., events_after: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class SearchTimelineRequest(_message.Message):
    __slots__ = ("query", "mode", "kinds", "from_timestamp_ms", "to_timestamp_ms", "limit", "session_id")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    FROM_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    TO_TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    query: str
    mode: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    from_timestamp_ms: int
    to_timestamp_ms: int
    limit: int
    session_id: str
    def __init__(self, query: _Optional[str] = ..., mode: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., from_timestamp_ms: _Optional[int] = ..., to_timestamp_ms: _Optional[int] = ..., limit: _Optional[int] = ..., session_id: _Optional[str] = ...) -> None: ...

class TimelineMatch(_message.Message):
    __slots__ = ("kind", "id", "score", "text", "timestamp_ms", "node", "grip", "event")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    GRIP_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    score: float
    text: str
    timestamp_ms: int
    node: TocNode
    grip: Grip
    event: Event
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., score: _Optional[float] = ..., text: _Optional[str] = ..., timestamp_ms: _Optional[int] = ..., node: _Optional[_Union[TocNode, _Mapping]] = ..., grip: _Optional[_Union[Grip, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ...) -> None: ...

class SearchTimelineResponse(_message.Message):
    __slots__ = ("matches",)
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    matches: _containers.RepeatedCompositeFieldContainer[TimelineMatch]
    def __init__(self, matches: _Optional[_Iterable[_Union[TimelineMatch, _Mapping]]] = ...) -> None: ...

class JobStatusProto(_message.Message):
    __slots__ = ("job_name", "cron_expr", "last_run_ms", "last_duration_ms", "last_result", "last_error", "next_run_ms", "run_count", "error_count", "is_running", "is_paused", "last_run_metadata", "time_zone", "meaning")
    class LastRunMetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_EXPR_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_RESULT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_MS_FIELD_NUMBER: _ClassVar[int]
    RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    IS_PAUSED_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_METADATA_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    job_name: str
    cron_expr: str
    last_run_ms: int
    last_duration_ms: int
    last_result: JobResultStatus
    last_error: str
    next_run_ms: int
    run_count: int
    error_count: int
    is_running: bool
    is_paused: bool
    last_run_metadata: _containers.ScalarMap[str, str]
    time_zone: str
    meaning: str
    def __init__(self, job_name: _Optional[str] = ..., cron_expr: _Optional[str] = ..., last_run_ms: _Optional[int] = ..., last_duration_ms: _Optional[int] = ..., last_result: _Optional[_Union[JobResultStatus, str]] = ..., last_error: _Optional[str] = ..., next_run_ms: _Optional[int] = ..., run_count: _Optional[int] = ..., error_count: _Optional[int] = ..., is_running: _Optional[bool] = ..., is_paused: _Optional[bool] = ..., last_run_metadata: _Optional[_Mapping[str, str]] = ..., time_zone: _Optional[str] = ..., meaning: _Optional[str] = ...) -> None: ...

class GetSchedulerStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSchedulerStatusResponse(_message.Message):
    __slots__ = ("scheduler_running", "jobs")
    SCHEDULER_RUNNING_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    scheduler_running: bool
    jobs: _containers.RepeatedCompositeFieldContainer[JobStatusProto]
    def __init__(self, scheduler_running: _Optional[bool] = ..., jobs: _Optional[_Iterable[_Union[JobStatusProto, _Mapping]]] = ...) -> None: ...

class PauseJobRequest(_message.Message):
    __slots__ = ("job_name",)
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    job_name: str
    def __init__(self, job_name: _Optional[str] = ...) -> None: ...

class PauseJobResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class ResumeJobRequest(_message.Message):
    __slots__ = ("job_name",)
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    job_name: str
    def __init__(self, job_name: _Optional[str] = ...) -> None: ...

class ResumeJobResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class RunJobRequest(_message.Message):
    __slots__ = ("job_name",)
    JOB_NAME_FIELD_NUMBER: _ClassVar[int]
    job_name: str
    def __init__(self, job_name: _Optional[str] = ...) -> None: ...

class RunJobResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...
