"""Where a session is cut into segments."""

from agent_memory.contracts.records import EventType, TimelineEvent
from agent_memory.readmodels.segments import Segment, Segmentation
from agent_memory.summarizer.domain import GAP_MS, evolve_all, follows, tokens

MINUTE = 60_000


def said(name: str, at_ms: int, text: str = "hello", kind: EventType = "user_message") -> TimelineEvent:
    return TimelineEvent(event_id=name, session_id="s", timestamp_ms=at_ms, event_type=kind, text=text)


def segmented(*events: TimelineEvent | None) -> tuple[list[Segment], Segment | None]:
    state, closed = evolve_all(Segmentation(), list(enumerate(events, 1)))
    assert state.version == len(events)
    assert state.closed == len(closed)
    return closed, state.open


def test_events_that_follow_each_other_are_one_open_segment() -> None:
    closed, still_open = segmented(said("a", 0), said("b", GAP_MS))
    assert closed == []
    assert still_open == Segment(number=0, first_ms=0, last_ms=GAP_MS, first_event="a", last_event="b", events=2, tokens=4)


def test_a_pause_of_more_than_thirty_minutes_closes_a_segment() -> None:
    (first,), still_open = segmented(said("a", 0), said("b", GAP_MS + 1))
    assert (first.closed_by, first.last_event, first.number) == ("gap", "a", 0)
    assert still_open is not None
    assert (still_open.first_event, still_open.number) == ("b", 1)


def test_a_jump_back_in_time_closes_a_segment_too() -> None:
    (first,), _ = segmented(said("a", GAP_MS * 2), said("b", 0))
    assert first.closed_by == "gap"


def test_an_event_that_is_a_little_late_widens_the_segment() -> None:
    _, still_open = segmented(said("a", 5 * MINUTE), said("b", MINUTE), said("c", 3 * MINUTE))
    assert still_open is not None
    assert (still_open.first_ms, still_open.last_ms, still_open.last_event) == (MINUTE, 5 * MINUTE, "c")


def test_a_segment_holds_at_most_about_four_thousand_tokens() -> None:
    (first,), still_open = segmented(said("a", 0, "x" * 9000), said("b", 1, "x" * 9000))
    assert (first.closed_by, first.events) == ("tokens", 1)
    assert still_open is not None
    assert still_open.tokens == 2251


def test_one_event_beyond_the_limit_is_a_segment_of_its_own() -> None:
    closed, still_open = segmented(said("a", 0, "x" * 90_000), said("b", 1))
    assert [segment.last_event for segment in closed] == ["a"]
    assert still_open is not None
    assert still_open.first_event == "b"


def test_the_end_of_a_session_closes_and_belongs_to_its_last_segment() -> None:
    (only,), still_open = segmented(said("a", 0), said("end", 1, "", "session_end"))
    assert (only.closed_by, only.last_event, only.events) == ("session_end", "end", 2)
    assert still_open is None


def test_an_end_on_its_own_or_long_after_is_no_segment() -> None:
    closed, still_open = segmented(said("end", 0, "", "session_end"), said("a", 1), said("end2", GAP_MS * 2, "", "session_end"))
    assert [(segment.first_event, segment.last_event, segment.closed_by) for segment in closed] == [("a", "a", "gap")]
    assert still_open is None


def test_long_output_of_a_tool_counts_only_in_part() -> None:
    assert tokens(said("a", 0, "x" * 50_000, "tool_result")) == 251
    assert tokens(said("a", 0, "", "session_start")) == 1


def test_versions_that_say_nothing_move_the_state_on() -> None:
    closed, still_open = segmented(said("a", 0), None, said("b", 1))
    assert closed == []
    assert still_open is not None
    assert still_open.events == 2


def test_versions_seen_already_are_passed_over() -> None:
    state, _ = evolve_all(Segmentation(), [(1, said("a", 0)), (2, said("b", 1))])
    assert evolve_all(state, [(1, said("a", 0)), (2, said("b", 1))]) == (state, [])


def test_a_gap_in_the_versions_is_seen() -> None:
    at_two = Segmentation(version=2)
    assert follows(at_two, [1, 2])
    assert follows(at_two, [2, 3, 3, 4])
    assert follows(at_two, [])
    assert not follows(at_two, [4])
    assert not follows(at_two, [3, 5])
