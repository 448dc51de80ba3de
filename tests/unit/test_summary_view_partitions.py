"""What a summary view's model is asked, and which memories are about what: decided without any server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.queries import DateFilter, TagFilter
from agent_memory.contracts.records import MemoryRecord, SummaryView
from agent_memory.readmodels.filters import matches
from agent_memory.readmodels.view_filters import members, view_filters
from agent_memory.summarizer.partitions import (
    CONCATENATED,
    LEAST_TOKENS,
    budget,
    chunks,
    fingerprint,
    grouped,
    member,
    messages,
    named,
    without_model,
)

NOW = datetime(2026, 1, 30, tzinfo=UTC)
VIEW = SummaryView(id="v", group_by=["user_id", "namespace"])


def record(id_: str, text: str = "", *, days: int = 0, **fields: object) -> MemoryRecord:
    at = NOW - timedelta(days=days)
    return MemoryRecord(id=id_, text=text or id_, created_at=at, updated_at=at, last_accessed=at, **fields)  # type: ignore[arg-type]


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_memories_are_grouped_by_what_they_have_and_ordered_by_age_and_id() -> None:
    records = [record("b", user_id="u"), record("a", user_id="u"), record("old", days=3, user_id="u"), record("c")]
    groups = grouped(VIEW, records)
    assert {group: [one.id for one in found] for group, found in groups.items()} == {("u", ""): ["old", "a", "b"], ("", ""): ["c"]}
    assert named(VIEW, ("u", "")) == {"user_id": "u", "namespace": ""}
    assert list(grouped(SummaryView(id="v"), records)) == [()]


def test_without_a_model_the_newest_fifty_memories_are_told() -> None:
    found = [member(record(f"{number:03}")) for number in range(CONCATENATED + 10)]
    head, *lines = without_model(found).split("\n")
    assert head == "LLM summarization disabled (no API keys configured). Concatenated up to 50 memories:"
    assert lines == [f"- {number:03}" for number in range(10, CONCATENATED + 10)]


def test_the_fingerprint_changes_with_whatever_the_summary_is_made_from() -> None:
    one = [member(record("a")), member(record("b"))]
    marks = [
        fingerprint(VIEW, "m", one),
        fingerprint(VIEW, "other", one),
        fingerprint(SummaryView(id="v", prompt="Brief"), "m", one),
        fingerprint(VIEW, "m", one[:1]),
        fingerprint(VIEW, "m", [one[0], member(record("b", "says something else"))]),
        fingerprint(VIEW, "m", [one[0], member(record("b", event_date=NOW - timedelta(days=90)))]),
        fingerprint(VIEW, "m", []),
    ]
    assert len(set(marks)) == len(marks)
    assert fingerprint(VIEW, "m", list(one)) == marks[0]


def test_a_prompt_has_the_view_s_words_the_summary_so_far_and_the_lines() -> None:
    system, user = messages(SummaryView(id="v", prompt="In Dutch"), ["- 2026-01-30: likes tea"], "likes cake")
    assert system["content"].startswith("In Dutch\n\n")
    assert user["content"] == "Summary so far:\nlikes cake\n\n----------\n- 2026-01-30: likes tea\n----------"
    assert messages(VIEW, ["- x"], "")[1]["content"] == "----------\n- x\n----------"
    assert messages(SummaryView(id="v", prompt=" "), [], "")[0] == messages(VIEW, [], "")[0]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), max_size=30), st.integers(8, 60))
def test_nothing_is_left_out_of_the_prompts_and_none_is_too_long(lines: list[str], most: int) -> None:
    def count(texts: list[str]) -> list[int]:
        return [len(text.encode()) for text in texts]  # as many tokens as any tokenizer can make of them

    found = chunks(lines, most, count)  # type: ignore[arg-type]
    assert "".join(part for chunk in found for part in chunk) == "".join(lines)
    assert all(found)
    assert all(sum(count(chunk)) <= most for chunk in found)


def test_prompts_are_filled_before_the_next_one_begins() -> None:
    assert chunks(["a b", "c d", "e", "f g h"], 6, words) == [["a b", "c d"], ["e", "f g h"]]  # type: ignore[arg-type]


def test_memories_that_come_later_leave_the_prompts_before_them_as_they_were() -> None:
    lines = [f"line number {number} of some" for number in range(40)]
    before, after = chunks(lines, 50, words), chunks([*lines, "one more"], 50, words)  # type: ignore[arg-type]
    assert after[: len(before) - 1] == before[:-1]


@pytest.mark.parametrize(
    ("window", "asked", "least", "most"),
    [
        (None, 200, 10_000, 13_000),
        (4_096, 200, 2_000, 3_000),
        (400_000, 200, 20_000, 26_000),
        (8_192, 9_000, LEAST_TOKENS, LEAST_TOKENS),
    ],
)
def test_a_prompt_leaves_room_for_the_summary_and_the_answer(window: int | None, asked: int, least: int, most: int) -> None:
    assert least <= budget(window, asked) <= most


@pytest.mark.parametrize(
    ("given_", "field", "expected"),
    [
        ({"user_id": "u"}, "user_id", TagFilter(eq="u")),
        ({"user_id": ""}, "user_id", TagFilter(none=True)),
        ({"namespace": ["a", "b"]}, "namespace", TagFilter(any=["a", "b"])),
        ({"topics": {"all": ["x"], "not_eq": "y"}}, "topics", TagFilter(all=["x"], ne="y")),
        ({"extraction_strategy": {"in_": ["discrete"]}}, "extraction_strategy", TagFilter(any=["discrete"])),
        ({"event_date": "2026-01-30"}, "event_date", DateFilter(eq=NOW)),
        (
            {"event_date": {"between": ["2026-01-30", 1_769_817_600], "inclusive": "left"}},
            "event_date",
            DateFilter(between=(NOW, NOW + timedelta(days=1)), inclusive="left"),
        ),
        ({"event_date": {"gte": "2026-01-30T00:00:00Z", "lt": None}}, "event_date", DateFilter(gte=NOW)),
    ],
)
def test_filters_are_understood(given_: dict[str, object], field: str, expected: object) -> None:
    assert getattr(view_filters(given_), field) == expected


@pytest.mark.parametrize(
    "given_",
    [
        {"text": "x"},
        {"user_id": None},
        {"user_id": {"eq": "u"}},
        {"topics": {}},
        {"topics": {"eq": 7}},
        {"topics": {"near": "x"}},
        {"topics": {"any": ["x"], "in_": ["y"]}},
        {"memory_type": ["semantic", "dream"]},
        {"event_date": ["2026-01-30"]},
        {"event_date": {"gte": True}},
        {"event_date": {"between": []}},
        {"event_date": {"inclusive": "sometimes"}},
        {"event_date": 1e300},
    ],
)
def test_filters_that_make_no_sense_are_refused(given_: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"filter|memory_type"):
        view_filters(given_)


USERS = st.sampled_from([None, "a", "b"])
RECORDS = st.builds(
    record,
    st.just("r"),
    days=st.integers(0, 40),
    user_id=USERS,
    namespace=USERS,
    memory_type=st.sampled_from(["semantic", "message"]),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.sampled_from(["a", "", ["a", "b"], ["b", "c"]]),
        "memory_type": st.sampled_from(["semantic", ["semantic", "message"]]),
        "namespace": st.sampled_from(["a", ""]),
    },
)


@given(st.lists(RECORDS, max_size=8), FILTERS, st.none() | st.integers(1, 30))
def test_the_groups_of_a_view_are_what_asking_for_each_group_finds(
    records: list[MemoryRecord], filters: dict[str, object], days: int | None
) -> None:
    view = SummaryView(id="v", group_by=["user_id", "namespace"], filters=filters, time_window_days=days)
    everything = [one for one in records if matches(members(view, None, NOW), one)]
    found = grouped(view, everything)
    for user in ("", "a", "b"):
        for namespace in ("", "a", "b"):
            asked = members(view, {"user_id": user, "namespace": namespace}, NOW)
            alone = [one for one in records if matches(asked, one)]
            assert len(alone) == len(found.get((user, namespace), []))


def test_a_window_that_reaches_before_all_time_is_none() -> None:
    assert members(SummaryView(id="v", time_window_days=10**12), None, NOW).created_at is None
    assert members(SummaryView(id="v", time_window_days=7), None, NOW).created_at == DateFilter(gte=NOW - timedelta(days=7))
