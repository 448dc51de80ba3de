"""Request bodies: JSON as clients send it, NDJSON, and the strings of a URL."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.problems import Loc, Problems, refuse

MOST_PARAMETERS = 2_000
_fast = msgspec.json.Decoder().decode


def decode(body: bytes, loc: Loc = ("body",)) -> Any:
    """The JSON value of a body. Raises InvalidRequest for an empty or malformed one."""
    if not body.strip():
        raise refuse("missing", loc, "Field required", None)
    try:
        return _fast(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # the slower decoder accepts more, and says what is wrong where
    try:
        return json.loads(body.decode(), parse_constant=_not_json)
    except json.JSONDecodeError as error:
        raise refuse("json_invalid", (*loc, error.pos), "JSON decode error", {}, error=error.msg) from None
    except UnicodeDecodeError as error:
        raise refuse("json_invalid", (*loc, error.start), "JSON decode error", {}, error="the body is not UTF-8") from None
    except RecursionError:
        raise refuse("json_invalid", (*loc, 0), "JSON decode error", {}, error="nested too deep") from None
    except ValueError as error:  # an integer of thousands of digits
        raise refuse("json_invalid", (*loc, 0), "JSON decode error", {}, error=str(error)) from None


def _not_json(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def decode_lines(body: bytes, *, most: int) -> list[Any]:
    """The JSON values of an NDJSON body, a line each; blank lines are passed over."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > most:
        message = f"List should have at most {most} items, not {len(lines)}"
        raise refuse("too_long", ("body", "events"), message, None, max_length=most, actual_length=len(lines))
    return [decode(line, ("body", "events", index)) for index, line in enumerate(lines)]


def _parse(query: bytes) -> Mapping[str, list[str]]:
    given: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            query.decode("utf-8", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise refuse("too_long", ("query",), f"at most {MOST_PARAMETERS} parameters", None) from None
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return given


_REMEMBERED_BYTES = 200
_parsed = lru_cache(2_048)(_parse)
"""Clients repeat their query strings: a look-up instead of 15 µs."""


class Parameters:
    """The query string of one request. Unknown parameters are ignored; of a repeated one the last counts."""

    def __init__(self, query: bytes, problems: Problems) -> None:
        self.problems = problems
        self._given = _parsed(query) if len(query) <= _REMEMBERED_BYTES else _parse(query)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def get(self, name: str, check: fields.Check, default: Any = None) -> Any:
        """One parameter, checked."""
        values = self._given.get(name)
        return default if values is None else check(values[-1], ("query", name), self.problems)

    def all(self, name: str, check: fields.Check) -> list[Any]:
        """Every value of a repeatable parameter, checked."""
        return [check(value, ("query", name, index), self.problems) for index, value in enumerate(self._given.get(name, ()))]


def path_part(raw: bytes, loc: Loc, problems: Problems) -> str:
    """An id out of the undecoded path: it may hold anything, slashes included, that an id may."""
    try:
        decoded = (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        problems.add("string_unicode", loc, "Input should be UTF-8, percent-encoded", raw.decode("latin-1"))
        return ""
    return fields.identifier(decoded, loc, problems)
