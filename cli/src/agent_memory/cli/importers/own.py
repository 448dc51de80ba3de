"""Our own format: JSON Lines, one event a line.

    {"session_id": "s1", "timestamp": "2025-09-01T09:05:00Z", "event_type": "user_message", "role": "user", "text": "Hello",
     "event_id": "optional", "metadata": {"optional": "strings"}, "agent": "optional"}

`timestamp` is ISO 8601 or UTC milliseconds (also as `timestamp_ms`). Of `event_type` and `role` one is enough. What
`GET /v1/events` answers can be imported as it is.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast, get_args

from agent_memory.cli.importers.identity import Repeats, event_id
from agent_memory.cli.importers.items import BadLine, Item, Unusable, checked
from agent_memory.cli.importers.reading import flat, instant, objects, shown, text_field
from agent_memory.contracts.records import EventType, TimelineEvent

NAME = "jsonl"

_TYPE_OF_ROLE: dict[str, EventType] = {"user": "user_message", "assistant": "assistant_message", "tool": "tool_result"}
_ROLE_OF_TYPE = {"user_message": "user", "tool_result": "tool", "session_start": "system", "session_end": "system"}


def parse(lines: Iterable[bytes]) -> Iterator[Item]:
    """Events of a file in our own format. Never raises."""
    repeats = Repeats()
    for line in objects(lines):
        if isinstance(line, BadLine):
            yield line
            continue
        number, record = line
        try:
            yield checked(number, _event(record, repeats))
        except Unusable as fault:
            yield BadLine(number=number, reason=str(fault))


def _event(record: dict[str, Any], repeats: Repeats) -> TimelineEvent:
    session_id = text_field(record, "session_id")
    if not session_id:
        raise Unusable("session_id is missing")
    timestamp_ms, microseconds = instant(record.get("timestamp_ms", record.get("timestamp")))
    kind = _event_type(record)
    role = text_field(record, "role") or _ROLE_OF_TYPE.get(kind, "assistant")
    text = text_field(record, "text")
    given = text_field(record, "event_id")
    native = (given,) if given else repeats.place(session_id, timestamp_ms, microseconds, kind, role, text)
    return TimelineEvent(
        event_id=given or event_id(NAME, session_id, *native),
        session_id=session_id,
        timestamp_ms=timestamp_ms,
        microseconds=microseconds or _microseconds(record),
        event_type=kind,
        role=role,
        text=text,
        metadata=_metadata(record.get("metadata")),
        agent=text_field(record, "agent") or None,
        message_id=text_field(record, "message_id") or None,
    )


def _event_type(record: dict[str, Any]) -> EventType:
    given = text_field(record, "event_type") or _TYPE_OF_ROLE.get(text_field(record, "role"), "")
    if given not in get_args(EventType):
        known = ", ".join(get_args(EventType))
        raise Unusable(f"event_type {shown(given)} is not one of {known}" if given else "event_type is missing")
    return cast(EventType, given)


def _metadata(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Unusable(f"metadata must be an object, not {shown(given)}")
    return {str(key): flat(value) for key, value in given.items()}


def _microseconds(record: dict[str, Any]) -> int:
    given = record.get("microseconds", 0)
    return given if type(given) is int and 0 <= given <= 999 else 0
