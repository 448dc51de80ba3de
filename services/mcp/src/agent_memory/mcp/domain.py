"""What is decided without asking anybody: whose memory a request is about, what its filters mean. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from agent_memory.contracts.queries import DATE_FIELDS, TAG_FIELDS
from agent_memory.contracts.records import MAX_ID_BYTES

FILTER_FIELDS = (*TAG_FIELDS, *DATE_FIELDS)
OWNERS = ("namespace", "user_id")
_WORDS = {"namespace": "namespace", "user_id": "user"}


class Misused(Exception):
    """A call that cannot succeed as it is. The text says what to change."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whose memory a connection is about. `fixed`: what its URL names, and nothing else is reached; `usual`: what holds where a
    call names nobody. Both by "namespace" and "user_id".
    """

    fixed: Mapping[str, str] = {}
    usual: Mapping[str, str] = {}

    def owner(self, field: str, asked: str | None) -> str | None:
        """The namespace or user of a call. Raises Misused for another one than the URL's."""
        fixed = self.fixed.get(field)
        if fixed is None:
            return asked or self.usual.get(field)
        if asked and asked != fixed:
            raise _elsewhere(field, fixed)
        return fixed

    def owner_filter(self, field: str, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The filter by namespace or user of a search. Raises Misused where it reaches beyond the URL's."""
        fixed = self.fixed.get(field)
        if fixed is None:
            usual = self.usual.get(field)
            return given if given or not usual else {"eq": usual}
        if given and given not in ({"eq": fixed}, {"any": [fixed]}):
            raise _elsewhere(field, fixed)
        return {"eq": fixed}

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether something of that namespace and user is within what the URL names."""
        return all(record.get(field) == fixed for field, fixed in self.fixed.items())


def _elsewhere(field: str, fixed: str) -> Misused:
    return Misused(f"this connection is for the {_WORDS[field]} {fixed!r} alone: leave out `{field}`, or say {fixed!r}")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What the path of a request names: an endpoint, and before it namespace and user."""

    endpoint: str
    prefix: str
    fixed: Mapping[str, str]

    def path(self, endpoint: str) -> str:
        """Where that endpoint of the same namespace and user is, as it stands in a URL."""
        return quote(self.prefix) + endpoint


def address_of(raw_path: str, endpoints: Sequence[str]) -> Address | None:
    """`/mcp`, `/{namespace}/mcp` or `/{namespace}/{user}/mcp`, for each of the endpoints; None for any other path."""
    for endpoint in endpoints:
        before, found, after = raw_path.rstrip("/").rpartition(endpoint.rstrip("/"))
        if not found or after:
            continue
        names = [unquote(part) for part in before.split("/")[1:]]
        if before.startswith("/") == bool(before) and len(names) <= len(OWNERS) and all(map(_is_name, names)):
            prefix = "".join(f"/{name}" for name in names)
            return Address(endpoint=endpoint, prefix=prefix, fixed=dict(zip(OWNERS, names, strict=False)))
    return None


def _is_name(name: str) -> bool:
    return 1 <= len(name.encode()) <= MAX_ID_BYTES and "/" not in name and "\0" not in name and "\ufffd" not in name


def filters_of(place: Place, flat: Mapping[str, Any], together: Mapping[str, Any] | None) -> dict[str, Any]:
    """The filters of a search, given one by one or as one object, each as the HTTP API takes it.

    A plain value stands for `eq`, a list for `any`. Raises Misused for a field that is given both ways, and for somebody else.
    """
    given = {field: value for field, value in flat.items() if field in FILTER_FIELDS and value is not None}
    for field, value in (together or {}).items():
        if value is None:
            continue
        if field in given:
            raise Misused(f"`{field}` is given twice: in `filters` and beside it; leave one out")
        given[field] = value
    found = {field: _filter(value) for field, value in given.items()}
    owners = {field: place.owner_filter(field, found.pop(field, None)) for field in OWNERS}
    return {field: value for field, value in {**found, **owners}.items() if value}


def _filter(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {operator: operand for operator, operand in value.items() if operand is not None and operator not in _OF_CLASS}
    return {"any": value} if isinstance(value, list) else {"eq": value}


_OF_CLASS = ("field", "enum_class")
"""What filters of older clients carry beside operators."""


def one_name(given: Mapping[str, Any]) -> str | None:
    """The single value that a filter names, where it does."""
    several = given.get("any") or given.get("in_") or []
    return given.get("eq") or (several[0] if len(several) == 1 else None)


def owned(place: Place, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Memories to store, each with whose it is. Raises Misused for somebody else's."""
    told = [{field: value for field, value in record.items() if value is not None} for record in records]
    found: list[dict[str, Any]] = []
    for record in told:
        owners = {field: place.owner(field, record.get(field)) for field in OWNERS}
        found.append({**record, **{field: name for field, name in owners.items() if name}})
    return found
