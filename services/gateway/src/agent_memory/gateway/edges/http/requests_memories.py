"""Bodies that create and change long-term memories."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

import msgspec

from agent_memory.contracts.commands import EditMemory, StoreMemories
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.records import MemoryRecord, MemoryType
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems

MOST_MEMORIES = 10_000
MEMORY_TYPES = get_args(MemoryType)

_OPTIONAL_NAME = (fields.nullable(fields.name), None)
_OPTIONAL_MOMENT = (fields.nullable(fields.moment), None)
_FLAG = fields.one_of("t", "f")

_RECORD: Spec = {
    "text": (fields.text, REQUIRED),
    "session_id": _OPTIONAL_NAME,
    "user_id": _OPTIONAL_NAME,
    "namespace": _OPTIONAL_NAME,
    "last_accessed": _OPTIONAL_MOMENT,
    "created_at": _OPTIONAL_MOMENT,
    "updated_at": _OPTIONAL_MOMENT,
    "topics": (fields.nullable(fields.no_commas("topics")), None),
    "entities": (fields.nullable(fields.no_commas("entities")), None),
    "memory_hash": _OPTIONAL_NAME,
    "discrete_memory_extracted": (_FLAG, "f"),
    "memory_type": (fields.one_of(*MEMORY_TYPES), "message"),
    "persisted_at": _OPTIONAL_MOMENT,
    "extracted_from": (fields.nullable(fields.no_commas("extracted_from")), None),
    "event_date": _OPTIONAL_MOMENT,
    "extraction_strategy": (fields.name, "discrete"),
    "extraction_strategy_config": (fields.json_object, {}),
    "metadata": (fields.json_object, {}),
}
_SERVER_SIDE: Spec = {"pinned": (fields.boolean, False), "access_count": (fields.between(0, None), 0)}
_CREATE: Spec = {
    **_RECORD,
    **_SERVER_SIDE,
    "id": (fields.name, REQUIRED),
    "discrete_memory_extracted": (_FLAG, "t"),
    "memory_type": (fields.one_of(*MEMORY_TYPES), "semantic"),
}
_IN_SESSION: Spec = {**_RECORD, **_SERVER_SIDE, "id": (fields.nullable(fields.name), None)}


def _as_given(value: object, loc: Loc, problems: Problems) -> dict[str, Any]:
    return fields.fields(value, loc, problems, _CREATE)


_STORE: Spec = {
    "memories": (fields.listing(_as_given, most=MOST_MEMORIES), REQUIRED),
    "deduplicate": (fields.boolean, True),
}
_EDIT: Spec = {
    "text": (fields.nullable(fields.text), None),
    "topics": (fields.nullable(fields.no_commas("topics")), None),
    "entities": (fields.nullable(fields.no_commas("entities")), None),
    "memory_type": (fields.nullable(fields.one_of(*MEMORY_TYPES)), None),
    "namespace": _OPTIONAL_NAME,
    "user_id": _OPTIONAL_NAME,
    "session_id": _OPTIONAL_NAME,
    "event_date": _OPTIONAL_MOMENT,
    "pinned": (fields.nullable(fields.boolean), None),
}


def store_memories(body: bytes, problems: Problems, *, now: datetime) -> StoreMemories:
    """The command of a POST /v1/long-term-memory/. Raises InvalidRequest."""
    given = fields.fields(decode(body), ("body",), problems, _STORE)
    memories = given["memories"] or []
    problems.check()
    for index, memory in enumerate(memories):
        _not_empty(memory, index, problems)
    problems.check()
    return StoreMemories(
        memories=[msgspec.structs.replace(_record(memory, now), persisted_at=None) for memory in memories],
        deduplicate=given["deduplicate"],
    )


def working_memory_record(
    given: dict[str, Any], index: int, problems: Problems, now: datetime, new_id: Callable[[int], str]
) -> dict[str, Any]:
    """A memory as it stands in a session. One that came without an id gets one, and has no server-side fields."""
    found = fields.fields(given, ("body", "memories", index), problems, _IN_SESSION)
    named = found["id"] is not None
    if not named:
        found["id"] = new_id(index)
    if isinstance(found["text"], str) and not problems.found:
        _not_empty(found, index, problems)
    record = msgspec.to_builtins(_record({**found, "text": found["text"] or ""}, now), builtin_types=(datetime,))
    if not named:
        del record["pinned"], record["access_count"]
    return dict(record)


def edit_memory(body: bytes, memory_id: str, problems: Problems) -> EditMemory:
    """The command of a PATCH. Raises InvalidRequest, or Refused when it changes nothing."""
    given = fields.fields(decode(body), ("body",), problems, _EDIT)
    if given["text"] is not None and not given["text"].strip():
        problems.value(("body", "text"), "Memory text cannot be empty", given["text"])
    problems.check()
    if all(value is None for value in given.values()):
        raise Refused("No fields provided for update")
    return EditMemory(memory_id=memory_id, **given)


def _not_empty(memory: dict[str, Any], index: int, problems: Problems) -> None:
    if not memory["id"]:
        problems.value(("body", "memories"), f"Memory at index {index} has empty id", memory["id"])
    if not memory["text"].strip():
        problems.value(("body", "memories"), f"Memory at index {index} has empty text", memory["text"])


def _record(given: dict[str, Any], now: datetime) -> MemoryRecord:
    """A record from checked fields, with times and lists filled in; an empty name means none."""
    names = {field: given[field] or None for field in ("session_id", "user_id", "namespace")}
    times = {field: given[field] or now for field in ("last_accessed", "created_at", "updated_at")}
    lists = {field: given[field] or [] for field in ("topics", "entities", "extracted_from")}
    return MemoryRecord(**{**given, **names, **times, **lists})
