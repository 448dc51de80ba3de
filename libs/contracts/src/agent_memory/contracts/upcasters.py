"""Old shapes of events, brought to today's, one step at a time.

A field that is added with a default needs nothing. Any other change is a new tag, and an entry here from the old tag to a
function that turns the old dict into the next one (with its new "type"). Entries chain. Every shape ever written has a
golden file in `tests/contract/golden/` that must decode for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


UPCASTERS: Mapping[str, Upcaster] = {}


def upcast(old: dict[str, Any], steps: Mapping[str, Upcaster] = UPCASTERS) -> dict[str, Any]:
    """The event in today's shape. Raises ValueError when the steps go in a circle."""
    seen: set[str] = set()
    while (tag := old["type"]) in steps:
        if tag in seen:
            raise ValueError(f"upcasters of {tag} go in a circle")
        seen.add(tag)
        old = steps[tag](old)
    return old
