"""What a long-term memory decides. Pure. Events carry the full record, so the newest event of a stream is its state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.commands import EditMemory, EnrichMemory
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.events import Event, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord, memory_hash

VOLATILE = {"created_at", "updated_at", "last_accessed", "persisted_at", "access_count", "memory_hash"}
"""Fields that say when, not what: a record that differs in these alone is the same memory."""

Reason = Literal["requested", "promoted", "extracted", "unmerged"]

BY_POLICY = "policy"
"""The reason of those who let memories go by a rule. They may have looked before a memory was pinned."""

EDITABLE = ("text", "topics", "entities", "memory_type", "namespace", "user_id", "session_id", "event_date", "pinned")


class Memory(msgspec.Struct, kw_only=True):
    """The record, None when there is none or it was forgotten; `sequence` of the command that changed it last; `into`: the memory
    that it was merged into.
    """

    version: int = 0
    sequence: int = 0
    record: MemoryRecord | None = None
    into: str | None = None


def hashed(record: MemoryRecord) -> MemoryRecord:
    """The record with the hash of what it says now."""
    return replace(record, memory_hash=memory_hash(record))


def store(record: MemoryRecord, memory: Memory, sequence: int, reason: Reason = "requested") -> tuple[list[Event], str]:
    """Creates or replaces with a hashed record; the same content again is no event. A command older than the last change does
    nothing.
    """
    if sequence < memory.sequence:
        return [], "superseded"
    known = memory.record
    if known is not None:
        if _content(known) == _content(record):
            return [], "unchanged"
        record = replace(record, persisted_at=known.persisted_at)
    return [MemoryStored(record=record, sequence=sequence, reason=reason)], "created" if known is None else "replaced"


def edit(command: EditMemory, memory: Memory, sequence: int, now: datetime) -> tuple[list[Event], MemoryRecord]:
    """Changes the given fields. Raises NotFound."""
    if memory.record is None:
        raise NotFound(f"Memory with ID {command.memory_id} not found")
    if sequence < memory.sequence:
        return [], memory.record
    given = {name: value for name in EDITABLE if (value := getattr(command, name)) is not None}
    record = hashed(replace(memory.record, **given, updated_at=now))
    return [MemoryEdited(record=record, changed=sorted(given), sequence=sequence)], record


def forget(memory_id: str, memory: Memory, sequence: int, now: datetime, reason: str) -> list[Event]:
    """Forgets what exists; what does not is passed over, and what a policy let go before somebody pinned it."""
    if memory.record is None or sequence < memory.sequence or (memory.record.pinned and reason == BY_POLICY):
        return []
    return [MemoryForgotten(memory_id=memory_id, at=now, sequence=sequence, reason=reason)]


def enrich(command: EnrichMemory, memory: Memory, sequence: int, now: datetime) -> list[Event]:
    """Adds what was found in the text to what is there, unless the memory says something else by now. That nothing was found is an
    event too: nobody has to look again.
    """
    record = memory.record
    if record is None or record.memory_hash != command.memory_hash:
        return []
    found = {"topics": _with(record.topics, command.topics), "entities": _with(record.entities, command.entities)}
    changed = sorted(name for name, values in found.items() if values != getattr(record, name))
    if changed:
        record = replace(record, **found, updated_at=now)
    return [
        MemoryEdited(record=record, changed=changed, sequence=max(sequence, memory.sequence), reason="enriched", use=command.use)
    ]


def touch(memory: Memory, every_seconds: int, now: datetime) -> list[Event]:
    """Counts that a memory was of use. Not a change of what it says: a newer one is never superseded by it."""
    record = memory.record
    if record is None or (now - record.last_accessed).total_seconds() < every_seconds:
        return []
    record = replace(record, last_accessed=now, access_count=record.access_count + 1)
    return [MemoryEdited(record=record, changed=["access_count", "last_accessed"], sequence=memory.sequence, reason="accessed")]


def evolve(memory: Memory, event: Event) -> Memory:
    """Folds one event into the state, in place."""
    memory.version += 1
    match event:
        case MemoryStored(record=record, sequence=sequence) | MemoryEdited(record=record, sequence=sequence):
            memory.record, memory.sequence, memory.into = record, sequence, None
        case MemoryForgotten(sequence=sequence, into=into):
            memory.record, memory.sequence, memory.into = None, sequence, into
        case _:
            pass
    return memory


def _with(there: list[str], found: list[str]) -> list[str]:
    known = {value.casefold() for value in there}
    return [*there, *dict.fromkeys(value for value in found if value.casefold() not in known)]


def _content(record: MemoryRecord) -> Mapping[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in VOLATILE}
