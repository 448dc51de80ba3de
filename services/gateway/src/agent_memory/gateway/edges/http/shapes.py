"""What requests and answers look like, for the documentation alone. The checks themselves are in `requests_*.py`."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from agent_memory.contracts.events import Merge
from agent_memory.contracts.jobs import JobResult
from agent_memory.contracts.queries import DateFilter, Fusion, SearchMode, TagFilter, TextScorer, TimelineKind
from agent_memory.contracts.records import EventType, MemoryRecord, MemoryType, ModelUse, Strategy, TimelineEvent
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.readmodels.forgetting import ForgetPolicy


class Shape(msgspec.Struct, kw_only=True):
    """Base of all shapes."""


class EventBody(Shape, kw_only=True):
    """One event. Without an id it gets one; without a time, that of its arrival. `timestamp`: ISO 8601 or unix seconds."""

    session_id: str
    event_id: str | None = None
    timestamp_ms: int | None = None
    timestamp: datetime | float | None = None
    event_type: EventType = "user_message"
    role: str = "user"
    text: str = ""
    metadata: dict[str, str] = {}
    agent: str | None = None


class EventsBody(Shape, kw_only=True):
    """Up to 1,000 events of one scope. A single event, or NDJSON (application/x-ndjson), is accepted as well."""

    events: list[EventBody]
    namespace: str | None = None
    user_id: str | None = None


class EventOutcome(Shape, kw_only=True):
    """Whether an event is new."""

    event_id: str
    created: bool


class EventsAnswer(Shape, kw_only=True):
    """One outcome per event, how many are new, and the log position that holds them."""

    events: list[EventOutcome]
    created: int
    position: int


class StoredEvent(Shape, kw_only=True):
    """An event and its log position."""

    event_id: str
    session_id: str
    timestamp_ms: int
    event_type: EventType
    role: str
    text: str
    metadata: dict[str, str]
    agent: str | None
    message_id: str | None
    position: int


class EventPage(Shape, kw_only=True):
    """A page of events; `next_cursor` is null on the last one."""

    events: list[StoredEvent]
    next_cursor: str | None


class TimelineSearch(Shape, kw_only=True):
    """Search within one scope. `from` and `to`: UTC milliseconds or ISO 8601. `hybrid_alpha`: the weight of nearness, the rest is
    that of the words. `group_by` "session": the answer holds `sessions` in place of `events`. `kinds`: it holds `matches` of these
    kinds (of all, when it is empty) in place of `events`, and of several kinds `offset` is at most 1,000.
    """

    text: str
    mode: SearchMode = "hybrid"
    namespace: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    from_: int | str | None = msgspec.field(default=None, name="from")
    to: int | str | None = None
    hybrid_alpha: float = 0.5
    limit: int = 10
    offset: int = 0
    group_by: Literal["session"] | None = None
    kinds: list[TimelineKind] | None = None


class TocNodes(Shape, kw_only=True):
    """Nodes of the table of contents; `continuation_token` is null on the last page."""

    nodes: list[TocNode]
    continuation_token: str | None = None


class ExpandedGrip(Shape, kw_only=True):
    """A grip with the events of its session before, in and after it."""

    grip: Grip
    events_before: list[TimelineEvent]
    excerpt_events: list[TimelineEvent]
    events_after: list[TimelineEvent]


class FoundMatch(Shape, kw_only=True):
    """A node, a grip or an event that was found, under the name of its kind. `text`: what is written about it, or what was said;
    `timestamp_ms`: when it began; `score`: 0 to 1.
    """

    kind: TimelineKind
    id: str
    score: float
    text: str
    timestamp_ms: int
    node: TocNode | None = None
    grip: Grip | None = None
    event: TimelineEvent | None = None


class FoundEvents(Shape, kw_only=True):
    """Events in order, each with `score` and `score_type`; `total` counts all that match. Grouped: `sessions` in order, each with
    `session_id`, `score` and its best `events`; `total` counts those that have an event among the best candidates. Of kinds that
    were named: `matches` in one order.
    """

    events: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    matches: list[FoundMatch] = []
    total: int
    next_offset: int | None


class MessageBody(Shape, kw_only=True):
    """One message."""

    role: str
    content: str
    id: str | None = None
    created_at: datetime | None = None
    persisted_at: datetime | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"


class SessionMemory(Shape, kw_only=True):
    """A memory as clients give it to a session; without an id it gets one. Tags hold no commas."""

    text: str
    id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    namespace: str | None = None
    last_accessed: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    pinned: bool = False
    access_count: int = 0
    topics: list[str] | None = None
    entities: list[str] | None = None
    memory_hash: str | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"
    memory_type: MemoryType = "message"
    persisted_at: datetime | None = None
    extracted_from: list[str] | None = None
    event_date: datetime | None = None
    extraction_strategy: str = "discrete"
    extraction_strategy_config: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class SessionBody(Shape, kw_only=True):
    """A session's whole working memory. When it was made and changed is the server's to say, whatever is given."""

    messages: list[MessageBody] = []
    memories: list[SessionMemory] = []
    data: dict[str, Any] | None = None
    context: str | None = None
    user_id: str | None = None
    namespace: str | None = None
    tokens: int = 0
    long_term_memory_strategy: Strategy = Strategy()
    ttl_seconds: int | None = None
    last_accessed: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class SessionAnswer(SessionBody, kw_only=True):
    """A session's working memory as it is stored."""

    session_id: str
    created_at: datetime
    updated_at: datetime
    context_percentage_total_used: float | None = None
    context_percentage_until_summarization: float | None = None


class MessagesBody(Shape, kw_only=True):
    """Messages to append, at most 1,000."""

    messages: list[MessageBody]
    namespace: str | None = None
    user_id: str | None = None


class MessagesAnswer(Shape, kw_only=True):
    """One `created` per message, and the session's version."""

    session_id: str
    created: list[bool]
    version: int


class SessionList(Shape, kw_only=True):
    """A page of session ids; `total` counts all."""

    sessions: list[str]
    total: int


class MemoryBody(SessionMemory, kw_only=True):
    """A memory as clients create it; when it was persisted is the server's to say."""

    id: str
    discrete_memory_extracted: Literal["t", "f"] = "t"
    memory_type: MemoryType = "semantic"


class MemoriesBody(Shape, kw_only=True):
    """Memories to create or replace by id."""

    memories: list[MemoryBody]
    deduplicate: bool = True


class MemoriesAnswer(Shape, kw_only=True):
    """Stored. `memory_ids` is there when a memory is kept under another id than the one that was given, because another memory says
    the same, or because the id is somebody else's: one id per memory, in the order of the request.
    """

    status: str
    memory_ids: list[str] = []


class MemoryEdit(Shape, kw_only=True):
    """Fields to change; null means not given."""

    text: str | None = None
    topics: list[str] | None = None
    entities: list[str] | None = None
    memory_type: MemoryType | None = None
    namespace: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    event_date: datetime | None = None
    pinned: bool | None = None


class MemorySearch(Shape, kw_only=True):
    """Search of memories. Without text: a listing by filter. All filters, and all operators of one filter, must hold.

    `hybrid_alpha`: share of the nearness, the rest is that of the words; `hybrid_fusion`: whether scaled scores are added, or
    reciprocal ranks. Recency counts over all candidates unless `recency_boost` is false; `server_side_recency` means the same.
    `include_working_memory`: search what stands in sessions as well; each result then says its `source`.
    """

    text: str | None = None
    search_mode: SearchMode = "semantic"
    hybrid_alpha: float = 0.7
    hybrid_fusion: Fusion = "weighted"
    text_scorer: TextScorer = "BM25STD"
    session_id: TagFilter | None = None
    namespace: TagFilter | None = None
    user_id: TagFilter | None = None
    topics: TagFilter | None = None
    entities: TagFilter | None = None
    memory_type: TagFilter | None = None
    extraction_strategy: TagFilter | None = None
    created_at: DateFilter | None = None
    last_accessed: DateFilter | None = None
    event_date: DateFilter | None = None
    distance_threshold: float | None = None
    limit: int = 10
    offset: int = 0
    recency_boost: bool | None = None
    recency_semantic_weight: float | None = None
    recency_recency_weight: float | None = None
    recency_freshness_weight: float | None = None
    recency_novelty_weight: float | None = None
    recency_half_life_last_access_days: float | None = None
    recency_half_life_created_days: float | None = None
    server_side_recency: bool | None = None
    include_working_memory: bool = False


class FoundMemory(SessionMemory, kw_only=True):
    """A memory that was found. `dist`: cosine distance; `score`: 0 to 1, null in a listing."""

    id: str
    dist: float
    score: float | None = None
    score_type: SearchMode | None = None
    source: Literal["long_term_memory", "working_memory"] | None = None


class FoundMemories(Shape, kw_only=True):
    """Memories in a total order; `total` counts all that match. `working_memory_complete`, where working memory was searched:
    whether all sessions of the scope were looked at, or only the newest.
    """

    memories: list[FoundMemory]
    total: int
    next_offset: int | None = None
    working_memory_complete: bool | None = None


class PromptSession(Shape, kw_only=True):
    """Which session belongs to a prompt, and how much of it: tokens, by number or by model, and newest messages."""

    session_id: str
    namespace: str | None = None
    user_id: str | None = None
    model_name: str | None = None
    context_window_max: int | None = None
    window_size: int | None = None
    long_term_memory_strategy: Strategy | None = None


class PromptBody(Shape, kw_only=True):
    """A query and what is to stand around it. `long_term_search`: options, or true for the memories of the session's owner."""

    query: str
    session: PromptSession | None = None
    long_term_search: MemorySearch | bool | None = None


class PromptText(Shape, kw_only=True):
    """A text."""

    type: Literal["text"]
    text: str
    annotations: None
    meta: None = msgspec.field(name="_meta")


class PromptMessage(Shape, kw_only=True):
    """A message for a model."""

    role: Literal["system", "user", "assistant"]
    content: PromptText


class PromptAnswer(Shape, kw_only=True):
    """The summary, the session's messages, the memories, the query; and the memories by themselves, null when not searched."""

    messages: list[PromptMessage]
    long_term_memories: list[FoundMemory] | None = None


class ForgetBody(Shape, kw_only=True):
    """A policy, and ids that stay whatever it says."""

    policy: ForgetPolicy
    pinned_ids: list[str] | None = None


class ForgetAnswer(Shape, kw_only=True):
    """What was looked at and what went, or would go."""

    scanned: int
    deleted: int
    deleted_ids: list[str]
    dry_run: bool


class SummaryViewBody(Shape, kw_only=True):
    """A view to define. `filters`: field to a string (equal), a list (any of them), or an object of operators."""

    name: str | None = None
    source: Literal["long_term", "working_memory"]
    group_by: list[str] = []
    filters: dict[str, Any] = {}
    time_window_days: int | None = None
    continuous: bool = False
    prompt: str | None = None
    model_name: str | None = None


class PartitionBody(Shape, kw_only=True):
    """A value for each field that the view groups by; empty for memories that have none."""

    group: dict[str, str]


class PartitionShape(Shape, kw_only=True):
    """The summary of one group, from how many memories, and when it was made."""

    view_id: str
    group: dict[str, str]
    summary: str
    memory_count: int
    empty: bool
    empty_reason: str | None
    computed_at: datetime
    memory_ids: list[str]


class RunBody(Shape, kw_only=True):
    """An id for the task, if the caller wants to name it."""

    task_id: str | None = None


class MemoryChange(Shape, kw_only=True):
    """One thing that happened to a memory: when it was recorded, which command and request caused it, and the record after it.

    `merge`: the survivor before, and the sources, of a merge that was made or taken back. `merged_into`: what it became part of.
    """

    position: int
    version: int
    at: datetime
    event: Literal["stored", "edited", "forgotten"]
    reason: str
    changed: list[str]
    command_id: str
    correlation_id: str
    record: MemoryRecord | None
    merge: Merge | None
    merged_into: str | None
    use: ModelUse | None


class MemoryHistory(Shape, kw_only=True):
    """What happened to a memory, oldest first."""

    memory_id: str
    events: list[MemoryChange]


class Compaction(Shape, kw_only=True):
    """How many memories remain, in words, and how many became part of others."""

    status: str
    merged: int


class Status(Shape, kw_only=True):
    """An acknowledgement."""

    status: str


class JobRunShape(Shape, kw_only=True):
    """A run that ended, or was passed over (`skipped`, and `error` says why). `manual`: somebody asked for it."""

    due_ms: int
    started_ms: int
    finished_ms: int
    result: JobResult
    error: str | None
    metadata: dict[str, str]
    manual: bool


class JobRunsAnswer(Shape, kw_only=True):
    """Runs of a job, the newest first."""

    runs: list[JobRunShape]


class Health(Shape, kw_only=True):
    """UTC milliseconds."""

    now: int


class Ready(Shape, kw_only=True):
    """Each part, "ok" or what is wrong with it."""

    ready: bool
    parts: dict[str, str]


class ProjectionStatus(Shape, kw_only=True):
    """How far a projection is. `waiting`: events of a newer version, passed over until a replica that can read them runs."""

    projection: str
    service: str
    position: int
    head: int
    lag: int
    indexed: int
    skipped: int
    dead_lettered: int
    waiting: int


class Identity(Shape, kw_only=True):
    """Whom a credential stands for. `namespaces` and `user_id`: what it is bound to; null: nothing."""

    subject: str
    tenant: str
    namespaces: list[str] | None
    user_id: str | None
    permissions: list[str]


class StatusAnswer(Shape, kw_only=True):
    """The end of the log, and every projection."""

    head: int
    projections: list[ProjectionStatus]
