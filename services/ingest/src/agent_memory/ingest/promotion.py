"""Memories that a client puts into working memory become long-term memories, each once. Pure."""

from datetime import datetime
from hashlib import blake2b

from msgspec.structs import replace

from agent_memory.contracts.commands import ReplaceWorkingMemory
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.ingest.memories import Memory, hashed


def promoted(record: MemoryRecord, command: ReplaceWorkingMemory, scope: Scope, now: datetime) -> MemoryRecord:
    """The long-term memory that a memory of a document becomes: it belongs to the session's owner."""
    return hashed(
        replace(
            record,
            session_id=record.session_id or command.session_id,
            namespace=record.namespace or scope.namespace or None,
            user_id=record.user_id or scope.user_id or None,
            extraction_strategy=command.strategy.strategy,
            extraction_strategy_config=command.strategy.config,
            persisted_at=now,
        )
    )


def wanted(record: MemoryRecord, memory: Memory) -> bool:
    """Whether it is to be promoted: it is new, or says something else than before. One that was forgotten stays forgotten."""
    if memory.version == 0:
        return True
    return memory.record is not None and memory.record.memory_hash != record.memory_hash


def is_foreign(record: MemoryRecord, memory: Memory) -> bool:
    """Whether the id is taken by a memory of another owner."""
    known = memory.record
    return known is not None and (known.namespace, known.user_id) != (record.namespace, record.user_id)


def own_id(record: MemoryRecord) -> str:
    """An id for a memory whose own is taken by somebody else's."""
    owner = f"{record.namespace or ''}\0{record.user_id or ''}\0{record.id}"
    return f"{record.id[:64]}-{blake2b(owner.encode(), digest_size=8).hexdigest()}"
