"""What is still to be done for a session, folded from its events: messages to draw memories from, and what a summary needs. Pure.

A message is unread from when it was recorded until memories were drawn from it, or a client says it was done elsewhere. That it
left the document changes nothing, because it was said. Only who deletes the document takes back what was not read yet; put there
again, it is unread again.
"""

from collections.abc import Iterable, Sequence

import msgspec

from agent_memory.contracts.events import (
    AnyEvent,
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
)
from agent_memory.contracts.records import Message, Strategy, is_message


class Unfinished(msgspec.Struct, kw_only=True):
    """A session after `version` of its stream. `sequence` and `limit` are of its newest whole-document change.

    `unread`: message id to the version that has its newest text; `taken_back`: of messages that were deleted unread. Both may be
    only as much of it as the next events ask about; `count` and `newest_ms` (when the last of them was recorded) are of all.
    """

    version: int = 0
    sequence: int = 0
    limit: int | None = None
    strategy: Strategy = Strategy()
    count: int = 0
    newest_ms: int = 0
    unread: dict[str, int] = {}
    taken_back: dict[str, int] = {}


def asks_about(events: Iterable[AnyEvent]) -> set[str] | None:
    """Message ids of which it must be known whether they are unread before the events can be folded; None for all."""
    ids: set[str] = set()
    for event in events:
        match event:
            case WorkingMemoryReplaced(edits=messages) | MessagesRestored(messages=messages):
                ids |= {message.id for message in messages}
            case MemoriesExtracted(message_ids=message_ids):
                ids |= set(message_ids)
            case WorkingMemoryDeleted(reason="requested"):
                return None
            case _:
                pass
    return ids


def evolve(state: Unfinished, event: AnyEvent, recorded_ms: int) -> Unfinished:
    """Folds the next event of the session, recorded at `recorded_ms`, in place."""
    state.version += 1
    match event:
        case EventRecorded(event=recorded) if is_message(recorded):
            state.unread[recorded.message_id or recorded.event_id] = state.version
            state.count, state.newest_ms = state.count + 1, recorded_ms
        case WorkingMemoryReplaced(edits=edits):
            state.sequence, state.limit, state.strategy = event.sequence, event.token_limit, event.strategy
            _shown_again(state, edits, recorded_ms)
        case MessagesRestored(messages=messages):
            _shown_again(state, messages, recorded_ms)
        case MemoriesExtracted(message_ids=message_ids):
            for message_id in message_ids:
                _read(state, message_id)
        case WorkingMemoryDeleted(sequence=sequence, reason=reason):
            state.sequence, state.limit, state.strategy = max(state.sequence, sequence), None, Strategy()
            if reason == "requested":
                state.taken_back |= state.unread
                state.unread, state.count = {}, 0
        case _:
            pass
    return state


def _shown_again(state: Unfinished, messages: Sequence[Message], recorded_ms: int) -> None:
    for message in messages:
        if message.discrete_memory_extracted == "t":
            _read(state, message.id)
        elif message.id in state.unread:
            state.unread[message.id] = state.version
        elif message.id in state.taken_back:
            del state.taken_back[message.id]
            state.unread[message.id] = state.version
            state.count, state.newest_ms = state.count + 1, recorded_ms


def _read(state: Unfinished, message_id: str) -> None:
    if state.unread.pop(message_id, None) is not None:
        state.count -= 1
    state.taken_back.pop(message_id, None)
