"""Searches and their filters. Operators of both generations of the Python client are understood; all that are given hold."""

from datetime import datetime, timedelta
from typing import Any

from agent_memory.contracts.errors import Refused
from agent_memory.contracts.queries import DateFilter, MemoryFilters, Recency, SearchMemories, SearchTimeline, TagFilter
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS
from agent_memory.gateway.auth import Principal
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.fields import REQUIRED, Check, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.edges.http.requests_memories import MEMORY_TYPES

MOST_OFFSET = 1_000_000
MOST_FILTER_VALUES = 1_000
MODES = ("semantic", "keyword", "hybrid")


def _tag(inner: Check) -> Check:
    one, many = fields.nullable(inner), fields.nullable(fields.listing(inner, most=MOST_FILTER_VALUES))
    spec: Spec = {
        "eq": (one, None),
        "ne": (one, None),
        "not_eq": (one, None),
        "any": (many, None),
        "in_": (many, None),
        "all": (many, None),
        "not_in": (many, None),
        "startswith": (fields.nullable(fields.text), None),
        "none": (fields.nullable(fields.boolean), None),
    }

    def check(value: object, loc: Loc, problems: Problems) -> TagFilter | None:
        given = _operators(value, loc, problems, spec)
        before = len(problems.found)
        _consistent(given, loc, problems)
        if len(problems.found) > before or all(operand is None for operand in given.values()):
            return None
        either = [values for values in (given["any"], given["in_"]) if values is not None]
        any_of = either[0] if len(either) == 1 else [value for value in either[0] if value in either[1]] if either else None
        unwanted = [value for value in (given["ne"], given["not_eq"]) if value is not None]
        not_in = [*(given["not_in"] or []), *unwanted[1:]] or None
        return TagFilter(
            eq=given["eq"],
            ne=unwanted[0] if unwanted else None,
            any=any_of,
            all=given["all"],
            not_in=not_in,
            startswith=given["startswith"],
            none=given["none"],
        )

    return check


def _operators(value: object, loc: Loc, problems: Problems, spec: Spec) -> dict[str, Any]:
    """The operators of one filter. One that nobody knows is refused: without it the search would find more than was asked for."""
    for operator in value if isinstance(value, dict) else ():
        if operator not in spec:
            problems.add("extra_forbidden", (*loc, operator), f"There is no such operator; known are {', '.join(spec)}", value)
    return fields.fields(value, loc, problems, spec)


def _consistent(given: dict[str, Any], loc: Loc, problems: Problems) -> None:
    """The combinations that clients rely on being refused."""
    named = {operator for operator, operand in given.items() if operand is not None}
    for left, right in (("eq", "ne"), ("any", "all")):
        if {left, right} <= named:
            problems.value(loc, f"{left} and {right} cannot both be set", {left: given[left], right: given[right]})
    for operator in ("any", "all"):
        if given[operator] == []:
            problems.value(loc, f"{operator} cannot be an empty list", [])
    if given["startswith"] is not None:
        if not given["startswith"]:
            problems.value(loc, "startswith cannot be an empty string", "")
        if len(named) > 1:
            problems.value(loc, "startswith cannot be combined with other operators", sorted(named))


_DATE_SPEC: Spec = {
    **{operator: (fields.nullable(fields.moment), None) for operator in ("eq", "ne", "gt", "gte", "lt", "lte")},
    "between": (fields.nullable(fields.listing(fields.moment, most=MOST_FILTER_VALUES)), None),
    "inclusive": (fields.nullable(fields.one_of("both", "neither", "left", "right")), None),
}


def _date(value: object, loc: Loc, problems: Problems) -> DateFilter | None:
    given = _operators(value, loc, problems, _DATE_SPEC)
    between: list[datetime] | None = given.pop("between")
    inclusive: Any = given.pop("inclusive") or "both"
    if between is not None and len(between) != 2:
        problems.value(loc, "between must be a list of exactly two datetimes", [moment.isoformat() for moment in between[:20]])
        return None
    refused = [operator for operator in ("eq", "ne", "gt", "lt", "gte") if between and given[operator] is not None]
    if refused:
        problems.value(loc, f"between cannot be combined with {refused[0]}", refused)
    if between is None and all(operand is None for operand in given.values()):
        return None
    return DateFilter(**given, between=None if between is None else (between[0], between[1]), inclusive=inclusive)


_NAMES, _TYPES = fields.nullable(_tag(fields.text)), fields.nullable(_tag(fields.one_of(*MEMORY_TYPES)))
_DATES = fields.nullable(_date)
_FILTERS: Spec = {
    **{field: (_NAMES, None) for field in ("session_id", "namespace", "user_id", "topics", "entities", "extraction_strategy")},
    "memory_type": (_TYPES, None),
    **{field: (_DATES, None) for field in ("created_at", "last_accessed", "event_date")},
}
_WEIGHT = (fields.nullable(fields.number_between(0.0, None)), None)
_HALF_LIFE = (fields.nullable(fields.number_between(1e-6, None)), None)
_RECENCY: Spec = {
    "recency_semantic_weight": _WEIGHT,
    "recency_recency_weight": _WEIGHT,
    "recency_freshness_weight": _WEIGHT,
    "recency_novelty_weight": _WEIGHT,
    "recency_half_life_last_access_days": _HALF_LIFE,
    "recency_half_life_created_days": _HALF_LIFE,
}
_SEARCH: Spec = {
    "text": (fields.nullable(fields.text), None),
    "search_mode": (fields.one_of(*MODES), "semantic"),
    "hybrid_alpha": (fields.number_between(0.0, 1.0), 0.7),
    "text_scorer": (fields.text, "BM25STD"),
    "distance_threshold": (fields.nullable(fields.number), None),
    "limit": (fields.between(1, 100), 10),
    "offset": (fields.between(0, MOST_OFFSET), 0),
    "recency_boost": (fields.nullable(fields.boolean), None),
    "server_side_recency": (fields.nullable(fields.boolean), None),
}


def search_memories(body: bytes, principal: Principal, problems: Problems) -> SearchMemories:
    """The query of a POST /v1/long-term-memory/search. Raises InvalidRequest or Refused."""
    value = decode(body)
    given = fields.fields(value, ("body",), problems, _SEARCH)
    filters = fields.fields(value, ("body",), problems, _FILTERS)
    weights = fields.fields(value, ("body",), problems, _RECENCY)
    problems.check()
    if given["distance_threshold"] is not None and given["search_mode"] != "semantic":
        raise Refused("distance_threshold is only supported for semantic search mode")
    text = given["text"] if given["text"] and given["text"].strip() else None
    boosted = text is not None and given["recency_boost"] is not False
    chosen = {field.removeprefix("recency_"): weight for field, weight in weights.items() if weight is not None}
    return SearchMemories(
        tenant=principal.tenant,
        text=text,
        mode=given["search_mode"],
        filters=MemoryFilters(**filters),
        hybrid_alpha=given["hybrid_alpha"],
        distance_threshold=given["distance_threshold"],
        limit=given["limit"],
        offset=given["offset"],
        recency=Recency(**chosen) if boosted else None,
    )


def timeline_ms(value: object, loc: Loc, problems: Problems) -> int:
    """A time on the timeline: UTC milliseconds, or ISO 8601."""
    if isinstance(value, str) and not value.strip().lstrip("+-").isdecimal():
        moment = fields.moment(value, loc, problems)
        return (moment - fields.EPOCH) // timedelta(milliseconds=1)
    checked: int = _TIMELINE_MS(value, loc, problems)
    return checked


_TIMELINE_MS = fields.between(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS)
_TIMELINE: Spec = {
    "text": (fields.said, REQUIRED),
    "mode": (fields.one_of(*MODES), "hybrid"),
    "namespace": (fields.nullable(fields.name), None),
    "user_id": (fields.nullable(fields.name), None),
    "session_id": (fields.nullable(fields.identifier), None),
    "from": (fields.nullable(timeline_ms), None),
    "to": (fields.nullable(timeline_ms), None),
    "hybrid_alpha": (fields.number_between(0.0, 1.0), 0.7),
    "limit": (fields.between(1, 100), 10),
    "offset": (fields.between(0, MOST_OFFSET), 0),
}


def search_timeline(body: bytes, principal: Principal, problems: Problems) -> SearchTimeline:
    """The query of a POST /v1/timeline/search. Raises InvalidRequest."""
    given = fields.fields(decode(body), ("body",), problems, _TIMELINE)
    problems.check()
    return SearchTimeline(
        scope=principal.scope(given["namespace"], given["user_id"]),
        text=given["text"],
        mode=given["mode"],
        session_id=given["session_id"],
        from_ms=given["from"],
        to_ms=given["to"],
        hybrid_alpha=given["hybrid_alpha"],
        limit=given["limit"],
        offset=given["offset"],
    )
