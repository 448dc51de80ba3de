"""Making one memory of several, and taking that back. Pure."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from agent_memory.contracts.commands import MergeMemories
from agent_memory.contracts.errors import Conflict, NotFound, Refused
from agent_memory.contracts.events import Event, MemoryEdited, MemoryForgotten, MemoryStored, Merge
from agent_memory.contracts.records import MemoryRecord
from agent_memory.ingest.memories import EDITABLE, Memory, hashed

KEPT = ("id", "namespace", "user_id", "pinned", "persisted_at", "access_count")
"""What a merge leaves to the survivor, whatever its author says."""


def merge(command: MergeMemories, survivor: Memory, sources: Sequence[Memory], sequence: int, now: datetime) -> list[Event]:
    """The survivor says it all, the sources are forgotten: first the event of the survivor, then one of each source.

    Raises Conflict when one of them changed since the decision, Refused for a pinned source or one of another owner.
    """
    before = survivor.record
    known = {command.record.id: survivor, **dict(zip(command.source_ids, sources, strict=True))}
    for memory_id, memory in known.items():
        if memory.record is None or memory.version != command.versions.get(memory_id):
            raise Conflict(f"memory {memory_id} has changed since the merge was decided")
    assert before is not None
    records = [memory.record for memory in sources if memory.record is not None]
    for record in records:
        if record.pinned:
            raise Refused(f"memory {record.id} is pinned, so it is not merged away")
        if (record.namespace, record.user_id) != (before.namespace, before.user_id):
            raise Refused(f"memory {record.id} belongs to somebody else")
    after = hashed(replace(command.record, **{name: getattr(before, name) for name in KEPT}, updated_at=now))
    changed = sorted(name for name in EDITABLE if getattr(after, name) != getattr(before, name))
    made = Merge(before=before, sources=records, use=command.use)
    return [
        MemoryEdited(record=after, changed=changed, sequence=sequence, reason="merged", merge=made, use=command.use),
        *(MemoryForgotten(memory_id=record.id, at=now, sequence=sequence, reason="merged", into=before.id) for record in records),
    ]


def newest(history: Sequence[Event]) -> tuple[Merge, set[str]] | None:
    """The newest merge that was not taken back, and the fields that were changed by others since."""
    merges: list[tuple[Merge, set[str]]] = []
    for event in history:
        match event:
            case MemoryEdited(reason="merged", merge=Merge() as made):
                merges.append((made, set()))
            case MemoryEdited(reason="unmerged") if merges:
                merges.pop()
            case MemoryEdited(reason="requested" | "enriched", changed=changed):
                for _, since in merges:
                    since.update(changed)
            case MemoryStored() | MemoryForgotten():
                merges.clear()
            case _:
                pass
    return merges[-1] if merges else None


def unmerge(
    memory_id: str, survivor: Memory, history: Sequence[Event], sources: Sequence[Memory], sequence: int, now: datetime
) -> list[Event]:
    """The survivor says what it said before, apart from what was changed since; each source that nobody made anew is a memory
    again. Raises NotFound, or Refused when there is no merge to take back.
    """
    if survivor.record is None:
        raise NotFound(f"Memory with ID {memory_id} not found")
    found = newest(history)
    if found is None:
        raise Refused(f"Memory with ID {memory_id} was not made by a merge")
    made, since = found
    current = {name: getattr(survivor.record, name) for name in {*since, "access_count", "last_accessed", "pinned"}}
    before = hashed(replace(made.before, **current, updated_at=now))
    changed = sorted(name for name in EDITABLE if getattr(before, name) != getattr(survivor.record, name))
    events: list[Event] = [MemoryEdited(record=before, changed=changed, sequence=sequence, reason="unmerged", merge=made)]
    for record, memory in zip(made.sources, sources, strict=True):
        if memory.record is None and memory.into == memory_id:
            events.append(MemoryStored(record=replace(record, updated_at=now), sequence=sequence, reason="unmerged"))
    return events


def sources_of(history: Sequence[Event]) -> list[MemoryRecord]:
    """The memories that the newest merge made one, as they were."""
    found = newest(history)
    return [] if found is None else found[0].sources
