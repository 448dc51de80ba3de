"""Which memories a summary view is about: its filters as its maker gave them, as filters of the search. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.queries import DateFilter, MemoryFilters, TagFilter
from agent_memory.contracts.records import MemoryType, SummaryView

GROUP_FIELDS = ("user_id", "namespace", "session_id", "memory_type")
"""What memories may be grouped by."""
OPERATOR_FIELDS = ("extraction_strategy", "topics", "event_date")
"""Filters that may be an object of operators; those of the group fields are strings, or lists of them."""
FILTER_FIELDS = (*GROUP_FIELDS, *OPERATOR_FIELDS)
_ALIASES = {"not_eq": "ne", "in_": "any"}
_TYPES: frozenset[str] = frozenset(get_args(MemoryType))
_NOBODY = TagFilter(none=True)


def view_filters(filters: Mapping[str, object]) -> MemoryFilters:
    """The filters of a view. Raises ValueError saying which of them cannot be understood."""
    found: dict[str, Any] = {field: _filter(field, value) for field, value in filters.items()}
    return MemoryFilters(**found)


def members(view: SummaryView, group: Mapping[str, str] | None, now: datetime) -> MemoryFilters:
    """Filters for the memories of one group of a view, or, without a group, for all that it is about.

    An empty value of a group stands for memories that have none there.
    """
    found = view_filters(view.filters)
    for field, value in (group or {}).items():
        given: TagFilter | None = getattr(found, field)
        found = replace(found, **{field: _both(given, value)})
    since = _since(now, view.time_window_days)
    return found if since is None else replace(found, created_at=DateFilter(gte=since))


def _since(now: datetime, days: int | None) -> datetime | None:
    try:
        return None if days is None else now - timedelta(days=days)
    except OverflowError:
        return None


def _both(given: TagFilter | None, value: str) -> TagFilter:
    """What passes the view's own filter and has the group's value."""
    if not value:
        return _NOBODY if given is None or given.none else TagFilter(any=[])
    if given is None:
        return TagFilter(eq=value)
    if given.none:
        return TagFilter(any=[])
    allowed = given.any if given.any is not None else [given.eq]
    return TagFilter(eq=value) if value in allowed else TagFilter(any=[])


def _filter(field: str, value: object) -> TagFilter | DateFilter:
    if field not in FILTER_FIELDS:
        raise ValueError(f"Unsupported filter fields: {field}")
    try:
        if field == "event_date":
            return _date(value)
        found = _tag(field, value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"the filter of {field} cannot be understood: {error}") from None
    if field == "memory_type":
        for named in (*([found.eq] if found.eq is not None else ()), *(found.any or ())):
            if named not in _TYPES:
                raise ValueError(f"there is no memory_type {named!r}; known are {', '.join(sorted(_TYPES))}")
    return found


def _tag(field: str, value: object) -> TagFilter:
    match value:
        case str():
            return _NOBODY if not value and field in GROUP_FIELDS else TagFilter(eq=value)
        case list() if value and all(isinstance(each, str) for each in value):
            return TagFilter(any=value)
        case dict() if field in OPERATOR_FIELDS:
            return msgspec.convert(_operators(value, TagFilter), TagFilter)
    kinds = "a string, a list of strings or an object of operators" if field in OPERATOR_FIELDS else "a string or a list of strings"
    raise ValueError(f"it is {kinds}")


def _date(value: object) -> DateFilter:
    if not isinstance(value, dict):
        return DateFilter(eq=_moment(value))
    given = _operators(value, DateFilter)
    inclusive = given.pop("inclusive", None) or "both"
    between = given.pop("between", None)
    if between is not None and (not isinstance(between, list) or len(between) != 2):
        raise ValueError("between is a list of exactly two times")
    moments = {operator: _moment(operand) for operator, operand in given.items()}
    pair = None if between is None else (_moment(between[0]), _moment(between[1]))
    return msgspec.convert({**moments, "between": pair, "inclusive": inclusive}, DateFilter)


def _operators(value: dict[str, Any], kind: type[TagFilter | DateFilter]) -> dict[str, Any]:
    given = {_ALIASES.get(operator, operator): operand for operator, operand in value.items() if operand is not None}
    unknown = sorted(set(given) - {field.name for field in msgspec.structs.fields(kind)})
    if unknown or not given or len(given) < sum(operand is not None for operand in value.values()):
        raise ValueError(f"there is no operator {', '.join(unknown)}" if unknown else "it names no operator, or one of them twice")
    return given


def _moment(value: object) -> datetime:
    """ISO 8601 (without a zone: UTC), or seconds since 1970."""
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    raise ValueError("a time is ISO 8601 or seconds since 1970")
