"""Working memory as clients see it, folded from a session's events. Pure."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import (
    Event,
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import EPOCH, Message, Scope, Strategy, is_message, message_of, to_datetime


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a session's working memory that appending messages does not change, in the order clients know."""

    memories: list[msgspec.Raw] = []
    data: dict[str, object] = {}
    context: str | None = None
    user_id: str | None = None
    tokens: int = 0
    session_id: str
    namespace: str | None = None
    long_term_memory_strategy: Strategy = Strategy()
    ttl_seconds: int | None = None
    created_at: datetime


class Session(msgspec.Struct, kw_only=True):
    """The folded view of one session. `sequence` is of the newest whole-document change."""

    version: int = 0
    sequence: int = 0
    document: Document | None = None
    messages: dict[str, Message] = {}
    extracted: set[str] = set()
    updated_at: datetime = EPOCH
    last_accessed: datetime = EPOCH
    expires_ms: int | None = None


def new_document(scope: Scope, session_id: str, created_at: datetime) -> Document:
    """The document of a session that began with a message."""
    return Document(session_id=session_id, namespace=scope.namespace or None, user_id=scope.user_id or None, created_at=created_at)


def replaced_document(scope: Scope, event: WorkingMemoryReplaced) -> Document:
    """The document that a client set."""
    return Document(
        memories=event.memories,
        data=event.data,
        context=event.context,
        user_id=scope.user_id or None,
        tokens=event.tokens,
        session_id=event.session_id,
        namespace=scope.namespace or None,
        long_term_memory_strategy=event.strategy,
        ttl_seconds=event.ttl_seconds,
        created_at=event.created_at,
    )


def evolve(session: Session, event: Event, scope: Scope, at_ms: int) -> Session:
    """Folds one event, recorded at `at_ms`, into the view, in place. Follows the rules of the decision that made it."""
    session.version += 1
    match event:
        case EventRecorded(event=recorded, sequence=sequence) if is_message(recorded) and sequence > session.sequence:
            message = message_of(recorded)
            _append(session, [message], scope, recorded.session_id, at_ms)
        case MessagesRestored(messages=messages, session_id=session_id):
            _append(session, messages, scope, session_id, at_ms)
        case WorkingMemoryReplaced():
            edits = {message.id: message for message in event.edits}
            session.messages = {id_: _marked(session, edits.get(id_) or session.messages[id_]) for id_ in event.order}
            session.document, session.sequence = replaced_document(scope, event), event.sequence
            session.updated_at, session.last_accessed = event.updated_at, event.last_accessed
            _renew(session, at_ms)
        case WorkingMemorySummarized(message_ids=message_ids, context=context, use=use) if session.document is not None:
            tokens = session.document.tokens + use.prompt_tokens + use.completion_tokens
            session.document = replace(session.document, context=context, tokens=tokens)
            for message_id in message_ids:
                session.messages.pop(message_id, None)
            session.updated_at = event.at
        case MemoriesExtracted(message_ids=message_ids):
            session.extracted.update(message_ids)
            session.messages = {id_: _marked(session, message) for id_, message in session.messages.items()}
        case WorkingMemoryDeleted(sequence=sequence):
            session.document, session.messages, session.expires_ms = None, {}, None
            session.sequence = max(session.sequence, sequence)
        case _:
            pass
    return session


def messages_json(messages: list[Message]) -> bytes:
    """Messages as the view keeps them: JSON objects with commas between, no brackets, so that more can be appended."""
    return b",".join([encode(message) for message in messages])


def _append(session: Session, messages: list[Message], scope: Scope, session_id: str, at_ms: int) -> None:
    now = to_datetime(at_ms)
    if session.document is None:
        session.document, session.messages = new_document(scope, session_id, now), {}
        session.last_accessed = now
    session.messages.update({message.id: _marked(session, message) for message in messages})
    session.updated_at = now
    _renew(session, at_ms)


def _marked(session: Session, message: Message) -> Message:
    if message.id in session.extracted and message.discrete_memory_extracted != "t":
        return replace(message, discrete_memory_extracted="t")
    return message


def _renew(session: Session, at_ms: int) -> None:
    ttl = session.document.ttl_seconds if session.document else None
    session.expires_ms = None if ttl is None else at_ms + ttl * 1000
