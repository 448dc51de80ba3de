"""What a session decides. Pure: the same command, state and facts always give the same events.

Folding changes the given state in place: a session of ten thousand messages must not be copied for one more. Whoever
decides owns the state, and throws it away when the decision is not written.
"""

from collections.abc import MutableMapping
from datetime import datetime
from hashlib import blake2b

import msgspec
from msgspec import structs

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    AppendMessages,
    DeleteWorkingMemory,
    RecordExtraction,
    ReplaceWorkingMemory,
    SummarizeSession,
)
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import (
    Event,
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import (
    EPOCH,
    Message,
    TimelineEvent,
    event_of,
    is_message,
    message_of,
    to_datetime,
)


class Standing(msgspec.Struct):
    """A message of the document: what it looks like there, and the command that put it there."""

    fingerprint: int
    sequence: int


class Session(msgspec.Struct, kw_only=True):
    """Only what a decision asks about. `version` counts the stream's events; `sequence` is of the newest whole-document change.

    `summarized`: ids of messages that are part of the summary now; `extracted`: of those that memories were drawn from.
    """

    version: int = 0
    alive: bool = False
    sequence: int = 0
    created_at: datetime = EPOCH
    ttl_seconds: int | None = None
    expires_ms: int | None = None
    messages: dict[str, Standing] = {}
    summarized: set[str] = set()
    extracted: set[str] = set()
    snapshot_version: int = 0


Taken = MutableMapping[tuple[str, str], str]
"""(scope path, event id) to the stream that holds it: what is known to be recorded, and what this batch is recording."""


def fingerprint(message: Message) -> int:
    """64 bits of what a message looks like; the same in every process and for ever, because snapshots keep it."""
    return int.from_bytes(blake2b(encode(message), digest_size=8).digest(), "big")


def plain(message: Message, session: Session) -> Message:
    """The message without the mark that the log keeps itself: that memories were drawn from it."""
    if message.discrete_memory_extracted == "t" and message.id in session.extracted:
        return structs.replace(message, discrete_memory_extracted="f")
    return message


def event_id_of(message_id: str, session_id: str, path: str, stream: str, taken: Taken) -> str | None:
    """Under which event id a message is to be recorded; None when it is recorded already.

    Message ids are a session's own, event ids a scope's: where another session has the id, this one's is qualified.
    """
    for event_id in (message_id, f"{session_id}:{message_id}"):
        holder = taken.get((path, event_id))
        if holder is None:
            return event_id
        if holder == stream:
            return None
    return None


def record_events(
    events: list[TimelineEvent], session: Session, *, path: str, stream: str, taken: Taken, sequence: int
) -> tuple[list[Event], list[bool]]:
    """The events that are new, and for each given one whether it is."""
    new: list[Event] = []
    created = []
    for event in events:
        key = (path, event.event_id)
        fresh = key not in taken and event.event_id not in session.messages
        if fresh:
            taken[key] = stream
            new.append(EventRecorded(event=event, sequence=sequence))
        created.append(fresh)
    return new, created


def append(
    command: AppendMessages, session: Session, *, path: str, stream: str, taken: Taken, sequence: int, now_ms: int
) -> tuple[list[Event], list[bool]]:
    """Messages at the end of the document. Those that stand there already change nothing. Raises Conflict as `replace` does."""
    _demand(command.expected_version, session, now_ms)
    events: list[Event] = []
    restored: dict[str, Message] = {}
    created = []
    lives = session.alive and not is_expired(session, now_ms)
    standing = session.messages if lives else {}
    seen: set[str] = set(session.summarized) if lives and session.summarized else set()
    for message in command.messages:
        known = message.id in standing or message.id in seen
        event_id = None if known else event_id_of(message.id, command.session_id, path, stream, taken)
        if event_id is not None:
            taken[(path, event_id)] = stream
            events.append(EventRecorded(event=event_of(message, command.session_id, event_id), sequence=sequence))
        elif not known:
            restored[message.id] = message
        seen.add(message.id)
        created.append(event_id is not None)
    if restored and sequence > session.sequence:
        at = to_datetime(now_ms)
        events.append(MessagesRestored(session_id=command.session_id, messages=[*restored.values()], at=at, sequence=sequence))
    return events, created


def replace(
    command: ReplaceWorkingMemory, session: Session, *, path: str, stream: str, taken: Taken, sequence: int, now_ms: int
) -> list[Event]:
    """The whole document anew. What was said is recorded in any case; the document changes only if nothing newer did.

    Messages that other commands appended later than this one was sent stay at its end: an older write never undoes them.
    Raises Conflict when the caller expects another version of the document.
    """
    survives = session.alive and not is_expired(session, now_ms)
    _demand(command.expected_version, session, now_ms)
    given = {message.id: plain(message, session) for message in command.messages}
    events: list[Event] = []
    edits = []
    for message in given.values():
        standing = session.messages.get(message.id)
        if standing is not None:
            if standing.fingerprint != fingerprint(message):
                edits.append(message)
            continue
        event_id = event_id_of(message.id, command.session_id, path, stream, taken)
        if event_id is None:
            edits.append(message)
            continue
        taken[(path, event_id)] = stream
        event = event_of(message, command.session_id, event_id)
        events.append(EventRecorded(event=event, sequence=sequence))
        if message_of(event) != message or not is_message(event):
            edits.append(message)
    if sequence <= session.sequence:
        return events
    now = to_datetime(now_ms)
    later = [id_ for id_, standing in session.messages.items() if survives and standing.sequence > sequence and id_ not in given]
    events.append(
        WorkingMemoryReplaced(
            session_id=command.session_id,
            order=[*given, *later],
            edits=edits,
            memories=command.memories,
            data=command.data,
            context=command.context,
            tokens=command.tokens,
            strategy=command.strategy,
            ttl_seconds=command.ttl_seconds,
            created_at=session.created_at if survives else now,
            updated_at=now,
            last_accessed=command.last_accessed or now,
            sequence=sequence,
            token_limit=command.token_limit,
        )
    )
    return events


def summarize(command: SummarizeSession, session: Session, *, sequence: int, now_ms: int) -> list[Event]:
    """The oldest messages become part of the summary, if they are still the oldest of the document it was made on."""
    given = command.message_ids
    if not given or not session.alive or is_expired(session, now_ms) or command.document_sequence != session.sequence:
        return []
    if [id_ for id_, _ in zip(session.messages, given, strict=False)] != given:
        return []
    return [
        WorkingMemorySummarized(
            session_id=command.session_id,
            context=command.context,
            message_ids=given,
            at=to_datetime(now_ms),
            sequence=sequence,
            use=command.use,
        )
    ]


def unread(command: RecordExtraction, session: Session) -> list[str]:
    """Which of the messages no memories were drawn from before."""
    return [id_ for id_ in dict.fromkeys(command.message_ids) if id_ not in session.extracted]


def extracted(
    command: RecordExtraction, message_ids: list[str], memory_ids: list[str], *, sequence: int, now_ms: int
) -> MemoriesExtracted:
    """That messages were read, and what came of it."""
    return MemoriesExtracted(
        session_id=command.session_id,
        message_ids=message_ids,
        memory_ids=memory_ids,
        at=to_datetime(now_ms),
        sequence=sequence,
        strategy=command.strategy,
        use=command.use,
    )


def delete(command: DeleteWorkingMemory, session: Session, *, sequence: int, now_ms: int) -> list[Event]:
    """The document is forgotten, unless there is none or a newer one. Raises Conflict as `replace` does."""
    _demand(command.expected_version, session, now_ms)
    if not session.alive or sequence <= session.sequence:
        return []
    return [WorkingMemoryDeleted(session_id=command.session_id, at=to_datetime(now_ms), sequence=sequence)]


def expiry(session_id: str, session: Session, now_ms: int, sequence: int) -> list[Event]:
    """The end of a document whose time is over, recorded before anything new is put into the session."""
    if not is_expired(session, now_ms):
        return []
    return [WorkingMemoryDeleted(session_id=session_id, at=to_datetime(now_ms), sequence=sequence - 1, reason="expired")]


def is_expired(session: Session, now_ms: int) -> bool:
    """Whether the recorded expiry of a living document has passed."""
    return session.alive and session.expires_ms is not None and session.expires_ms <= now_ms


def evolve(session: Session, event: Event, at_ms: int) -> Session:
    """Folds one event, recorded at `at_ms`, into the state, in place.

    What was said by a command older than the newest whole-document change is on the timeline but not in the document.
    """
    session.version += 1
    match event:
        case EventRecorded(event=recorded, sequence=sequence) if is_message(recorded) and sequence > session.sequence:
            _revive(session, at_ms)
            message = message_of(recorded)
            session.messages[message.id] = Standing(fingerprint(message), sequence)
            _renew(session, at_ms)
        case MessagesRestored(messages=messages, sequence=sequence):
            _revive(session, at_ms)
            session.messages.update({message.id: Standing(fingerprint(message), sequence) for message in messages})
            _renew(session, at_ms)
        case WorkingMemoryReplaced():
            edits = {message.id: Standing(fingerprint(message), event.sequence) for message in event.edits}
            session.messages = {id_: edits.get(id_) or session.messages[id_] for id_ in event.order}
            session.alive, session.sequence = True, event.sequence
            session.created_at, session.ttl_seconds = event.created_at, event.ttl_seconds
            session.summarized.difference_update(event.order)
            _renew(session, at_ms)
        case WorkingMemorySummarized(message_ids=message_ids):
            for message_id in message_ids:
                session.messages.pop(message_id, None)
            session.summarized.update(message_ids)
        case MemoriesExtracted(message_ids=message_ids):
            session.extracted.update(message_ids)
        case WorkingMemoryDeleted(sequence=sequence):
            session.alive, session.sequence = False, max(session.sequence, sequence)
            session.messages, session.summarized, session.ttl_seconds, session.expires_ms = {}, set(), None, None
        case _:
            pass
    return session


def _demand(expected: int | None, session: Session, now_ms: int) -> None:
    """Raises Conflict when the caller expects another version of the document; 0 stands for none."""
    found = session.version if session.alive and not is_expired(session, now_ms) else 0
    if expected not in (None, found):
        raise Conflict("the session has changed since it was read; read it again and apply the change to what it is now")


def _revive(session: Session, at_ms: int) -> None:
    if not session.alive:
        session.alive, session.created_at = True, to_datetime(at_ms)
        session.messages, session.summarized, session.ttl_seconds = {}, set(), None


def _renew(session: Session, at_ms: int) -> None:
    session.expires_ms = None if session.ttl_seconds is None else at_ms + session.ttl_seconds * 1000
