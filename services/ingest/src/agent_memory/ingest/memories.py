"""What a long-term memory decides. Pure. Events carry the full record, so the newest event of a stream is its state."""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.commands import EditMemory
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.events import Event, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord

HASHED = ("text", "user_id", "session_id", "namespace", "memory_type")
VOLATILE = {"created_at", "updated_at", "last_accessed", "persisted_at", "access_count", "memory_hash"}
"""Fields that say when, not what: a record that differs in these alone is the same memory."""

EDITABLE = ("text", "topics", "entities", "memory_type", "namespace", "user_id", "session_id", "event_date", "pinned")


class Memory(msgspec.Struct, kw_only=True):
    """The record, None when there is none or it was forgotten; `sequence` of the command that changed it last."""

    version: int = 0
    sequence: int = 0
    record: MemoryRecord | None = None


def memory_hash(record: MemoryRecord) -> str:
    """Hex sha256 of what the memory says and whose it is, as the clients of the REST contract compute it."""
    return sha256(json.dumps({name: getattr(record, name) for name in HASHED}, sort_keys=True).encode()).hexdigest()


def store(record: MemoryRecord, memory: Memory, sequence: int) -> tuple[list[Event], str]:
    """Creates or replaces; the same content again is no event. A command older than the last change does nothing."""
    if sequence < memory.sequence:
        return [], "superseded"
    record = replace(record, memory_hash=memory_hash(record))
    known = memory.record
    if known is not None:
        if _content(known) == _content(record):
            return [], "unchanged"
        record = replace(record, persisted_at=known.persisted_at)
    return [MemoryStored(record=record, sequence=sequence)], "created" if known is None else "replaced"


def edit(command: EditMemory, memory: Memory, sequence: int, now: datetime) -> tuple[list[Event], MemoryRecord]:
    """Changes the given fields. Raises NotFound."""
    if memory.record is None:
        raise NotFound(f"Memory with ID {command.memory_id} not found")
    if sequence < memory.sequence:
        return [], memory.record
    given = {name: value for name in EDITABLE if (value := getattr(command, name)) is not None}
    record = replace(memory.record, **given, updated_at=now)
    record = replace(record, memory_hash=memory_hash(record))
    return [MemoryEdited(record=record, changed=sorted(given), sequence=sequence)], record


def forget(memory_id: str, memory: Memory, sequence: int, now: datetime, reason: str) -> list[Event]:
    """Forgets what exists; what does not is passed over."""
    if memory.record is None or sequence < memory.sequence:
        return []
    return [MemoryForgotten(memory_id=memory_id, at=now, sequence=sequence, reason=reason)]


def evolve(memory: Memory, event: Event) -> Memory:
    """Folds one event into the state, in place."""
    memory.version += 1
    match event:
        case MemoryStored(record=record, sequence=sequence) | MemoryEdited(record=record, sequence=sequence):
            memory.record, memory.sequence = record, sequence
        case MemoryForgotten(sequence=sequence):
            memory.record, memory.sequence = None, sequence
        case _:
            pass
    return memory


def _content(record: MemoryRecord) -> Mapping[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in VOLATILE}
