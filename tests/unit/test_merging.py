"""Which memories become one: cohesive groups, the oldest surviving, nothing of what they knew lost."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.compactor import domain
from agent_memory.contracts.records import MemoryRecord
from agent_memory.eventlog.rows import KnownMemory

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)


def known(id_: str, text: str = "", *, days: int = 0, stored_by: str = "", parted_by: str = "", **fields: object) -> KnownMemory:
    at = NOON + timedelta(days=days)
    record = MemoryRecord(id=id_, text=text or id_, created_at=at, updated_at=at, last_accessed=at, **fields)  # type: ignore[arg-type]
    stored, parted = frozenset(stored_by.split()), frozenset(parted_by.split())
    return KnownMemory(record=record, version=len(id_), position=1, stored_by=stored or frozenset({id_}), parted_by=parted)


def ids(members: list[KnownMemory]) -> list[str]:
    return [one.record.id for one in members]


def close(limit: int) -> domain.Agree:
    return lambda one, other: abs(int(one.record.id) - int(other.record.id)) <= limit


def test_a_group_is_cohesive_so_no_chain_leads_from_one_fact_to_the_next() -> None:
    line = [known(str(number)) for number in range(6)]
    assert ids(domain.group(line[2], [line[1], line[3], line[0], line[4]], close(1))) == ["2", "1"]
    assert ids(domain.group(line[2], [line[1], line[3], line[0], line[4]], close(2))) == ["2", "1", "3"]


@given(st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=25), st.integers(0, 10))
def test_all_members_of_a_group_agree_with_each_other_and_they_are_not_too_many(numbers: list[int], limit: int) -> None:
    memories = [known(str(number)) for number in numbers]
    members = domain.group(memories[0], memories, close(limit))
    assert members[0] is memories[0]
    assert len(set(ids(members))) == len(members) <= domain.MOST_TOGETHER
    assert all(close(limit)(one, other) for one in members for other in members)


def test_what_stands_between_two_memories_keeps_them_apart_however_near_they_are() -> None:
    a = known("a", "x", stored_by="c1", parted_by="p")

    def joined(other: KnownMemory) -> bool:
        return len(domain.group(a, [other], lambda *_: True)) > 1

    assert joined(known("b", "y"))
    assert not joined(known("b", "y", stored_by="c0 c1"))
    assert joined(known("b", "X ", stored_by="c1"))
    assert not joined(known("b", "x", parted_by="p q"))
    for fields in ({"user_id": "u"}, {"namespace": "n"}, {"memory_type": "semantic"}, {"event_date": NOON}, {"pinned": True}):
        assert not joined(known("b", "x", **fields))
    assert joined(known("b", "x", user_id="", session_id="elsewhere", topics=["t"]))


def test_the_oldest_survives_with_what_all_of_them_knew() -> None:
    members = [
        known("bb", "short", days=1, topics=["x", "y"], metadata={"k": 1, "l": 1}, extracted_from=["e1"], access_count=5),
        known("c", "the longest text", days=3, topics=["z"], entities=["E"], metadata={"k": 2, "m": 3}),
        known("aa", "longer text", days=1, topics=["y"], metadata={"k": 0}),
    ]
    merge = domain.merge(members)
    assert (merge.record.id, merge.record.text, merge.source_ids) == ("aa", "the longest text", ["bb", "c"])
    assert merge.versions == {"bb": 2, "c": 1, "aa": 2}
    assert (merge.record.created_at, merge.record.last_accessed) == (NOON + timedelta(days=1), NOON + timedelta(days=3))
    assert (merge.record.topics, merge.record.entities, merge.record.extracted_from) == (["y", "x", "z"], ["E"], ["e1"])
    assert merge.record.metadata == {"k": 0, "l": 1, "m": 3}
    assert domain.merge(members, "said by a model").record.text == "said by a model"


def test_a_command_is_known_by_what_it_does_to_which_versions() -> None:
    one, two = domain.merge([known("a"), known("b")]), domain.merge([known("b"), known("a")])
    newer = domain.merge([known("a"), known("bbb")])
    names = [domain.envelope("t", merge, cause, now).id for merge, cause, now in ((one, "c", 1), (two, "d", 2))]
    assert names[0] == names[1]
    assert domain.envelope("u", one, "c", 1).id not in names
    assert domain.envelope("t", newer, "c", 1).id not in names


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"same": [1, 2], "text": "ab"}', ["a", "b"]),
        ('{"same": [3, 1, 3], "text": "ac"}', ["c", "a"]),
        ('{"same": [2, 3], "text": "bc"}', []),
        ('{"same": [1], "text": "a"}', []),
        ('{"same": [], "text": ""}', []),
        ('{"same": [1, 2], "text": "  "}', []),
        ('{"same": [1, 4], "text": "beyond"}', []),
        ('{"same": [0, 1], "text": "beyond"}', []),
    ],
)
def test_of_a_verdict_that_names_what_it_was_not_asked_nothing_is_believed(answer: str, expected: list[str]) -> None:
    assert ids(domain.chosen([known("a"), known("b"), known("c")], domain.verdict_of(answer))) == expected


@pytest.mark.parametrize("answer", ["", "no", "[]", '{"same": ["1"], "text": "x"}', '{"same": [1]}'])
def test_an_answer_that_is_no_verdict_is_a_value_error(answer: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whatever the decoder says)
        domain.verdict_of(answer)


def test_statements_are_numbered_on_a_line_each_whatever_they_hold() -> None:
    asked = domain.question([known("a", "one\n2. two"), known("b", "three")])
    assert asked[1]["content"] == "1. one 2. two\n2. three"
