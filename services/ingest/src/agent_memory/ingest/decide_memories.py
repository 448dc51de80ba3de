"""What the commands of long-term memory lead to, with the claims that keep one fact one memory. Pure."""

import msgspec
from msgspec.structs import replace

from agent_memory.contracts import streams
from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    EditMemory,
    EnrichMemory,
    ForgetMemories,
    MergeMemories,
    RecordExtraction,
    ReplaceWorkingMemory,
    StoreMemories,
    TouchMemories,
    UnmergeMemory,
)
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.events import Event, MemoryStored
from agent_memory.contracts.records import MemoryRecord, Reach, Scope, to_datetime
from agent_memory.contracts.replies import Acknowledged, MemoriesForgotten, MemoriesStored, MemoryChanged
from agent_memory.ingest import memories, merges, promotion, sessions
from agent_memory.ingest.facts import Decision, Emitted, Facts, Request, records_to_promote
from agent_memory.ingest.memories import Memory, Reason
from agent_memory.ingest.sessions import Session

MemoryCommand = StoreMemories | EditMemory | EnrichMemory | TouchMemories | MergeMemories | UnmergeMemory | ForgetMemories


def decide_memory(command: MemoryCommand, request: Request, facts: Facts) -> Decision:
    """What happens to memories. Raises a MemoryFault when the command is refused; nothing has changed then."""
    match command:
        case StoreMemories():
            return _store(command, request, facts)
        case EditMemory(memory_id=memory_id):
            memory, stream = _reached(memory_id, command.within, request, facts)
            events, record = memories.edit(command, memory, request.sequence, to_datetime(request.now_ms))
            emitted = _fold(stream, memory, events, request, facts)
            return Decision(events=emitted, reply=MemoryChanged(record=msgspec.Raw(encode(record))))
        case EnrichMemory(memory_id=memory_id):
            memory, stream = _memory(memory_id, request, facts)
            events = memories.enrich(command, memory, request.sequence, to_datetime(request.now_ms))
            return Decision(events=_fold(stream, memory, events, request, facts), reply=Acknowledged())
        case TouchMemories():
            return _touch(command, request, facts)
        case MergeMemories():
            return _merge(command, request, facts)
        case UnmergeMemory():
            return _unmerge(command, request, facts)
        case ForgetMemories():
            return _forget(command, request, facts)


def promote(command: ReplaceWorkingMemory, request: Request, facts: Facts) -> tuple[list[Emitted], list[msgspec.Raw]]:
    """The memories of a document that become long-term memories now, and the document's memories with the time they did."""
    emitted: list[Emitted] = []
    stamped = []
    for raw, record in zip(command.memories, records_to_promote(command, request), strict=True):
        memory, _ = _memory(record.id, request, facts)
        if promotion.is_foreign(record, memory):
            record = replace(record, id=promotion.own_id(record))
            memory, _ = _memory(record.id, request, facts)
        if promotion.wanted(record, memory):
            events, _, _ = _stored(record, request, facts, reason="promoted")
            emitted += events
        known = memory.record
        persisted_at = record.persisted_at if known is None else known.persisted_at or record.persisted_at
        given = msgspec.json.decode(raw)
        stamped.append(msgspec.Raw(encode({**given, "persisted_at": persisted_at})))
    return emitted, stamped


def extract(command: RecordExtraction, session: Session, request: Request, facts: Facts) -> tuple[list[Emitted], list[Event]]:
    """The memories that messages led to, and the event that says so; nothing when all of them were read before."""
    unread = sessions.unread(command, session)
    if not unread:
        return [], []
    emitted: list[Emitted] = []
    ids = []
    for record in command.memories:
        events, memory_id, _ = _stored(memories.hashed(record), request, facts, reason="extracted")
        emitted += events
        ids.append(memory_id)
    event = sessions.extracted(command, unread, ids, sequence=request.sequence, now_ms=request.now_ms)
    return emitted, [event]


def _store(command: StoreMemories, request: Request, facts: Facts) -> Decision:
    emitted: list[Emitted] = []
    ids, outcomes = [], []
    for given in command.memories:
        known = _memory(given.id, request, facts)[0].record
        foreign = known is not None and not _holds(command.within, known)
        record = replace(given, id=promotion.own_id(given)) if foreign else given
        events, memory_id, outcome = _stored(memories.hashed(record), request, facts, deduplicate=command.deduplicate)
        emitted += events
        ids.append(memory_id)
        outcomes.append(outcome)
    return Decision(events=emitted, reply=MemoriesStored(memory_ids=ids, outcomes=outcomes))


def _stored(
    record: MemoryRecord, request: Request, facts: Facts, *, deduplicate: bool = True, reason: Reason = "requested"
) -> tuple[list[Emitted], str, str]:
    """The events, the id of the memory that says it now, and the outcome."""
    assert record.memory_hash is not None
    holder = facts.claims.holder(request.scope.tenant, record.memory_hash) if deduplicate else None
    if holder is not None and holder != record.id:
        return [], holder, "duplicate"
    memory, stream = _memory(record.id, request, facts)
    events, outcome = memories.store(record, memory, request.sequence, reason)
    return _fold(stream, memory, events, request, facts, strict=deduplicate), record.id, outcome


def _touch(command: TouchMemories, request: Request, facts: Facts) -> Decision:
    emitted: list[Emitted] = []
    for memory_id in dict.fromkeys(command.memory_ids):
        memory, stream = _memory(memory_id, request, facts)
        events = memories.touch(memory, command.every_seconds, to_datetime(request.now_ms))
        emitted += _fold(stream, memory, events, request, facts)
    return Decision(events=emitted, reply=Acknowledged())


def _merge(command: MergeMemories, request: Request, facts: Facts) -> Decision:
    survivor, stream = _memory(command.record.id, request, facts)
    sources = [_memory(memory_id, request, facts) for memory_id in command.source_ids]
    events = merges.merge(command, survivor, [memory for memory, _ in sources], request.sequence, to_datetime(request.now_ms))
    said = [memory.record.memory_hash for memory, _ in sources if memory.record and memory.record.memory_hash]
    emitted = _fold(stream, survivor, events[:1], request, facts)
    for (memory, source_stream), event in zip(sources, events[1:], strict=True):
        emitted += _fold(source_stream, memory, [event], request, facts, keep_claims=True)
    # Whoever says again what a source said is told of the survivor.
    facts.claims.hand_over(request.scope.tenant, said, command.record.id)
    return Decision(events=emitted, reply=MemoryChanged(record=msgspec.Raw(encode(survivor.record))))


def _unmerge(command: UnmergeMemory, request: Request, facts: Facts) -> Decision:
    survivor, stream = _reached(command.memory_id, command.within, request, facts)
    history = facts.histories.get(stream, [])
    known = [_memory(record.id, request, facts) for record in merges.sources_of(history)]
    now = to_datetime(request.now_ms)
    events = merges.unmerge(command.memory_id, survivor, history, [memory for memory, _ in known], request.sequence, now)
    emitted = _fold(stream, survivor, events[:1], request, facts)
    by_id = {record.id: memory for record, memory in zip(merges.sources_of(history), known, strict=True)}
    for event in events[1:]:
        assert isinstance(event, MemoryStored)
        memory, source_stream = by_id[event.record.id]
        emitted += _fold(source_stream, memory, [event], request, facts)
    return Decision(events=emitted, reply=MemoryChanged(record=msgspec.Raw(encode(survivor.record))))


def _forget(command: ForgetMemories, request: Request, facts: Facts) -> Decision:
    emitted: list[Emitted] = []
    gone = []
    for memory_id in dict.fromkeys(command.memory_ids):
        memory, stream = _memory(memory_id, request, facts)
        if memory.record is not None and not _holds(command.within, memory.record):
            continue
        now = to_datetime(request.now_ms)
        if events := memories.forget(memory_id, memory, request.sequence, now, command.reason):
            emitted += _fold(stream, memory, events, request, facts)
            gone.append(memory_id)
    return Decision(events=emitted, reply=MemoriesForgotten(memory_ids=gone))


def _holds(within: Reach | None, record: MemoryRecord) -> bool:
    return within is None or within.holds(record.namespace, record.user_id)


def _reached(memory_id: str, within: Reach | None, request: Request, facts: Facts) -> tuple[Memory, str]:
    """A memory and its stream. Raises NotFound for one that the caller does not reach, as if there were none."""
    memory, stream = _memory(memory_id, request, facts)
    if memory.record is not None and not _holds(within, memory.record):
        raise NotFound(f"Memory with ID {memory_id} not found")
    return memory, stream


def _memory(memory_id: str, request: Request, facts: Facts) -> tuple[Memory, str]:
    stream = streams.memory_stream(request.scope.tenant, memory_id)
    return facts.memories.setdefault(stream, Memory()), stream


def _fold(
    stream: str,
    memory: Memory,
    events: list[Event],
    request: Request,
    facts: Facts,
    *,
    strict: bool = False,
    keep_claims: bool = False,
) -> list[Emitted]:
    """Folds events into a memory and lets its claims follow. `strict`: what it says was seen to be nobody's."""
    emitted = []
    for event in events:
        before = memory.record
        memories.evolve(memory, event)
        if not keep_claims:
            _claims_follow(before, memory.record, request.scope.tenant, facts, strict=strict)
        owner = memory.record or before
        scope = request.scope if owner is None else _scope_of(owner, request.scope)
        emitted.append(Emitted(stream, memory.version, event, scope))
    return emitted


def _claims_follow(before: MemoryRecord | None, after: MemoryRecord | None, tenant: str, facts: Facts, *, strict: bool) -> None:
    if after is None:
        if before is not None:
            facts.claims.drop(tenant, before.id)
        return
    if before is not None and before.memory_hash and before.memory_hash != after.memory_hash:
        facts.claims.release(tenant, before.memory_hash, before.id)
    if after.memory_hash and (before is None or before.memory_hash != after.memory_hash):
        facts.claims.claim(tenant, after.memory_hash, after.id, strict=strict)


def _scope_of(record: MemoryRecord, scope: Scope) -> Scope:
    return Scope(tenant=scope.tenant, namespace=record.namespace or "", user_id=record.user_id or "")
