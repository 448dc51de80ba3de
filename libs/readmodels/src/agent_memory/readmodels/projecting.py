"""What an event means for a search index, before the vectors are known. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import EventRecorded, MemoryEdited, MemoryForgotten, MemoryStored, NodeRevised
from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent, is_message, message_of
from agent_memory.contracts.toc import Grip, Revision
from agent_memory.readmodels.contents_documents import grip_document, grips_of, node_document, node_text, revise
from agent_memory.readmodels.documents import (
    CONTEXT_EVENTS,
    Delete,
    Kind,
    Upsert,
    Write,
    context,
    has_words,
    memory_amendment,
    memory_document,
    memory_scope,
    searchable,
    timeline_document,
)

MEMORY_TYPES = frozenset({"MemoryStored", "MemoryEdited", "MemoryForgotten"})
TIMELINE_TYPES = frozenset({"EventRecorded"})
CONTENTS_TYPES = frozenset({"NodeRevised"})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is to be written once the vector of `text` is known."""

    text: str
    scope: Scope
    version: int
    memory: MemoryRecord | None = None
    event: TimelineEvent | None = None
    node: Revision | None = None
    grip: Grip | None = None
    before: tuple[tuple[str, str], ...] = ()
    """Ids and stems of the events before it, given where nobody writes the document: see `in_session`."""
    amends: bool = False
    """The text is what it was before: when the document is there, its vector is too."""

    @property
    def kind(self) -> Kind:
        """The index that it belongs in."""
        if self.memory is not None:
            return "memory"
        return "contents" if self.event is None else "timeline"

    def document(self, vector: bytes) -> Upsert:
        """The document with its vector."""
        if self.memory is not None:
            return memory_document(self.memory, self.scope.tenant, self.version, vector)
        if self.node is not None:
            return node_document(self.node, self.scope, self.version, vector)
        if self.grip is not None:
            return grip_document(self.grip, self.scope, self.version, vector)
        assert self.event is not None
        document = timeline_document(self.event, self.scope, self.version, vector)
        return msgspec.structs.replace(document, fields=document.fields | context(self.before))


class Rewritten(msgspec.Struct, frozen=True, kw_only=True):
    """What is found of a node of the table of contents from now on, in place of all that was: itself and its grips, or nothing."""

    node_id: str
    scope: Scope
    version: int
    parts: tuple[Wanted, ...] = ()


Meant = Wanted | Rewritten | Delete


def project(envelope: EventEnvelope, kind: Kind, *, messages_too: bool = False) -> Meant | None:
    """What an event means for an index. With `messages_too`, messages are found among the memories as well."""
    event = decode_event(envelope.type, envelope.data)
    scope, version = envelope.scope, envelope.position
    match event:
        case MemoryStored(record=record) if kind == "memory":
            return Wanted(text=record.text, scope=scope, version=version, memory=record)
        case MemoryEdited(record=record, changed=changed) if kind == "memory":
            return Wanted(text=record.text, scope=scope, version=version, memory=record, amends="text" not in changed)
        case MemoryForgotten(memory_id=memory_id) if kind == "memory":
            return Delete(kind="memory", scope_path=memory_scope(scope.tenant), id=memory_id, version=version)
        case EventRecorded(event=recorded) if kind == "timeline" and has_words(recorded.text):
            return Wanted(text=recorded.text, scope=scope, version=version, event=recorded)
        case EventRecorded(event=recorded) if kind == "memory" and messages_too and is_message(recorded):
            record = message_memory(recorded, scope)
            return Wanted(text=record.text, scope=scope, version=version, memory=record)
        case NodeRevised(revision=revision) if kind == "contents":
            return _rewritten(revision, scope, version)
        case _:
            return None


def _rewritten(revision: Revision, scope: Scope, version: int) -> Rewritten:
    if revision.gone:
        return Rewritten(node_id=revision.node_id, scope=scope, version=version)
    node = Wanted(text=node_text(revision), scope=scope, version=version, node=revision)
    grips = [Wanted(text=grip.excerpt, scope=scope, version=version, grip=grip) for grip in grips_of(revision)]
    return Rewritten(node_id=revision.node_id, scope=scope, version=version, parts=(node, *grips))


def message_memory(event: TimelineEvent, scope: Scope) -> MemoryRecord:
    """A message as a memory of type "message", linked to the event it is."""
    message = message_of(event)
    return MemoryRecord(
        id=event.event_id,
        text=f"{message.role}: {message.content}",
        session_id=event.session_id,
        user_id=scope.user_id or None,
        namespace=scope.namespace or None,
        last_accessed=message.created_at,
        created_at=message.created_at,
        updated_at=message.created_at,
        memory_type="message",
        extraction_strategy="message",
        extracted_from=[event.event_id],
    )


def is_copy(record: MemoryRecord) -> bool:
    """Whether a record is a message that is found among the memories, and no memory of its own."""
    return record.extraction_strategy == "message" and record.extracted_from == [record.id]


def newest(found: Sequence[Meant | None]) -> list[Meant]:
    """Of several writes to one document the last: the others would be overwritten at once."""
    last: dict[tuple[str, str], Meant] = {}
    for one in found:
        if one is None:
            continue
        place = _place(one)
        if place in last and last[place].version > one.version:
            continue
        if isinstance(one, Wanted) and one.amends and isinstance(known := last.get(place), Wanted) and not known.amends:
            one = msgspec.structs.replace(one, amends=False)  # what it amends was not written yet
        last[place] = one
    return list(last.values())


def texts_of(meant: Meant) -> list[str]:
    """Whose vectors it takes to write it."""
    match meant:
        case Wanted(amends=False, text=text):
            return [text]
        case Rewritten(parts=parts):
            return [part.text for part in parts]
        case _:
            return []


def in_session(events: Sequence[Wanted]) -> list[Wanted]:
    """The events of one session in their order, each with those before it: what writing them one by one comes to."""
    placed = sorted(events, key=lambda one: (one.event.timestamp_ms if one.event else 0, one.version))
    told = [(one.event.event_id if one.event else "", str(searchable(one.text)["stems"])) for one in placed]
    return [msgspec.structs.replace(one, before=tuple(told[max(0, at - CONTEXT_EVENTS) : at])) for at, one in enumerate(placed)]


def write_of(meant: Meant, vectors: Mapping[str, bytes]) -> Write:
    """The write, given the vectors of its texts."""
    match meant:
        case Delete():
            return meant
        case Rewritten(node_id=node_id, scope=scope, version=version, parts=parts):
            return revise(scope, node_id, version, [part.document(vectors[part.text]) for part in parts])
        case Wanted(amends=True, memory=MemoryRecord() as record):
            return memory_amendment(record, meant.scope.tenant, meant.version)
        case _:
            return meant.document(vectors[meant.text])


def _place(meant: Meant) -> tuple[str, str]:
    match meant:
        case Delete(scope_path=scope_path, id=id_):
            return scope_path, id_
        case Rewritten(scope=scope, node_id=node_id):
            return scope.path, node_id
        case Wanted(scope=scope, memory=MemoryRecord() as record):
            return memory_scope(scope.tenant), record.id
        case _:
            assert meant.event is not None
            return meant.scope.path, meant.event.event_id
