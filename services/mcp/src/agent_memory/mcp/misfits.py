"""What would do in the place of an argument that does not fit, as the tool's schema says. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_PLACE = re.compile(r" at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


def would_do(schema: Schema, wrong: str) -> str:
    """One sentence about the place that `wrong` names at its end, ``- at `$.filters.topics` ``; without one, about all arguments.

    A place that the schema says nothing about, also where it stands, gives "".
    """
    place = _PLACE.search(wrong)
    found, described = [schema], ""
    for name, index in _STEP.findall(place[1] if place else ""):
        found = list(_within(schema, found, name, index))
        # What nobody describes is described where it stands.
        described = next((str(part["description"]) for part in found if "description" in part), described)
    values = [str(value) for part in found for value in part.get("enum", ()) if value is not None]
    fields = sorted({field for part in found for field in part.get("properties", ())})
    if values:
        return f"One of: {', '.join(values)}."
    if place is None:
        return f"Arguments are: {', '.join(fields) or 'none'}"
    return f"It has: {', '.join(fields)}." if fields else described


def _within(schema: Schema, parts: list[Schema], name: str, index: str) -> Iterator[Schema]:
    for part in parts:
        inner = part.get("properties", {}).get(name) if name else _of_many(part, index)
        if inner:
            yield from _resolved(schema, inner)


def _of_many(part: Schema, index: str) -> Any:
    """What stands at a place of a list, or under any key of an object."""
    return part.get("items") if index != "..." else part.get("additionalProperties") or part.get("items")


def _resolved(schema: Schema, part: Schema) -> Iterator[Schema]:
    """A part and what it refers to: every alternative apart, its own words first."""
    if "$ref" in part:
        yield from _resolved(schema, {**schema["$defs"][part["$ref"].rpartition("/")[2]], **_own(part)})
        return
    yield _own(part)
    for alternative in part.get("anyOf", ()):
        yield from _resolved(schema, alternative)


def _own(part: Schema) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in ("$ref", "anyOf")}
