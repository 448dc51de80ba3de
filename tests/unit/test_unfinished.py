"""What is still to be done for a session, event by event."""

from datetime import UTC, datetime

from agent_memory.contracts.events import (
    AnyEvent,
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
)
from agent_memory.contracts.records import Message, Strategy, TimelineEvent
from agent_memory.readmodels.overflow import leaving
from agent_memory.readmodels.unfinished import Unfinished, asks_about, evolve

NOW = datetime(2026, 1, 30, tzinfo=UTC)


def said(id_: str, text: str = "tea") -> EventRecorded:
    return EventRecorded(event=TimelineEvent(event_id=id_, session_id="s", timestamp_ms=0, text=text))


def message(id_: str, *, extracted: bool = False) -> Message:
    return Message(role="user", content="cake", id=id_, created_at=NOW, discrete_memory_extracted="t" if extracted else "f")


def replaced(*edits: Message, limit: int | None = None, strategy: Strategy | None = None) -> WorkingMemoryReplaced:
    return WorkingMemoryReplaced(
        session_id="s",
        order=[],
        edits=list(edits),
        strategy=strategy or Strategy(),
        created_at=NOW,
        updated_at=NOW,
        last_accessed=NOW,
        sequence=7,
        token_limit=limit,
    )


def restored(*messages: Message) -> MessagesRestored:
    return MessagesRestored(session_id="s", messages=list(messages), at=NOW, sequence=8)


def extracted(*ids: str) -> MemoriesExtracted:
    return MemoriesExtracted(session_id="s", message_ids=list(ids), at=NOW, sequence=9)


def deleted(reason: str = "requested") -> WorkingMemoryDeleted:
    return WorkingMemoryDeleted(session_id="s", at=NOW, sequence=9, reason=reason)  # type: ignore[arg-type]


def after(*events: AnyEvent) -> Unfinished:
    state = Unfinished()
    for number, event in enumerate(events, 1):
        evolve(state, event, number * 100)
    assert state.count == len(state.unread)
    return state


def test_what_was_said_is_unread_and_what_was_silent_is_not() -> None:
    state = after(said("a"), said("b", " "), said("c"))
    assert state.unread == {"a": 1, "c": 3}
    assert state.newest_ms == 300


def test_what_was_read_is_not_read_again_when_it_is_edited_or_put_back() -> None:
    state = after(said("a"), extracted("a"), replaced(message("a")), restored(message("a")))
    assert state.unread == {}


def test_an_edit_of_an_unread_message_is_what_will_be_read_and_does_not_put_it_off() -> None:
    state = after(said("a"), replaced(message("a")))
    assert (state.unread, state.newest_ms) == ({"a": 2}, 100)


def test_a_message_that_its_client_has_read_itself_is_not_unread() -> None:
    assert after(said("a"), replaced(message("a", extracted=True))).unread == {}


def test_leaving_the_document_does_not_make_a_message_unsaid() -> None:
    assert after(said("a"), replaced(), deleted("expired")).unread == {"a": 1}


def test_deleting_the_document_takes_back_what_was_unread_until_it_is_put_back() -> None:
    assert after(said("a"), deleted()).unread == {}
    assert after(said("a"), deleted(), restored(message("a"))).unread == {"a": 3}
    assert after(said("a"), extracted("a"), deleted(), restored(message("a"))).unread == {}


def test_limit_strategy_and_sequence_are_those_of_the_newest_document() -> None:
    strategy = Strategy(strategy="preferences")
    state = after(replaced(limit=100, strategy=strategy))
    assert (state.limit, state.strategy, state.sequence) == (100, strategy, 7)
    state = after(replaced(limit=100, strategy=strategy), deleted())
    assert (state.limit, state.strategy, state.sequence) == (None, Strategy(), 9)


def test_only_what_events_name_has_to_be_known_to_fold_them() -> None:
    assert asks_about([said("a"), deleted("expired")]) == set()
    assert asks_about([replaced(message("a")), restored(message("b")), extracted("c")]) == {"a", "b", "c"}
    assert asks_about([said("a"), deleted()]) is None


def test_the_newest_messages_that_fit_stay_and_at_least_one() -> None:
    assert leaving([10] * 7, 100, 0.7) == 0
    assert leaving([10] * 8, 100, 0.7) == 4
    assert leaving([10, 10, 90], 100, 0.7) == 2
    assert leaving([500], 100, 0.7) == 0
    assert leaving([11_200], None, 0.7) == leaving([11_201], None, 0.7) == 0
    assert leaving([5_000, 6_201], None, 0.7) == 1
