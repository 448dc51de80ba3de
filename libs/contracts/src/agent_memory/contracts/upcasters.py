"""Old shapes of events, brought to today's, one step at a time.

A field that is added with a default needs nothing. Any other change is a new tag, and an entry here from the old tag to the
next one, with a function that turns the old dict into the new (all but its "type"). Entries chain. Every shape ever written
has a golden file in `tests/contract/golden/` that must decode for ever; `tests/contract/schemas.json` has today's shapes, so
that no change of one goes unnoticed.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec


class Upcaster(msgspec.Struct, frozen=True):
    """One step: events of a tag become events of the tag `into`."""

    into: str
    change: Callable[[dict[str, Any]], dict[str, Any]]


UPCASTERS: Mapping[str, Upcaster] = {}


def upcast(old: dict[str, Any], steps: Mapping[str, Upcaster] | None = None) -> dict[str, Any]:
    """The event in today's shape. Raises ValueError when the steps go in a circle."""
    steps = UPCASTERS if steps is None else steps
    for tag in _way(old["type"], steps):
        if tag in steps:
            old = {**steps[tag].change(old), "type": steps[tag].into}
    return old


def written_as(types: Collection[str]) -> frozenset[str]:
    """Every tag under which events of these types lie in the log: today's and those that are brought to them."""
    return frozenset(types) | {tag for tag in UPCASTERS if _way(tag, UPCASTERS)[-1] in types}


def _way(tag: str, steps: Mapping[str, Upcaster]) -> list[str]:
    way = [tag]
    while (step := steps.get(way[-1])) is not None:
        if step.into in way:
            raise ValueError(f"upcasters of {tag} go in a circle")
        way.append(step.into)
    return way
