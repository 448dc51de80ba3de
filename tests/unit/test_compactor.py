"""When two memories say the same, and what an event means for the grouping."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.compactor.domain import content_hash, latest, project
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import JobDue, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.readmodels.duplicates import Content, Gone

NOW = datetime(2026, 1, 30, tzinfo=UTC)


def memory(text: str, **fields: str) -> MemoryRecord:
    return MemoryRecord(id="m", text=text, created_at=NOW, updated_at=NOW, last_accessed=NOW, **fields)  # type: ignore[arg-type]


def envelope(position: int) -> EventEnvelope:
    return EventEnvelope(
        position=position, stream="m", version=1, type="", scope=Scope(tenant="t"), recorded_ms=0, data=msgspec.Raw(b"{}")
    )


def test_case_white_space_and_forms_of_characters_do_not_matter() -> None:
    assert content_hash("  Likes\n TEA ") == content_hash("likes tea") == content_hash("ｌｉｋｅｓ tea")
    assert content_hash("likes tea") != content_hash("likes teas")


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_has_a_hash_and_normalising_twice_changes_nothing(text: str) -> None:
    assert content_hash(text) == content_hash(f"\t{text}  ")
    assert len(content_hash(text)) == 64


def test_a_stored_or_edited_memory_belongs_to_the_owner_that_its_record_names() -> None:
    record = memory("tea", namespace="n", user_id="u")
    owner = Scope(tenant="t", namespace="n", user_id="u")
    expected = Content(memory_id="m", position=3, owner=owner, content_hash=content_hash("tea"), look="message None False")
    assert project(envelope(3), MemoryStored(record=record, sequence=1)) == expected
    assert project(envelope(3), MemoryEdited(record=record, changed=["text"], sequence=1)) == expected


def test_a_forgotten_memory_is_gone_and_other_events_mean_nothing() -> None:
    assert project(envelope(3), MemoryForgotten(memory_id="m", at=NOW, sequence=1)) == Gone(memory_id="m", position=3, tenant="t")
    assert project(envelope(3), JobDue(job="compaction", due_ms=1)) is None


def test_of_several_changes_to_a_memory_in_a_batch_the_last_remains() -> None:
    gone = Gone(memory_id="m", position=5, tenant="t")
    before = Content(memory_id="m", position=4, owner=Scope(tenant="t"), content_hash="1")
    elsewhere = Content(memory_id="m", position=2, owner=Scope(tenant="other"), content_hash="1")
    assert latest([gone, before, elsewhere]) == [elsewhere, gone]
