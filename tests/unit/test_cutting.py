"""Where sessions are cut: the same for the same events, however they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, EventType, TimelineEvent
from agent_memory.readmodels.cutting import GAP_MS, Member, Segment, cut, insert, member, tokens, ulid

MINUTE = 60_000


def of(*members: Member) -> list[list[str]]:
    """Ids of the events of each segment."""
    return [[one.event_id for one in segment.members] for segment in cut("s", members)]


def at(minute: float, name: str = "", *, size: int = 10, ends: bool = False, version: int = 1) -> Member:
    return Member(round(minute * MINUTE), name or f"{minute}", version, size, ends)


def test_a_pause_of_more_than_thirty_minutes_begins_a_segment() -> None:
    assert of(at(0, "a"), at(30, "b"), Member(30 * MINUTE + GAP_MS + 1, "c", 3, 10)) == [["a", "b"], ["c"]]


def test_about_four_thousand_tokens_are_a_segment() -> None:
    assert of(at(0, "a", size=2_000), at(1, "b", size=2_000), at(2, "c", size=1)) == [["a", "b"], ["c"]]
    assert of(at(0, "a", size=9_000), at(1, "b")) == [["a"], ["b"]]


def test_the_end_of_a_session_closes_its_segment_however_late_it_comes() -> None:
    segments = cut("s", [at(0, "a"), at(300, "end", ends=True), at(301, "again")])
    assert [[one.event_id for one in segment.members] for segment in segments] == [["a", "end"], ["again"]]
    assert [segment.closed_by for segment in segments] == ["session_end", ""]
    assert segments[0].last_ms == 0


def test_what_has_the_very_time_of_the_end_came_before_it() -> None:
    assert of(at(0, "a"), at(1, "end", ends=True), at(1, "z"), at(2, "next")) == [["a", "end", "z"], ["next"]]


def test_a_late_event_reopens_the_segment_it_belongs_to_which_keeps_its_name() -> None:
    before = cut("s", [at(0, "a", version=1), at(10, "b", version=2), at(120, "c", version=3)])
    after = insert("s", before, [at(5, "late", version=4)])
    assert [one.event_id for one in after[0].members] == ["a", "late", "b"]
    assert [segment.node_id for segment in after] == [segment.node_id for segment in before]
    earlier = insert("s", after, [at(-5, "earlier", version=5)])
    assert [segment.node_id for segment in earlier] == [segment.node_id for segment in before]


def test_a_late_event_joins_what_was_apart() -> None:
    before = cut("s", [at(0, "a", version=1), at(50, "b", version=2)])
    (joined,) = insert("s", before, [at(25, "between", version=3)])
    assert [one.event_id for one in joined.members] == ["a", "between", "b"]
    assert joined.node_id == before[0].node_id


@pytest.mark.parametrize(("kind", "expected"), [("tool_result", 251), ("user_message", 751)])
def test_of_a_tool_result_no_more_is_counted_than_its_first_thousand_characters(kind: EventType, expected: int) -> None:
    assert tokens(TimelineEvent(event_id="e", session_id="s", timestamp_ms=0, event_type=kind, text="x" * 3_000)) == expected


def test_long_results_in_any_script_are_cut_between_characters() -> None:
    event = TimelineEvent(event_id="e", session_id="s", timestamp_ms=0, event_type="tool_result", text="👩‍👩‍👧" * 900)
    assert member(1, event).tokens > 0


@given(st.integers(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS), st.text())
def test_names_are_ulids_of_their_time_as_far_as_that_can_be(timestamp_ms: int, name: str) -> None:
    made = ulid(timestamp_ms, name)
    assert len(made) == 26
    assert set(made) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert made == ulid(timestamp_ms, name)


conversations = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from([1, 10, 1_500, 3_999, 5_000]), st.integers(0, 12).map(lambda one: one == 0)),
    min_size=1,
    max_size=30,
).map(lambda told: [Member(slot * 5 * MINUTE, f"e{n}", n + 1, size, ends) for n, (slot, size, ends) in enumerate(told)])


@given(conversations, st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_order_of_arrival_gives_the_same_segments(members: list[Member], order: object, most: int) -> None:
    expected = cut("s", sorted(members, key=lambda one: one.place))
    order.shuffle(members)  # type: ignore[attr-defined]
    found: list[Segment] = []
    for start in range(0, len(members), most):
        found = insert("s", found, members[start : start + most])
    assert found == expected
    assert len({segment.node_id for segment in found}) == len(found)
