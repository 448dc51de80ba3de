"""Bodies that record events: one, a list, or NDJSON."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

import msgspec

from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, EventType, TimelineEvent
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import Parameters, decode, decode_lines
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems

MOST_EVENTS = 1_000
NDJSON = b"application/x-ndjson"

EVENT_TYPES = EventType.__args__  # type: ignore[attr-defined]
ROLE_OF_TYPE = {"assistant_message": "assistant", "assistant_stop": "assistant", "tool_result": "tool"}
TYPE_OF_ROLE = {"assistant": "assistant_message", "tool": "tool_result"}

ShortId = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
"""63 characters are at most 252 bytes. A longer id may still be right: the patient way finds out."""
ShortText = Annotated[str, msgspec.Meta(max_length=250_000)]
Timestamp = Annotated[int, msgspec.Meta(ge=MIN_TIMESTAMP_MS, le=MAX_TIMESTAMP_MS)]


class QuickEvent(msgspec.Struct, kw_only=True):
    """An event as most clients send it: decoded and checked in one go."""

    session_id: ShortId | None = None
    event_id: ShortId | None = None
    timestamp_ms: Timestamp | None = None
    timestamp: datetime | None = None
    event_type: EventType | None = None
    role: ShortId | None = None
    text: ShortText = ""
    metadata: dict[str, str] = {}
    agent: ShortId | None = None


class QuickBody(QuickEvent, kw_only=True):
    """Either one event or a list of them."""

    events: Annotated[list[QuickEvent], msgspec.Meta(min_length=1, max_length=MOST_EVENTS)] | None = None
    namespace: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    user_id: Annotated[str, msgspec.Meta(max_length=63)] | None = None


_quick = msgspec.json.Decoder(QuickBody).decode

_EVENT: Spec = {
    "session_id": (fields.identifier, REQUIRED),
    "event_id": (fields.nullable(fields.identifier), None),
    "timestamp_ms": (fields.nullable(fields.between(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS)), None),
    "timestamp": (fields.nullable(fields.moment), None),
    "event_type": (fields.nullable(fields.one_of(*EVENT_TYPES)), None),
    "role": (fields.nullable(fields.identifier), None),
    "text": (fields.text, ""),
    "metadata": (fields.mapping(fields.text), {}),
    "agent": (fields.nullable(fields.identifier), None),
}
_SCOPE: Spec = {"namespace": (fields.nullable(fields.name), None), "user_id": (fields.nullable(fields.name), None)}


def _event(value: object, loc: Loc, problems: Problems) -> QuickEvent:
    return QuickEvent(**fields.fields(value, loc, problems, _EVENT))


_LIST: Spec = {"events": (fields.listing(_event, least=1, most=MOST_EVENTS), REQUIRED), **_SCOPE}


class RecordRequest(msgspec.Struct, frozen=True):
    """What a body asks to be recorded, and for whom."""

    command: RecordEvents
    namespace: str | None
    user_id: str | None


def record_events(
    body: bytes, content_type: bytes, parameters: Parameters, *, now: datetime, new_id: Callable[[int], str]
) -> RecordRequest:
    """The command of a POST /v1/events. `new_id` gives the id of the index-th event, where the caller gave none.

    Raises InvalidRequest, with the index of the event in `loc`, when anything is wrong with any of them.
    """
    problems = parameters.problems
    namespace, user_id = (parameters.get(field, fields.name) for field in ("namespace", "user_id"))
    given = _quickly(body) if not content_type.startswith(NDJSON) else None
    if given is None:
        given = _patiently(body, content_type, problems)
    problems.check()
    events = given.events if given.events is not None else [given]
    return RecordRequest(
        RecordEvents(events=[_timeline_event(event, index, now, new_id) for index, event in enumerate(events)]),
        given.namespace or namespace,
        given.user_id or user_id,
    )


def _quickly(body: bytes) -> QuickBody | None:
    """The body, if there is nothing special about it; None leaves it to the patient way, which also says what is wrong."""
    if b"\\u0000" in body:
        return None
    try:
        given = _quick(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    events = given.events if given.events is not None else [given]
    for event in events:
        if event.session_id is None or (event.timestamp is not None and not _plain(event.timestamp)):
            return None
        if event.metadata and sum(map(len, event.metadata.values())) * 4 > fields.MAX_TEXT_BYTES:
            return None
    return given


def _plain(moment: datetime) -> bool:
    return 1 < moment.year < 9999


def _patiently(body: bytes, content_type: bytes, problems: Problems) -> QuickBody:
    if content_type.startswith(NDJSON):
        lines = decode_lines(body, most=MOST_EVENTS)
        found = fields.fields({"events": lines}, ("body",), problems, _LIST)
        return QuickBody(**found)
    value = decode(body)
    if isinstance(value, dict) and "events" in value:
        return QuickBody(**fields.fields(value, ("body",), problems, _LIST))
    return QuickBody(**fields.fields(value, ("body",), problems, {**_EVENT, **_SCOPE}))


def _timeline_event(event: QuickEvent, index: int, now: datetime, new_id: Callable[[int], str]) -> TimelineEvent:
    timestamp_ms, microseconds = (event.timestamp_ms, 0) if event.timestamp_ms is not None else _split(event.timestamp or now)
    event_type = event.event_type or TYPE_OF_ROLE.get(event.role or "", "user_message")
    return TimelineEvent(
        event_id=event.event_id or new_id(index),
        session_id=event.session_id or "",
        timestamp_ms=timestamp_ms,
        microseconds=microseconds,
        event_type=cast(Any, event_type),
        role=event.role or ROLE_OF_TYPE.get(event_type, "user"),
        text=event.text,
        metadata=event.metadata,
        agent=event.agent,
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _split(moment: datetime) -> tuple[int, int]:
    """Milliseconds since 1970, and the microseconds beyond them."""
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    milliseconds, rest = divmod(since, _MILLISECOND)
    return milliseconds, rest.microseconds
