"""What a Redis agent memory server keeps, as our own nouns. Pure.

A session is a document `working_memory[:namespace][:user]:session`, as RedisJSON or, of older servers, as JSON in a string; its own
fields say whose it is. A memory is a hash `<prefix>:<id>`: names are empty where there are none, lists are joined by commas (of
older servers by bars), times are seconds since 1970.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, get_args

import msgspec

from agent_memory.contracts.records import MAX_ID_BYTES, MemoryRecord, MemoryType, Message, Strategy, memory_hash

FIELDS = (
    *("id_", "id", "text", "session_id", "user_id", "namespace", "memory_type", "topics", "entities", "memory_hash"),
    *("discrete_memory_extracted", "pinned", "access_count", "extracted_from", "created_at", "last_accessed", "updated_at"),
    *("persisted_at", "event_date", "extraction_strategy", "extraction_strategy_config", "metadata"),
)
"""Of a memory's hash; the vector is left where it is, because our own model makes another."""
_FLAGS = {"t": "t", "true": "t", "1": "t"}
_BETWEEN = re.compile(r"[|,]")
_YES = frozenset({"1", "true", "t", "yes"})


class Unreadable(Exception):
    """A document or hash that is not what it should be; the text is the reason."""


class OldSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it stands. `unreadable`: reasons why messages or memories of it are left out."""

    session_id: str
    namespace: str
    user_id: str
    messages: list[Message]
    memories: list[MemoryRecord]
    data: dict[str, object]
    context: str | None
    tokens: int
    strategy: Strategy
    ttl_seconds: int | None
    created_at: datetime
    updated_at: datetime
    last_accessed: datetime
    unreadable: list[str] = []


def session_of(key: str, document: object) -> OldSession:
    """The session of a document. Raises Unreadable."""
    if not isinstance(document, dict):
        raise Unreadable("it is not a JSON object")
    session_id = _name(document, "session_id") or key.rpartition(":")[2]
    if not session_id:
        raise Unreadable("it has no session_id")
    updated_at = _moment(document.get("updated_at")) or _moment(document.get("created_at")) or datetime.fromtimestamp(0, UTC)
    created_at = _moment(document.get("created_at")) or updated_at
    faults: list[str] = []
    messages = [
        message
        for index, given in enumerate(_list(document, "messages"))
        if (message := _message(given, index, key, created_at, faults))
    ]
    memories = [memory for given in _list(document, "memories") if (memory := _in_document(given, updated_at, faults))]
    data, context, ttl = document.get("data"), document.get("context"), document.get("ttl_seconds")
    return OldSession(
        session_id=session_id,
        namespace=_name(document, "namespace") or "",
        user_id=_name(document, "user_id") or "",
        messages=list({message.id: message for message in messages}.values()),
        memories=memories,
        data=data if isinstance(data, dict) else {},
        context=context if isinstance(context, str) else None,
        tokens=_count(document.get("tokens")),
        strategy=_strategy(document.get("long_term_memory_strategy")),
        ttl_seconds=ttl if type(ttl) is int and ttl > 0 else None,
        created_at=created_at,
        updated_at=updated_at,
        last_accessed=_moment(document.get("last_accessed")) or updated_at,
        unreadable=faults,
    )


def memory_of(fields: Mapping[str, object]) -> MemoryRecord:
    """The memory of a hash, or of an object in a document. Raises Unreadable."""
    id_, text, kind = _name(fields, "id_") or _name(fields, "id"), fields.get("text"), _word(fields, "memory_type") or "message"
    if not id_:
        raise Unreadable("it has no id")
    if not isinstance(text, str) or not text.strip():
        raise Unreadable("it has no text")
    if kind not in get_args(MemoryType):
        raise Unreadable(f"memory_type {kind!r} is not one of {', '.join(get_args(MemoryType))}")
    created_at = _moment(fields.get("created_at")) or _moment(fields.get("updated_at")) or datetime.fromtimestamp(0, UTC)
    config, metadata = fields.get("extraction_strategy_config"), fields.get("metadata")
    record = MemoryRecord(
        id=id_,
        text=text,
        session_id=_name(fields, "session_id"),
        user_id=_name(fields, "user_id"),
        namespace=_name(fields, "namespace"),
        created_at=created_at,
        last_accessed=_moment(fields.get("last_accessed")) or created_at,
        updated_at=_moment(fields.get("updated_at")) or created_at,
        persisted_at=_moment(fields.get("persisted_at")),
        event_date=_moment(fields.get("event_date")),
        pinned=str(fields.get("pinned") or "").lower() in _YES,
        access_count=_count(fields.get("access_count")),
        topics=_tags(fields.get("topics")),
        entities=_tags(fields.get("entities")),
        extracted_from=_tags(fields.get("extracted_from")),
        discrete_memory_extracted=_flag(fields),
        memory_type=kind,  # type: ignore[arg-type]  # checked above
        extraction_strategy=_word(fields, "extraction_strategy") or "discrete",
        extraction_strategy_config=config if isinstance(config, dict) else {},
        metadata=metadata if isinstance(metadata, dict) else {},
    )
    return msgspec.structs.replace(record, memory_hash=memory_hash(record))


def _message(given: object, index: int, key: str, created_at: datetime, faults: list[str]) -> Message | None:
    try:
        if not isinstance(given, dict):
            raise Unreadable("it is not an object")
        content, role = given.get("content"), given.get("role")
        if not isinstance(content, str) or not isinstance(role, str):
            raise Unreadable("it has no role or content")
        made = blake2b(f"{key}\0{index}\0{content}".encode(errors="surrogatepass"), digest_size=12).hexdigest()
        return Message(
            id=_name(given, "id") or made,
            role=role,
            content=content,
            created_at=_moment(given.get("created_at")) or created_at + timedelta(microseconds=index),
            persisted_at=_moment(given.get("persisted_at")),
            discrete_memory_extracted=_flag(given),
        )
    except Unreadable as fault:
        faults.append(f"message {index + 1}: {fault}")
        return None


def _in_document(given: object, updated_at: datetime, faults: list[str]) -> MemoryRecord | None:
    try:
        if not isinstance(given, dict):
            raise Unreadable("it is not an object")
        return memory_of({"created_at": updated_at.timestamp(), **given})
    except Unreadable as fault:
        faults.append(f"a memory: {fault}")
        return None


def _name(fields: Mapping[str, object], field: str) -> str | None:
    """A name that can be one here; None where there is none. Raises Unreadable."""
    value = fields.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable(f"{field} is not text")
    if "\0" in value or len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise Unreadable(f"{field} is longer than {MAX_ID_BYTES} bytes, or holds a NUL")
    return value


def _moment(value: object) -> datetime | None:
    """Seconds since 1970, as a number or its digits, or ISO 8601; without a zone it is UTC. None for anything else."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        return datetime.fromtimestamp(float(value), UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        pass
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _tags(value: object) -> list[str]:
    parts = value if isinstance(value, list) else _BETWEEN.split(value) if isinstance(value, str) else []
    return list(dict.fromkeys(found for part in parts if (found := str(part).strip())))


def _count(value: object) -> int:
    try:
        return max(int(float(str(value))), 0)
    except (ValueError, OverflowError):
        return 0


def _strategy(value: object) -> Strategy:
    try:
        return msgspec.convert(value, Strategy)
    except msgspec.ValidationError:
        return Strategy()


def _flag(fields: Mapping[str, object]) -> Any:
    return _FLAGS.get(str(fields.get("discrete_memory_extracted") or "f").lower(), "f")


def _word(fields: Mapping[str, object], field: str) -> str:
    value = fields.get(field)
    return value if isinstance(value, str) else ""


def _list(document: Mapping[str, object], field: str) -> list[object]:
    value = document.get(field)
    return value if isinstance(value, list) else []
