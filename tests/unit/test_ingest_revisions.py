"""A revision is recorded when nothing was written since, and every word it quotes was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.commands import RecordRevision
from agent_memory.contracts.errors import Conflict, Refused
from agent_memory.contracts.events import NodeRevised
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream
from agent_memory.contracts.toc import Bullet, Grip, Revision, Span
from agent_memory.ingest.revisions import check_grip, record_revision
from agent_memory.ingest.views_and_tasks import Newest

SCOPE = Scope(tenant="acme", namespace="n", user_id="u")
TEXT = "Grüße 👩‍👩‍👧 aus Köln"
SAID = {(SCOPE.path, "e1"): (session_stream(SCOPE, "s"), TEXT), (SCOPE.path, "e2"): (session_stream(SCOPE, "other"), TEXT)}


def grip(start: int = 0, end: int = 5, *, event_id: str = "e1", excerpt: str | None = None) -> Grip:
    span = Span(event_id=event_id, start=start, end=end)
    return Grip(
        grip_id="grip:1",
        session_id="s",
        node_id="toc:segment:1",
        excerpt=TEXT[start:end] if excerpt is None else excerpt,
        spans=(span,),
        timestamp_ms=1,
    )


def revision(*grips: Grip, bullets: tuple[Bullet, ...] = ()) -> Revision:
    return Revision(
        node_id="toc:segment:1", level="segment", title="t", bullets=bullets, grips=grips, start_ms=1, end_ms=2, fingerprint="f"
    )


@given(st.integers(-3, len(TEXT) + 3), st.integers(-3, len(TEXT) + 3))
def test_a_grip_counts_only_where_its_characters_are_those_of_the_event(start: int, end: int) -> None:
    if 0 <= start < end <= len(TEXT):
        check_grip(grip(start, end), SAID, SCOPE)
    else:
        with pytest.raises(Refused):
            check_grip(grip(start, end, excerpt=TEXT[max(start, 0) : max(end, 0)] or "x"), SAID, SCOPE)


@pytest.mark.parametrize(
    "wrong",
    [grip(excerpt="Gruesse"), grip(event_id="e2"), grip(event_id="e3"), grip(excerpt="")],
    ids=["other words", "another session's", "never said", "nothing"],
)
def test_what_was_not_said_there_is_refused(wrong: Grip) -> None:
    with pytest.raises(Refused):
        check_grip(wrong, SAID, SCOPE)


def test_what_was_said_in_another_scope_is_refused() -> None:
    with pytest.raises(Refused):
        check_grip(grip(), SAID, Scope(tenant="acme", namespace="n"))


def test_a_bullet_of_a_segment_rests_on_a_grip_that_comes_with_it() -> None:
    for ids in ((), ("grip:elsewhere",)):
        command = RecordRevision(revision=revision(grip(), bullets=(Bullet(text="Grüße", grip_ids=ids),)), expected_version=0)
        with pytest.raises(Refused, match="rests on no grip"):
            record_revision(command, Newest(), SAID, SCOPE)


def test_a_revision_that_was_overtaken_is_a_conflict() -> None:
    command = RecordRevision(revision=revision(grip(), bullets=(Bullet(text="Grüße", grip_ids=("grip:1",)),)), expected_version=1)
    assert record_revision(command, Newest(version=1), SAID, SCOPE) == [NodeRevised(revision=command.revision)]
    for version in (0, 2):
        with pytest.raises(Conflict):
            record_revision(command, Newest(version=version), SAID, SCOPE)
