"""What a parser makes of its input: an event, a line that cannot be used, or one that is left out on purpose."""

from collections.abc import Iterable

import msgspec

from agent_memory.contracts.records import MAX_ID_BYTES, MAX_TIMESTAMP_MS, MESSAGE_TYPES, MIN_TIMESTAMP_MS, TimelineEvent

MAX_TEXT_BYTES = 1_000_000
"""Longest text of one event, in UTF-8 bytes: what the API takes."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `number` is that of its line (from 1), or of its conversation where the file is not line by line."""

    number: int
    event: TimelineEvent


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """Something that should have been an event; `reason` tells its owner why it is none."""

    number: int
    reason: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """`count` things that are not conversation, or not wanted. Nothing is lost in silence: `reason` is counted and shown."""

    number: int
    reason: str
    count: int = 1


Item = Found | BadLine | LeftOut


class Unusable(Exception):
    """Why something cannot become an event. Parsers turn it into a BadLine."""


def checked(number: int, event: TimelineEvent) -> Found | BadLine:
    """The event, if the log can keep it."""
    reason = _objection(event)
    return Found(number=number, event=event) if reason is None else BadLine(number=number, reason=reason)


def _objection(event: TimelineEvent) -> str | None:
    if not MIN_TIMESTAMP_MS <= event.timestamp_ms <= MAX_TIMESTAMP_MS:
        return f"timestamp {event.timestamp_ms} is out of range"
    named = {"event_id": event.event_id, "session_id": event.session_id, "role": event.role, "agent": event.agent}
    for name, value in named.items():
        if value is not None and (objection := _bad_id(name, value)):
            return objection
    strings = {"text": event.text, "message_id": event.message_id or ""}
    strings |= {f"metadata {key[:40]!a}": key + value for key, value in event.metadata.items()}
    for name, value in strings.items():
        if objection := _bad_characters(name, value):
            return objection
    if event.event_type in MESSAGE_TYPES and not event.text.strip():
        return "text is empty"
    return _too_long("text", [event.text]) or _too_long("metadata", event.metadata.values())


def _too_long(name: str, values: Iterable[str]) -> str | None:
    size = sum(len(value.encode()) for value in values)
    return f"{name} has {size:,} bytes, more than the {MAX_TEXT_BYTES:,} of one event" if size > MAX_TEXT_BYTES else None


def _bad_id(name: str, value: str) -> str | None:
    if not value:
        return f"{name} is empty"
    if objection := _bad_characters(name, value):
        return objection
    size = len(value.encode())
    return None if size <= MAX_ID_BYTES else f"{name} has {size} bytes, more than {MAX_ID_BYTES}"


def _bad_characters(name: str, value: str) -> str | None:
    if "\0" in value:
        return f"{name} has a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name} has half of a surrogate pair, which is no character"
    return None
