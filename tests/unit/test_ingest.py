"""What ingest decides, sentence by sentence."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from agent_memory.contracts.commands import (
    AppendMessages,
    DeleteWorkingMemory,
    EditMemory,
    ForgetMemories,
    RecordEvents,
    RecordExtraction,
    ReplaceWorkingMemory,
    StoreMemories,
    SummarizeSession,
    Tick,
)
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.events import (
    EventRecorded,
    JobDue,
    MemoryEdited,
    MemoryForgotten,
    MemoryStored,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
)
from agent_memory.contracts.records import MemoryRecord, Message, Scope, TimelineEvent
from agent_memory.contracts.streams import session_stream
from agent_memory.ingest.domain import decide
from agent_memory.ingest.facts import Facts, Request
from agent_memory.ingest.sessions import Session
from agent_memory.ingest.views import view_write
from agent_memory.readmodels.session_document import Session as View
from agent_memory.readmodels.session_document import evolve
from agent_memory.readmodels.sessions import view_of
from agent_memory.runtime.broker import Entry
from support.spec import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def message(id_, content="hello"):
    return Message(id=id_, role="user", content=content, created_at=NOON)


def test_what_comes_later_has_a_greater_sequence_also_while_the_clock_of_redis_stands_still() -> None:
    # As after a clock that went back: Redis counts on within the last millisecond that it gave.
    ids = [b"1700000000000-0", b"1700000000000-1048575", b"1700000000000-1048576", b"1700000000000-3000000", b"1700000000009-0"]
    sequences = [Entry(id_, {}).sequence for id_ in ids]
    assert sequences == sorted(set(sequences))


def event(id_, session="s", kind="user_message", text="hello"):
    return TimelineEvent(event_id=id_, session_id=session, timestamp_ms=1, event_type=kind, text=text)


def put(*ids, session="s", content="hello", **fields):
    return ReplaceWorkingMemory(session_id=session, messages=[message(id_, content) for id_ in ids], **fields)


def append(*ids, session="s"):
    return AppendMessages(session_id=session, messages=[message(id_) for id_ in ids])


def record(id_, text="likes tea", **fields):
    return MemoryRecord(id=id_, text=text, last_accessed=NOON, created_at=NOON, updated_at=NOON, **fields)


def test_what_was_said_is_recorded_and_stands_in_working_memory():
    given().when(RecordEvents(events=[event("a"), event("end", kind="session_end", text="")])).then(
        EventRecorded, EventRecorded
    ).then_stands("s", ["a"])


def test_the_same_event_twice_in_one_command_is_one_event():
    spec = given().when(RecordEvents(events=[event("a"), event("a")])).then(EventRecorded)
    assert spec.reply.created == [True, False]


def test_an_event_id_that_another_session_has_is_known():
    spec = given(RecordEvents(events=[event("a", session="one")])).when(RecordEvents(events=[event("a", session="two")])).then()
    assert spec.reply.created == [False]


def test_a_message_that_came_through_the_event_door_is_not_recorded_again_by_a_put():
    given(RecordEvents(events=[event("a")])).when(put("a", "b")).then(EventRecorded, WorkingMemoryReplaced).then_stands(
        "s", ["a", "b"]
    )


def test_an_append_of_a_message_that_stands_there_changes_nothing():
    given(put("a")).when(append("a")).then().then_stands("s", ["a"])


def test_a_message_that_was_dropped_from_the_document_can_come_back():
    given(put("a", "b"), put("b")).when(append("a")).then(MessagesRestored).then_stands("s", ["b", "a"])


def test_an_edited_message_is_kept_as_edited_while_the_timeline_keeps_what_was_said():
    spec = given(put("a")).when(put("a", content="edited")).then(WorkingMemoryReplaced)
    assert [edit.content for edit in spec.decision.events[0].event.edits] == ["edited"]


def test_an_older_replacement_records_what_was_said_and_leaves_the_document_alone():
    spec = given(put("new")).when(put("old"), sequence=50).then(EventRecorded).then_stands("s", ["new"])
    assert spec.reply.superseded


def test_an_older_replacement_does_not_bring_a_deleted_session_back():
    given(put("a"), DeleteWorkingMemory(session_id="s")).when(put("a", "b"), sequence=50).then(EventRecorded).then_stands("s", [])


def test_a_message_appended_later_than_a_replacement_was_sent_survives_it():
    given(put("a")).when(append("late"), sequence=200).when(put("a", "b"), sequence=150).then_stands("s", ["a", "b", "late"])


def test_deleting_twice_is_deleting_once_and_messages_can_be_said_again():
    spec = given(put("a"), DeleteWorkingMemory(session_id="s")).when(DeleteWorkingMemory(session_id="s")).then()
    spec.when(append("b")).then(EventRecorded).then_stands("s", ["b"])


def test_an_expired_session_begins_anew():
    given(put("a", ttl_seconds=1)).when(append("b"), later_ms=1000).then(WorkingMemoryDeleted, EventRecorded).then_stands(
        "s", ["b"]
    )


def test_every_write_moves_the_expiry():
    given(put("a", ttl_seconds=2)).when(append("b"), later_ms=1500).when(append("c"), later_ms=1500).then_stands(
        "s", ["a", "b", "c"]
    )


def test_created_at_survives_a_replacement():
    spec = given(put("a"))
    first = spec.reply.created_at
    assert spec.when(put("a", "b")).reply.created_at == first


def test_a_memory_with_the_same_content_is_stored_once():
    spec = given(StoreMemories(memories=[record("m")])).when(StoreMemories(memories=[record("m"), record("m")])).then()
    assert spec.reply.outcomes == ["unchanged", "unchanged"]


def test_a_memory_is_replaced_by_its_id():
    given(StoreMemories(memories=[record("m")])).when(StoreMemories(memories=[record("m", "likes coffee")])).then(MemoryStored)


def test_an_edit_changes_what_is_given_and_the_hash():
    spec = given(StoreMemories(memories=[record("m", topics=["tea"])])).when(EditMemory(memory_id="m", text="likes coffee"))
    spec.then(MemoryEdited)
    edited = spec.decision.events[0].event
    assert (edited.record.text, edited.record.topics, edited.changed) == ("likes coffee", ["tea"], ["text"])
    before = given().when(StoreMemories(memories=[record("m")])).decision.events[0].event
    assert edited.record.memory_hash != before.record.memory_hash


def test_what_does_not_exist_cannot_be_edited():
    with pytest.raises(NotFound, match="Memory with ID m not found"):
        given().when(EditMemory(memory_id="m", text="x"))


def test_forgetting_names_what_existed():
    spec = given(StoreMemories(memories=[record("m")])).when(ForgetMemories(memory_ids=["m", "m", "n"])).then(MemoryForgotten)
    assert spec.reply.memory_ids == ["m"]


def test_an_older_command_changes_no_memory():
    spec = given(StoreMemories(memories=[record("m")])).when(StoreMemories(memories=[record("m", "old")]), sequence=50).then()
    spec.when(ForgetMemories(memory_ids=["m"]), sequence=51).then()


def test_a_job_that_is_due_is_an_event():
    given().when(Tick(job="j", due_ms=5)).then(JobDue)


IDS = st.sampled_from(["a", "b", "c", "d"])
COMMANDS = st.one_of(
    st.builds(lambda ids: RecordEvents(events=[event(id_) for id_ in ids]), st.lists(IDS, min_size=1, max_size=3)),
    st.builds(lambda ids: append(*ids), st.lists(IDS, min_size=1, max_size=3)),
    st.builds(
        lambda ids, content, ttl: put(*ids, content=content, ttl_seconds=ttl),
        st.lists(IDS, max_size=4),
        st.sampled_from(["hello", "edited"]),
        st.sampled_from([None, 1, 5]),
    ),
    st.just(DeleteWorkingMemory(session_id="s")),
    st.just(RecordEvents(events=[event("mark", kind="session_start", text="")])),
    st.builds(lambda count: lambda facts: summarize(facts, count), st.integers(1, 3)),
    st.builds(lambda ids: RecordExtraction(session_id="s", message_ids=ids), st.lists(IDS, min_size=1, max_size=2)),
)


def summarize(facts, count):
    """The oldest messages of the document as it stands."""
    session = facts.sessions.get(session_stream(Scope(), "s"), Session())
    oldest = list(session.messages)[:count]
    return SummarizeSession(session_id="s", context="in short", message_ids=oldest, document_sequence=session.sequence)


@for_all(st.lists(st.tuples(COMMANDS, st.integers(-3, 5), st.sampled_from([0, 700, 3000])), max_size=12))
@settings(max_examples=300)
def test_the_view_written_step_by_step_equals_the_view_folded_from_the_log(steps):
    """Whatever comes, in whatever order: what ingest shows is what a rebuild would show."""
    scope, stream = Scope(), session_stream(Scope(), "s")
    facts, folded = Facts(), View()
    sequence, now_ms, shown = 100, 1_000_000, None
    for command, step, later in steps:
        sequence, now_ms = sequence + step, now_ms + later
        command = command(facts) if callable(command) else command
        decision = decide(Request(command=command, scope=scope, sequence=max(sequence, 1), now_ms=now_ms), facts)
        for emitted in decision.events:
            evolve(folded, emitted.event, scope, now_ms)
        if stream in decision.touched:
            write = view_write(
                stream, decision.events, command, facts.sessions[stream], was_alive=decision.touched[stream], now_ms=now_ms
            )
            shown = after(shown, write)
    expected = view_of(stream, folded)
    if shown is None:
        assert expected.how == "delete"
    elif shown != "dropped":
        assert shown == (expected.document, expected.messages, expected.updated_at, expected.expires_ms)


def after(shown, write):
    """The Lua script's rules, in Python."""
    if write is None:
        return shown
    match write.how:
        case "delete":
            return None
        case "drop":
            return "dropped"
        case "replace":
            return write.document, write.messages, write.updated_at, write.expires_ms
        case "append":
            if shown == "dropped":
                return "dropped"
            document, messages, updated_at, _ = shown
            joined = b",".join(part for part in (messages, write.messages) if part)
            return document, joined, write.updated_at or updated_at, write.expires_ms
