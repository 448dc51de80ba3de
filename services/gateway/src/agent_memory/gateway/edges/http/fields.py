"""Checks of single values, as lax as clients expect: "16000" is an integer, "true" a boolean, 1700000000 a time."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_memory.contracts.records import MAX_ID_BYTES
from agent_memory.gateway.edges.http.problems import Loc, Problems

Check = Callable[[object, Loc, Problems], Any]
"""Gives the value in its proper type, or reports what is wrong and gives something harmless of that type."""

MAX_TEXT_BYTES = 1_000_000
MAX_DEPTH = 100
INT64 = 2**63 - 1

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLUS_LOST = re.compile(r"(:\d\d(?:[.,]\d+)?) (\d\d:?\d\d)$", re.ASCII)
"""The zone of a time that was put into a URL as it is, where a plus means a space."""
_WHOLE = re.compile(r"\s*([+-]?\d{1,4000})(?:\.0+)?\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_TRUE, _FALSE = frozenset({"1", "true", "t", "yes", "y", "on"}), frozenset({"0", "false", "f", "no", "n", "off"})
_MS_WATERSHED = 2e10


def clean(value: str, loc: Loc, problems: Problems) -> str:
    """A string that can be stored: no NUL, no half of a surrogate pair."""
    if "\x00" in value:
        problems.value(loc, "NUL characters cannot be stored", value)
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        problems.add("string_unicode", loc, "Input should be a valid string, unable to parse raw data as a unicode string", value)
        return ""
    return value


def text(value: object, loc: Loc, problems: Problems) -> str:
    """A string of at most a megabyte."""
    if not isinstance(value, str):
        problems.add("string_type", loc, "Input should be a valid string", value)
        return ""
    value = clean(value, loc, problems)
    if len(value) * 4 > MAX_TEXT_BYTES and len(value.encode()) > MAX_TEXT_BYTES:
        problems.add("string_too_long", loc, f"String should have at most {MAX_TEXT_BYTES} bytes", value, max_length=MAX_TEXT_BYTES)
    return value


def said(value: object, loc: Loc, problems: Problems) -> str:
    """A text that says something."""
    before = len(problems.found)
    value = text(value, loc, problems)
    if not value.strip() and len(problems.found) == before:
        problems.add("string_too_short", loc, "String should have at least 1 character", value, min_length=1)
    return value


def name(value: object, loc: Loc, problems: Problems) -> str:
    """A string short enough for an index; may be empty, which means not given."""
    if isinstance(value, str) and value.isascii() and len(value) <= MAX_ID_BYTES and "\x00" not in value:
        return value
    value = text(value, loc, problems)
    if len(value.encode()) > MAX_ID_BYTES:
        problems.add("string_too_long", loc, f"String should have at most {MAX_ID_BYTES} bytes", value, max_length=MAX_ID_BYTES)
        return ""
    return value


def identifier(value: object, loc: Loc, problems: Problems) -> str:
    """A name that is not empty."""
    if isinstance(value, str) and value and value.isascii() and len(value) <= MAX_ID_BYTES and "\x00" not in value:
        return value
    before = len(problems.found)
    value = name(value, loc, problems)
    if not value and len(problems.found) == before:
        problems.add("string_too_short", loc, "String should have at least 1 character", value, min_length=1)
    return value


def integer(value: object, loc: Loc, problems: Problems) -> int:
    """A whole number of 64 bits."""
    number: int | None = None
    if isinstance(value, bool | int):
        number = int(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            problems.add("finite_number", loc, "Input should be a finite number", value)
            return 0
        if value != int(value):
            message = "Input should be a valid integer, got a number with a fractional part"
            problems.add("int_from_float", loc, message, value)
            return 0
        number = int(value)
    elif isinstance(value, str):
        match = _WHOLE.fullmatch(value)
        if match is None:
            problems.add("int_parsing", loc, "Input should be a valid integer, unable to parse string as an integer", value)
            return 0
        number = int(match[1])
    if number is None:
        problems.add("int_type", loc, "Input should be a valid integer", value)
        return 0
    if abs(number) > INT64:
        problems.add("int_parsing_size", loc, "Input should be a valid integer of at most 64 bits", value)
        return 0
    return number


def between(low: int | None, high: int | None) -> Check:
    """A whole number within bounds, both included."""

    def check(value: object, loc: Loc, problems: Problems) -> int:
        before = len(problems.found)
        number = integer(value, loc, problems)
        return number if len(problems.found) > before else int(_bounded(number, value, loc, problems, low, high))

    return check


def number(value: object, loc: Loc, problems: Problems) -> float:
    """A finite number."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        problems.add("float_parsing", loc, "Input should be a valid number, unable to parse string as a number", value)
        return 0.0
    if not isinstance(value, str | int | float):
        problems.add("float_type", loc, "Input should be a valid number", value)
        return 0.0
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        problems.add("finite_number", loc, "Input should be a finite number", value)
        return 0.0
    return result


def number_between(low: float | None, high: float | None) -> Check:
    """A finite number within bounds, both included."""

    def check(value: object, loc: Loc, problems: Problems) -> float:
        before = len(problems.found)
        given = number(value, loc, problems)
        return given if len(problems.found) > before else _bounded(given, value, loc, problems, low, high)

    return check


def _bounded(number: float, given: object, loc: Loc, problems: Problems, low: float | None, high: float | None) -> float:
    if low is not None and number < low:
        problems.add("greater_than_equal", loc, f"Input should be greater than or equal to {low}", given, ge=low)
        return low
    if high is not None and number > high:
        problems.add("less_than_equal", loc, f"Input should be less than or equal to {high}", given, le=high)
        return high
    return number


def boolean(value: object, loc: Loc, problems: Problems) -> bool:
    """Yes or no, in any of the usual spellings."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str | int | float):
        problems.add("bool_parsing", loc, "Input should be a valid boolean, unable to interpret input", value)
    else:
        problems.add("bool_type", loc, "Input should be a valid boolean", value)
    return False


def moment(value: object, loc: Loc, problems: Problems) -> datetime:
    """A time in UTC: ISO 8601 (without a zone: UTC), or seconds since 1970 (milliseconds when beyond the year 2603)."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _from_unix(value)
        if isinstance(value, str):
            return _from_unix(float(value)) if _NUMBER.fullmatch(value) else _from_iso(value)
    except (ValueError, OverflowError) as error:
        reason = _why_no_moment(error)
        problems.add(
            "datetime_parsing", loc, f"Input should be a valid datetime within the years 1 to 9999, {reason}", value, error=reason
        )
        return EPOCH
    problems.add("datetime_type", loc, "Input should be a valid datetime", value)
    return EPOCH


def _why_no_moment(error: ValueError | OverflowError) -> str:
    """In words for people who do not write Python."""
    if isinstance(error, OverflowError):
        return "it lies outside of them"
    return "a zone is less than 24 hours from UTC" if "timedelta" in str(error) else str(error)


def _from_unix(value: float) -> datetime:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    if abs(value) > _MS_WATERSHED:
        return EPOCH + (timedelta(milliseconds=value) if isinstance(value, int) else timedelta(microseconds=round(value * 1_000)))
    return EPOCH + timedelta(microseconds=round(value * 1_000_000))


def _from_iso(value: str) -> datetime:
    parsed = datetime.fromisoformat(_PLUS_LOST.sub(r"\1+\2", value.strip()))
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def one_of(*names: str) -> Check:
    """One of some words."""
    expected = ", ".join(repr(known) for known in names[:-1]) + f" or {names[-1]!r}" if len(names) > 1 else repr(names[0])

    def check(value: object, loc: Loc, problems: Problems) -> str:
        if isinstance(value, str) and value in names:
            return value
        problems.add("literal_error", loc, f"Input should be {expected}", value, expected=expected)
        return names[0]

    return check


def nullable(inner: Check) -> Check:
    """The inner kind, or null."""
    return lambda value, loc, problems: None if value is None else inner(value, loc, problems)


def listing(inner: Check, *, least: int = 0, most: int | None = None) -> Check:
    """A list of the inner kind."""

    def check(value: object, loc: Loc, problems: Problems) -> list[Any]:
        if not isinstance(value, list):
            problems.add("list_type", loc, "Input should be a valid list", value)
            return []
        if len(value) < least:
            problems.add("too_short", loc, f"List should have at least {least} item", value, min_length=least)
        if most is not None and len(value) > most:
            message = f"List should have at most {most} items, not {len(value)}"
            problems.add("too_long", loc, message, value, max_length=most, actual_length=len(value))
            return []
        items = []
        for index, item in enumerate(value):
            if problems.full:
                break  # nothing more would be told, and ten megabytes of wrong items would keep everybody else waiting
            items.append(inner(item, (*loc, index), problems))
        return items

    return check


def mapping(inner: Check) -> Check:
    """A JSON object whose values are of the inner kind."""

    def check(value: object, loc: Loc, problems: Problems) -> dict[str, Any]:
        if not isinstance(value, dict):
            problems.add("dict_type", loc, "Input should be a valid dictionary", value)
            return {}
        return {clean(key, (*loc, key), problems): inner(item, (*loc, key), problems) for key, item in value.items()}

    return check


def anything(value: object, loc: Loc, problems: Problems) -> object:
    """Any JSON value that can be stored: every string clean, every number finite, not nested too deep."""
    todo: list[tuple[object, Loc]] = [(value, loc)]
    while todo:
        item, at = todo.pop()
        if isinstance(item, str):
            clean(item, at, problems)
        elif isinstance(item, float) and not math.isfinite(item):
            problems.add("finite_number", at, "Input should be a finite number", item)
        elif isinstance(item, dict | list) and len(at) - len(loc) >= MAX_DEPTH:
            problems.value(loc, f"nested deeper than {MAX_DEPTH} levels", "…")
            return None
        elif isinstance(item, dict):
            for key in item:
                clean(key, (*at, key), problems)
            todo += [(inner, (*at, key)) for key, inner in item.items()]
        elif isinstance(item, list):
            todo += [(inner, (*at, index)) for index, inner in enumerate(item)]
    return value


def json_object(value: object, loc: Loc, problems: Problems) -> dict[str, object]:
    """A JSON object of any storable content."""
    if not isinstance(value, dict):
        problems.add("dict_type", loc, "Input should be a valid dictionary", value)
        return {}
    anything(value, loc, problems)
    return value


def no_commas(field: str) -> Check:
    """A list of strings without commas, which is what separates them where they are stored."""
    inner = listing(text)

    def check(value: object, loc: Loc, problems: Problems) -> list[str]:
        items: list[str] = inner(value, loc, problems)
        for index, item in enumerate(items):
            if "," in item:
                rule = "Commas are not allowed because they are used as delimiters in storage."
                problems.value(loc, f"{field}[{index}] contains a comma: {item!r}. {rule}", item)
        return items

    return check


class Required:
    """Stands for the default of a field that has none."""


REQUIRED = Required()
Spec = Mapping[str, tuple[Check, object]]
"""Field name to its check and what it is when absent."""


def fields(value: object, loc: Loc, problems: Problems, spec: Spec) -> dict[str, Any]:
    """The fields of a JSON object by a spec; unknown ones are passed over."""
    if not isinstance(value, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        problems.add("model_attributes_type", loc, message, value)
        return {field: None if default is REQUIRED else default for field, (_, default) in spec.items()}
    result: dict[str, Any] = {}
    for field, (check, default) in spec.items():
        if field in value:
            result[field] = check(value[field], (*loc, field), problems)
        elif default is REQUIRED:
            problems.add("missing", (*loc, field), "Field required", value)
            result[field] = None
        else:
            result[field] = default
    return result
