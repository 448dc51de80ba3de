"""The nouns of the system: scope, timeline event, message, memory record. Shared by commands, events and views."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Literal

import msgspec

EventType = Literal[
    "session_start",
    "user_message",
    "assistant_message",
    "tool_result",
    "assistant_stop",
    "subagent_start",
    "subagent_stop",
    "session_end",
]
MESSAGE_TYPES: frozenset[str] = frozenset({"user_message", "assistant_message", "tool_result"})
TYPE_OF_ROLE: Mapping[str, EventType] = {"assistant": "assistant_message", "tool": "tool_result"}
MemoryType = Literal["episodic", "semantic", "message"]
HASHED = ("text", "user_id", "session_id", "namespace", "memory_type")
"""What a memory says and whose it is: the rest says how and when."""
StrategyName = Literal["discrete", "summary", "preferences", "custom"]

MIN_TIMESTAMP_MS = -8_334_601_228_800_000
MAX_TIMESTAMP_MS = 8_210_266_876_799_999
"""Years -262143 to 262142: the range of the timeline's original clients."""

MAX_ID_BYTES = 255
"""Longest tenant, namespace, user, session, event or memory id, in UTF-8 bytes: four of them fit one index entry."""


@lru_cache(maxsize=65_536)
def escape(part: str) -> str:
    """One component of a stream or key name: `/` separates components, braces mark a cluster's hash tag; neither may remain."""
    return part.replace("%", "%25").replace("/", "%2F").replace("{", "%7B").replace("}", "%7D")


def unescape(part: str) -> str:
    """What `escape` was given."""
    return part.replace("%7D", "}").replace("%7B", "{").replace("%2F", "/").replace("%25", "%")


@lru_cache(maxsize=65_536)
def _path(tenant: str, namespace: str, user_id: str) -> str:
    return f"{escape(tenant)}/{escape(namespace)}/{escape(user_id)}"


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose data: the tenant comes from the credential alone; namespace and user are the caller's. Empty means not given."""

    tenant: str = "default"
    namespace: str = ""
    user_id: str = ""

    @property
    def path(self) -> str:
        """`tenant/namespace/user`, injective for any ids."""
        return _path(self.tenant, self.namespace, self.user_id)


class Reach(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose things a caller may touch: those of these namespaces, of this user. None: of any."""

    namespaces: list[str] | None = None
    user_id: str | None = None

    def holds(self, namespace: str | None, user_id: str | None) -> bool:
        """Whether something of that namespace and user lies within."""
        return (self.namespaces is None or (namespace or "") in self.namespaces) and self.user_id in (None, user_id or "")


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something said or done in a session. `timestamp_ms` is UTC milliseconds of when it happened, as the caller says."""

    event_id: str
    session_id: str
    timestamp_ms: int
    event_type: EventType = "user_message"
    role: str = "user"
    text: str = ""
    metadata: dict[str, str] = {}
    agent: str | None = None
    message_id: str | None = None
    """Id in working memory, where it differs: the same message id in two sessions is two facts."""
    microseconds: int = 0
    """What `timestamp_ms` cuts off, 0 to 999, so that a message comes back with the very time it was given."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a session's working memory, as clients see it."""

    role: str
    content: str
    id: str
    created_at: datetime
    persisted_at: datetime | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """How long-term memories are drawn from a session's messages."""

    strategy: StrategyName = "discrete"
    config: dict[str, object] = {}


class MemoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One long-term memory. `extracted_from` names the events that it came from."""

    id: str
    text: str
    session_id: str | None = None
    user_id: str | None = None
    namespace: str | None = None
    last_accessed: datetime
    created_at: datetime
    updated_at: datetime
    pinned: bool = False
    access_count: int = 0
    topics: list[str] = []
    entities: list[str] = []
    memory_hash: str | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"
    memory_type: MemoryType = "message"
    persisted_at: datetime | None = None
    extracted_from: list[str] = []
    event_date: datetime | None = None
    extraction_strategy: str = "discrete"
    extraction_strategy_config: dict[str, object] = {}
    metadata: dict[str, object] = {}


class ModelUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model made something, and what it took. An empty name: no model was asked. `cost` in US dollars, None if not known."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """What to summarise again and again: memories that pass the filters, one summary for each combination of `group_by`."""

    id: str
    name: str | None = None
    source: str = "long_term"
    group_by: list[str] = []
    filters: dict[str, object] = {}
    time_window_days: int | None = None
    continuous: bool = False
    prompt: str | None = None
    model_name: str | None = None


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of one group of a view. `memory_ids`: what it was made from."""

    view_id: str
    group: dict[str, str]
    summary: str
    memory_count: int
    empty: bool = False
    empty_reason: str | None = None
    computed_at: datetime
    memory_ids: list[str] = []
    fingerprint: str = ""
    """Stands for all that the summary was made from: the same again gives the same summary. Empty: to be tried again."""


TaskStatus = Literal["pending", "running", "success", "failed"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Work that was asked for and is done in the background."""

    id: str
    type: str = "summary_view_full_run"
    status: TaskStatus = "pending"
    view_id: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> tuple[int, int]:
    """UTC milliseconds of an aware datetime, and the microseconds (0 to 999) that they cut off."""
    micros = (moment - EPOCH) // timedelta(microseconds=1)
    return micros // 1000, micros % 1000


def to_datetime(milliseconds: int, microseconds: int = 0) -> datetime:
    """The moment, clamped to what a calendar of years 1 to 9999 can show."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds, microseconds=microseconds)
    except OverflowError:
        return (datetime.max if milliseconds > 0 else datetime.min).replace(tzinfo=UTC)


def event_of(message: Message, session_id: str, event_id: str) -> TimelineEvent:
    """How a message looks on the timeline."""
    timestamp_ms, microseconds = to_milliseconds(message.created_at)
    return TimelineEvent(
        event_id=event_id,
        session_id=session_id,
        timestamp_ms=timestamp_ms,
        event_type=TYPE_OF_ROLE.get(message.role, "user_message"),
        role=message.role,
        text=message.content,
        message_id=message.id if event_id != message.id else None,
        microseconds=microseconds,
    )


def message_of(event: TimelineEvent) -> Message:
    """How a recorded event looks in working memory."""
    return Message(
        id=event.message_id or event.event_id,
        role=event.role,
        content=event.text,
        created_at=to_datetime(event.timestamp_ms, event.microseconds),
    )


def is_message(event: TimelineEvent) -> bool:
    """Whether the event stands in working memory too: something was said, and it was not empty."""
    return event.event_type in MESSAGE_TYPES and bool(event.text.strip())


def content_hash(text: str) -> bytes:
    """128 bits that stand for a text: the key of its vector."""
    return blake2b(text.encode(), digest_size=16).digest()


def memory_hash(record: MemoryRecord) -> str:
    """Hex sha256 of what the memory says and whose it is, as the clients of the REST contract compute it."""
    return sha256(json.dumps({name: getattr(record, name) for name in HASHED}, sort_keys=True).encode()).hexdigest()
