"""How lax the checks of single values are, and that nothing makes them fail in another way."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import Parameters, decode, path_part
from agent_memory.gateway.edges.http.problems import MOST_PROBLEMS, InvalidRequest, Loc, Problems, as_json

LOC = ("body", "x")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=4),
    max_leaves=20,
)
checks = st.sampled_from(
    [
        fields.text,
        fields.name,
        fields.identifier,
        fields.said,
        fields.integer,
        fields.between(-5, 5),
        fields.number,
        fields.number_between(0.0, 1.0),
        fields.boolean,
        fields.moment,
        fields.one_of("a", "b"),
        fields.nullable(fields.integer),
        fields.listing(fields.text, least=1, most=3),
        fields.mapping(fields.text),
        fields.json_object,
        fields.anything,
        fields.no_commas("topics"),
    ]
)


def found(check: fields.Check, value: object) -> tuple[Any, list[dict[str, Any]]]:
    problems = Problems()
    return check(value, LOC, problems), problems.found


@given(checks, anything)
def test_any_value_is_taken_or_named_in_an_answer_that_can_be_sent(check: fields.Check, value: object) -> None:
    _, problems = found(check, value)
    as_json(problems)
    for problem in problems:
        assert problem["loc"][:2] == ["body", "x"]
        assert problem["type"]
        assert problem["msg"]


@pytest.mark.parametrize(
    ("check", "given", "expected"),
    [
        (fields.integer, "16000", 16_000),
        (fields.integer, " 7.0 ", 7),
        (fields.integer, 3.0, 3),
        (fields.integer, True, 1),
        (fields.number, "0.5", 0.5),
        (fields.boolean, "TRUE", True),
        (fields.boolean, "off", False),
        (fields.boolean, 1, True),
        (fields.moment, 1_672_527_600, datetime(2022, 12, 31, 23, tzinfo=UTC)),
        (fields.moment, "1672527600", datetime(2022, 12, 31, 23, tzinfo=UTC)),
        (fields.moment, 1_672_527_600_123, datetime(2022, 12, 31, 23, 0, 0, 123_000, tzinfo=UTC)),
        (fields.moment, "2025-06-25T00:00:00", datetime(2025, 6, 25, tzinfo=UTC)),
        (fields.moment, "2025-06-25", datetime(2025, 6, 25, tzinfo=UTC)),
        (fields.moment, "2025-06-25T02:00:00.000001+02:00", datetime(2025, 6, 25, 0, 0, 0, 1, tzinfo=UTC)),
        (fields.moment, "2025-06-25T02:00:00.000001 02:00", datetime(2025, 6, 25, 0, 0, 0, 1, tzinfo=UTC)),
        (fields.moment, "2025-06-25T02:00 0200", datetime(2025, 6, 25, tzinfo=UTC)),
        (fields.moment, "2025-06-25 02:00", datetime(2025, 6, 25, 2, tzinfo=UTC)),
    ],
)
def test_values_are_taken_as_clients_send_them(check: fields.Check, given: object, expected: object) -> None:
    assert found(check, given) == (expected, [])


@pytest.mark.parametrize(
    ("check", "given", "kind"),
    [
        (fields.integer, 1.5, "int_from_float"),
        (fields.integer, 2**63, "int_parsing_size"),
        (fields.integer, "x", "int_parsing"),
        (fields.integer, None, "int_type"),
        (fields.integer, float("inf"), "finite_number"),
        (fields.number, 10**400, "finite_number"),
        (fields.text, 5, "string_type"),
        (fields.text, "a\x00b", "value_error"),
        (fields.text, "\ud800", "string_unicode"),
        (fields.text, "é" * 500_001, "string_too_long"),
        (fields.identifier, "", "string_too_short"),
        (fields.identifier, "é" * 128, "string_too_long"),
        (fields.moment, "0001-01-01T00:00:00+14:00", "datetime_parsing"),
        (fields.moment, 1e300, "datetime_parsing"),
        (fields.moment, float("nan"), "datetime_parsing"),
        (fields.moment, True, "datetime_type"),
        (fields.between(1, 5), "abc", "int_parsing"),
        (fields.between(1, 5), 0, "greater_than_equal"),
        (fields.number_between(0.5, 1.0), "abc", "float_parsing"),
        (fields.anything, {"a": [{"\x00": 1}]}, "value_error"),
        (fields.anything, {"a": float("inf")}, "finite_number"),
    ],
)
def test_what_cannot_be_stored_is_named(check: fields.Check, given: object, kind: str) -> None:
    assert [problem["type"] for problem in found(check, given)[1]] == [kind]


@pytest.mark.parametrize(
    "given", [1e300, 10**30, "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00+99:00", "9999-12-31T23:00-05:00"]
)
def test_a_time_that_is_none_is_told_without_words_of_python(given: object) -> None:
    (problem,) = found(fields.moment, given)[1]
    assert not {"Python", "timedelta", "C"}.intersection(re.findall(r"\w+", problem["msg"]))


def test_a_body_that_is_no_object_is_one_problem_however_many_parts_it_is_read_in() -> None:
    problems = Problems()
    for spec in ({"a": (fields.text, None)}, {"b": (fields.integer, 1)}):
        fields.fields([], ("body",), problems, spec)
    assert [problem["type"] for problem in problems.found] == ["model_attributes_type"]


def test_a_value_nested_too_deep_is_refused_without_recursion() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert [problem["type"] for problem in found(fields.anything, deep)[1]] == ["value_error"]


@given(st.binary())
def test_a_body_is_a_value_or_an_invalid_request(body: bytes) -> None:
    with suppress(InvalidRequest):
        decode(body)


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b"9" * 10_000, b"NaN", b"-Infinity", b"\xff", b'"\x01"'])
def test_hostile_bodies_are_answered_in_the_shape_of_malformed_json(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(body)
    assert caught.value.problems[0]["type"] == "json_invalid"


@given(st.binary(max_size=300))
def test_a_query_string_and_a_path_never_fail_in_another_way(raw: bytes) -> None:
    problems = Problems()
    parameters = Parameters(raw, problems)
    for name in ("limit", "namespace"):
        parameters.get(name, fields.identifier)
    path_part(raw, ("path", "id"), problems)
    as_json(problems.found)


def test_a_long_list_of_wrong_items_is_not_looked_through_to_its_end() -> None:
    looked_at: list[object] = []

    def wrong(value: object, loc: Loc, problems: Problems) -> object:
        looked_at.append(value)
        problems.value(loc, "wrong", value)
        return value

    problems = Problems()
    fields.listing(wrong)([*range(1_000)], ("body",), problems)
    assert (len(looked_at), len(problems.found)) == (MOST_PROBLEMS, MOST_PROBLEMS)
