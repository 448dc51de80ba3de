"""Records as search documents, and text as words."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent
from agent_memory.readmodels.documents import (
    CONTEXT_BYTES,
    INDEXED_CHARACTERS,
    beginning,
    context,
    listing_order,
    memory_document,
    micros,
    timeline_document,
)
from agent_memory.readmodels.words import stem, wanted, words

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def a_memory(**fields: object) -> MemoryRecord:
    return msgspec.structs.replace(
        MemoryRecord(id="m1", text="Ann likes tea", last_accessed=AT, created_at=AT, updated_at=AT), **fields
    )


def test_a_memory_becomes_a_document_with_its_record_as_it_is() -> None:
    record = a_memory(namespace="a-b", topics=["x,y", "z"], event_date=AT)
    document = memory_document(record, "t/1", 7, b"\0\0\0\0")
    assert (document.kind, document.scope_path, document.id, document.version) == ("memory", "t%2F1", "m1", 7)
    assert msgspec.json.decode(document.fields["record"], type=MemoryRecord) == record
    assert document.fields["topics"] == "vx_2Cy\x1fvz"
    assert document.fields["event_date"] == document.fields["created_at"] == 1769860800123456


def test_what_a_memory_does_not_have_is_not_in_its_document() -> None:
    fields = memory_document(a_memory(), "t", 7, b"\0\0\0\0").fields
    assert {"namespace", "user_id", "session_id", "topics", "entities", "event_date"}.isdisjoint(fields)
    assert memory_document(a_memory(namespace=""), "t", 7, b"").fields["namespace"] == "v"


def test_of_a_long_text_the_beginning_is_searchable_and_all_is_kept() -> None:
    text = "word " * INDEXED_CHARACTERS
    fields = memory_document(a_memory(text=text), "t", 1, b"").fields
    assert len(str(fields["text"])) <= INDEXED_CHARACTERS
    assert msgspec.json.decode(fields["record"], type=MemoryRecord).text == text


def test_an_event_lies_under_its_scope() -> None:
    event = TimelineEvent(event_id="e1", session_id="s", timestamp_ms=-1, text="Hi!")
    scope = Scope(tenant="t", namespace="n", user_id="u")
    document = timeline_document(event, scope, 3, b"")
    assert document.scope_path == "t/n/u"
    assert document.fields["timestamp_ms"] == -1
    assert (document.fields["text"], document.fields["stems"]) == ("hi", "_hi")


def test_an_event_is_found_by_the_beginnings_of_the_last_two_before_it() -> None:
    before = [("e1", "_a"), ("e2", "_é" * 20 + " " + "_b " * CONTEXT_BYTES), ("e3", "_c")]
    assert context([]) == {}
    assert context(before[:1]) == {"previous": "e1", "before": "_a"}
    found = context(before)
    assert (found["previous"], str(found["before"]).split()[-1]) == ("e3", "_c")
    assert "_a" not in str(found["before"]).split()
    assert CONTEXT_BYTES - 10 < len(beginning(before[1][1]).encode()) <= CONTEXT_BYTES


@given(st.text(max_size=900))
def test_a_beginning_is_of_whole_stems(text: str) -> None:
    stems = " ".join(map(stem, words(text)))
    assert f"{stems} ".startswith(f"{beginning(stems)} ") or not beginning(stems)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("running", "runs"),
        ("parties", "party"),
        ("книгами", "книга"),
        ("паролей", "пароль"),
        ("γυναίκες", "γυναίκα"),
        ("x86", "x86"),
    ],
)
def test_forms_of_a_word_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize("word", ["café", "łódź", "mañana", "überall", "東", "हिन्दी", "🎉", "3d"])
def test_words_of_other_languages_stay_as_they_are(word: str) -> None:
    assert stem(word) == f"_{word}"


def test_common_words_are_told_apart_unless_there_are_no_others() -> None:
    found = wanted("What did Ann say about the blue keys? the blue keys")
    assert found.telling == (("_ann",), ("_say",), ("_blue",), ("_key",))
    assert found.common == (("_what",), ("_did",), ("_about",), ("_the",))
    assert found.pairs == (("_ann", "_say"), ("_blue", "_key"))
    assert wanted("is it?").telling == (("_is",), ("_it",))
    assert wanted("是的").telling == (("_是", "_的"),)


@given(st.tuples(st.datetimes(), st.text("ab", max_size=3)), st.tuples(st.datetimes(), st.text("ab", max_size=3)))
def test_a_listing_is_newest_first_then_by_id(one: tuple[datetime, str], other: tuple[datetime, str]) -> None:
    by_time_and_id = (-micros(one[0]), one[1]) < (-micros(other[0]), other[1])
    assert (listing_order(*one) < listing_order(*other)) == by_time_and_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café-CRÈME, it's 3.5%", ["café", "crème", "it", "s", "3", "5"]),
        ("snake_case C:\\path", ["snake", "case", "c", "path"]),
        ("記憶する", ["記", "憶", "す", "る"]),
        ("हिन्दी नमस्ते", ["हिन्दी", "नमस्ते"]),
        ("done 🎉!", ["done", "🎉"]),
        ("… — “ ” ?", []),
        ("x" * 100, ["x" * 64]),
    ],
)
def test_text_is_split_into_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_query_is_split_into_phrases_and_words() -> None:
    found = wanted('Where is "The Blue  key" or «le chat», 記憶は? tea "')
    assert found.phrases == (("the", "blue", "key"), ("le", "chat"))
    assert found.terms == (("where",), ("is",), ("or",), ("記", "憶"), ("憶", "は"), ("tea",))


def test_a_query_of_punctuation_asks_for_nothing() -> None:
    assert not wanted('"" -- (@x:{}) | * ~'.replace("x", ""))


@given(st.text(max_size=80))
def test_words_never_hold_what_a_query_could_read_as_syntax(text: str) -> None:
    for word in words(text):
        assert word
        assert not set(word) & set(" \t\n\\\"'()[]{}|-~*%@$:;,.<>=!?/&^#+`_\x00\x1f")
