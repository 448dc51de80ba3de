"""What is wrong with a request, field by field, in the shape that clients of pydantic services know."""

import json
import math
from typing import Any

from agent_memory.contracts.errors import Invalid

Loc = tuple[str | int, ...]

MOST_PROBLEMS = 100
_TEXT, _ITEMS, _DEPTH = 1_000, 20, 4


class InvalidRequest(Invalid):
    """The request cannot succeed as it is. `problems` is the answer's `detail`."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        first = problems[0]
        super().__init__(first["msg"], field=".".join(map(str, first["loc"])))
        self.problems = problems


class Problems:
    """Collects what is wrong, so that a caller learns all of it at once."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, kind: str, loc: Loc, message: str, given: object, **context: object) -> None:
        """One problem: its type, where it is, what to do, and what was given. Found again, it is still one."""
        problem = {"type": kind, "loc": list(loc), "msg": message, "input": echo(given)}
        told = {**problem, "ctx": context} if context else problem
        if not self.full and told not in self.found:
            self.found.append(told)

    @property
    def full(self) -> bool:
        """Whether as many were found as an answer tells of."""
        return len(self.found) >= MOST_PROBLEMS

    def value(self, loc: Loc, message: str, given: object) -> None:
        """A rule of ours, rather than of a type, is broken."""
        self.add("value_error", loc, f"Value error, {message}", given, error={})

    def check(self) -> None:
        """Raises InvalidRequest when anything was found."""
        if self.found:
            raise InvalidRequest(self.found)


def refuse(kind: str, loc: Loc, message: str, given: object, **context: object) -> InvalidRequest:
    """A single problem, to be raised."""
    problems = Problems()
    problems.add(kind, loc, message, given, **context)
    return InvalidRequest(problems.found)


def echo(value: object, depth: int = _DEPTH) -> object:
    """What the caller sent, cut to a size that is fit for an answer."""
    if isinstance(value, str):
        return value[:_TEXT]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key)[:_TEXT]: echo(item, depth - 1) for key, item in list(value.items())[:_ITEMS]} if depth else "{…}"
    if isinstance(value, list):
        return [echo(item, depth - 1) for item in value[:_ITEMS]] if depth else "[…]"
    return value


def as_json(detail: object, **more: object) -> bytes:
    """The body of an error answer. Survives lone surrogates, which are what some problems are about."""
    return json.dumps({"detail": detail, **more}, separators=(",", ":"), default=str).encode()
