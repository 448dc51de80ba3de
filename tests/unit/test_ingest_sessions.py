"""Summaries, extraction and promotion: what working memory lets go of, and what becomes of it."""

from datetime import UTC, datetime

import msgspec
import pytest

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    AppendMessages,
    DeleteWorkingMemory,
    ForgetMemories,
    RecordExtraction,
    ReplaceWorkingMemory,
    StoreMemories,
    SummarizeSession,
)
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import (
    EventRecorded,
    MemoriesExtracted,
    MemoryStored,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import MemoryRecord, Message, Scope, Strategy
from agent_memory.contracts.streams import memory_stream, session_stream
from support.spec import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def message(id_, **fields):
    return Message(id=id_, role="user", content="hello", created_at=NOON, **fields)


def put(*ids, memories=(), **fields):
    raw = [msgspec.Raw(encode(memory)) for memory in memories]
    return ReplaceWorkingMemory(session_id="s", messages=[message(id_) for id_ in ids], memories=raw, **fields)


def append(*ids):
    return AppendMessages(session_id="s", messages=[message(id_) for id_ in ids])


def record(id_, text="likes tea", **fields):
    return MemoryRecord(id=id_, text=text, last_accessed=NOON, created_at=NOON, updated_at=NOON, **fields)


def session(spec):
    return spec.facts.sessions[session_stream(Scope(), "s")]


def memory(spec, id_):
    return spec.facts.memories[memory_stream("default", id_)].record


def summarize(*ids, of=101, context="in short"):
    return SummarizeSession(session_id="s", context=context, message_ids=list(ids), document_sequence=of)


def extraction(*ids, memories=()):
    return RecordExtraction(session_id="s", message_ids=list(ids), memories=list(memories))


def test_the_oldest_messages_become_part_of_the_summary():
    given(put("a", "b", "c")).when(summarize("a", "b")).then(WorkingMemorySummarized).then_stands("s", ["c"])


def test_a_summary_of_messages_that_are_not_the_oldest_is_not_taken():
    given(put("a", "b", "c")).when(summarize("b")).then().then_stands("s", ["a", "b", "c"])


def test_a_summary_of_a_document_that_was_replaced_since_is_not_taken():
    given(put("a", "b"), put("a", "b", "c")).when(summarize("a", of=101)).then().then_stands("s", ["a", "b", "c"])


def test_messages_that_came_while_a_summary_was_made_do_not_stop_it():
    given(put("a", "b")).when(append("c")).when(summarize("a")).then(WorkingMemorySummarized).then_stands("s", ["b", "c"])


def test_a_summarized_message_that_is_appended_again_stays_summarized():
    given(put("a", "b"), summarize("a")).when(append("a", "c")).then(EventRecorded).then_stands("s", ["b", "c"])


def test_a_client_that_puts_a_summarized_message_back_has_it_back():
    given(put("a", "b"), summarize("a")).when(put("a", "b")).then(WorkingMemoryReplaced).then_stands("s", ["a", "b"])


def test_a_session_that_was_deleted_is_not_summarized():
    given(put("a", "b"), DeleteWorkingMemory(session_id="s")).when(summarize("a")).then()


def test_each_message_is_extracted_once():
    spec = given(put("a", "b")).when(extraction("a", memories=[record("m1")])).then(MemoryStored, MemoriesExtracted)
    spec.when(extraction("a", memories=[record("m2", "likes coffee")])).then()
    spec.when(extraction("a", "b")).then(MemoriesExtracted)
    assert spec.decision.events[0].event.message_ids == ["b"]


def test_what_is_extracted_twice_is_one_memory():
    spec = given(put("a", "b"), extraction("a", memories=[record("m1")]))
    spec.when(extraction("b", memories=[record("m2")])).then(MemoriesExtracted)
    assert spec.decision.events[0].event.memory_ids == ["m1"]


def test_the_mark_of_extraction_that_a_client_sends_back_is_no_edit():
    spec = given(put("a"), extraction("a"))
    echo = ReplaceWorkingMemory(session_id="s", messages=[message("a", discrete_memory_extracted="t")])
    spec.when(echo).then(WorkingMemoryReplaced)
    assert spec.decision.events[0].event.edits == []
    assert spec.reply.extracted == ["a"]


def test_memories_of_a_document_become_long_term_memories_of_its_owner():
    strategy = Strategy(strategy="custom", config={"custom_prompt": "x"})
    spec = given().when(put(memories=[record("m")], promote=True, strategy=strategy))
    spec.then(MemoryStored, WorkingMemoryReplaced)
    assert spec.decision.events[0].event.reason == "promoted"
    assert memory(spec, "m").session_id == "s"
    assert (memory(spec, "m").extraction_strategy, memory(spec, "m").extraction_strategy_config) == ("custom", strategy.config)
    stored = msgspec.json.decode(spec.decision.events[-1].event.memories[0], type=MemoryRecord)
    assert stored.persisted_at == memory(spec, "m").persisted_at is not None


def test_a_memory_is_promoted_once_and_again_when_it_says_something_else():
    spec = given(put(memories=[record("m")], promote=True)).when(put(memories=[record("m")], promote=True))
    first = memory(spec, "m").persisted_at
    spec.then(WorkingMemoryReplaced)
    spec.when(put(memories=[record("m", "likes coffee")], promote=True)).then(MemoryStored, WorkingMemoryReplaced)
    assert (memory(spec, "m").text, memory(spec, "m").persisted_at) == ("likes coffee", first)


def test_a_memory_that_was_forgotten_is_not_promoted_again():
    given(put(memories=[record("m")], promote=True), ForgetMemories(memory_ids=["m"])).when(
        put(memories=[record("m")], promote=True)
    ).then(WorkingMemoryReplaced)


def test_a_memory_of_somebody_else_with_the_same_id_is_not_overwritten():
    spec = given(StoreMemories(memories=[record("m", "theirs", user_id="they")])).when(put(memories=[record("m")], promote=True))
    spec.then(MemoryStored, WorkingMemoryReplaced)
    assert memory(spec, "m").text == "theirs"


def test_memories_stay_where_they_are_when_they_are_not_to_be_promoted():
    given().when(put(memories=[record("m")])).then(WorkingMemoryReplaced)


def test_a_put_that_expects_another_version_is_refused_and_changes_nothing():
    spec = given(put("a")).when(put("a", "b", expected_version=2))
    assert spec.reply.version == 4
    with pytest.raises(Conflict, match="read it again"):
        spec.when(put("c", expected_version=2))
    spec.then_stands("s", ["a", "b"])
    with pytest.raises(Conflict):
        given(put("a")).when(put("b", expected_version=0))
    given().when(put("b", expected_version=0)).then(EventRecorded, WorkingMemoryReplaced)


def test_what_was_extracted_and_summarized_survives_a_snapshot():
    spec = given(put("a", "b"), extraction("a"), summarize("a"))
    again = msgspec.json.decode(encode(session(spec)), type=type(session(spec)))
    assert (again.extracted, again.summarized) == ({"a"}, {"a"})
