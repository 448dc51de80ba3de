"""What an older server keeps, as our nouns: whatever it is, it is read or refused with a reason."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.cli.old_server.converting import memory_lines, session_lines
from agent_memory.cli.old_server.layout import FIELDS, Unreadable, memory_of, session_of
from agent_memory.contracts.bundles import EventLine, SessionLine
from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.events import EventRecorded, WorkingMemoryReplaced
from support.old_server import document, memory, message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ANYTHING = st.fixed_dictionaries({}, optional=dict.fromkeys([*FIELDS, *document("s")], JSON))


@given(ANYTHING)
def test_no_document_and_no_hash_makes_it_stumble(found: dict[str, Any]) -> None:
    for read in (lambda: session_lines(session_of("working_memory:s", found), {}), lambda: memory_lines(memory_of(found), set())):
        with suppress(Unreadable):
            read()


def recorded(lines: list[Any]) -> list[EventRecorded]:
    events = [decode_event(line.type, line.data) for line in lines if isinstance(line, EventLine)]
    return [event for event in events if isinstance(event, EventRecorded)]


def test_a_message_id_that_two_sessions_have_is_recorded_behind_the_second_ones_name() -> None:
    taken: dict[tuple[str, str], str] = {}
    first, second = (session_of("k", document(name, messages=[message("m", name, 0)])) for name in ("one", "two"))
    assert [one.event.event_id for one in recorded(session_lines(first, taken))] == ["m"]
    assert [(one.event.event_id, one.event.message_id) for one in recorded(session_lines(second, taken))] == [("two:m", "m")]
    assert [one.event.event_id for one in recorded(session_lines(first, taken))] == ["m"], "the same again"


def test_what_a_message_has_beside_what_was_said_stays_with_the_document() -> None:
    marked = message("a", "read before", 0, discrete_memory_extracted="t")
    lines = session_lines(session_of("k", document("s", messages=[marked, message("b", "not yet", 1)], ttl_seconds=60)), {})
    replaced = decode_event("WorkingMemoryReplaced", lines[-2].data)  # type: ignore[union-attr]
    assert isinstance(replaced, WorkingMemoryReplaced)
    assert (replaced.order, [edit.id for edit in replaced.edits]) == (["a", "b"], ["a"])
    stands = lines[-1]
    assert isinstance(stands, SessionLine)
    assert stands.expires_ms == replaced.updated_at.timestamp() * 1_000 + 60_000


@pytest.mark.parametrize(
    "value", [1_769_774_400, 1_769_774_400.0, "1769774400", "2026-01-30T12:00:00Z", "2026-01-30T13:00:00+01:00"]
)
def test_times_are_read_however_they_are_written(value: object) -> None:
    record = memory_of(memory("m", "text", created_at=value))
    assert record.created_at == datetime(2026, 1, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"id_": ""}, "no id"),
        ({"text": "  "}, "no text"),
        ({"memory_type": "odd"}, "memory_type 'odd' is not one of"),
        ({"namespace": "n" * 300}, "longer than 255 bytes"),
    ],
)
def test_a_memory_that_cannot_be_one_here_is_refused_with_a_reason(fields: dict[str, object], why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        memory_of(memory("m", "text") | fields)


def test_of_two_memories_that_say_the_same_one_stands_for_it() -> None:
    claimed: set[str] = set()
    assert [len(memory_lines(memory_of(memory(id_, "likes tea")), claimed)) for id_ in ("a", "b")] == [2, 1]
