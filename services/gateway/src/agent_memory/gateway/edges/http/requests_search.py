"""Searches and their filters. Operators of both generations of the Python client are understood; all that are given hold."""

from datetime import datetime, timedelta
from typing import Any, get_args

import msgspec

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.queries import (
    DATE_FIELDS,
    TAG_FIELDS,
    TIMELINE_KINDS,
    DateFilter,
    Fusion,
    MemoryFilters,
    Recency,
    SearchMemories,
    SearchMode,
    SearchTimeline,
    TagFilter,
    TextScorer,
    backwards,
)
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.fields import REQUIRED, Check, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.edges.http.requests_memories import MEMORY_TYPES

MOST_OFFSET = 1_000_000
MOST_FILTER_VALUES = 1_000
MOST_MATCHES_BEFORE = 1_000
"""Of several kinds: they are merged from the beginning, so a page costs what stands before it."""
MODES: tuple[str, ...] = get_args(SearchMode)
SCORERS: tuple[str, ...] = get_args(TextScorer)
_SAME_ORDER = {"BM25STD.NORM": "BM25STD", "BM25STD.TANH": "BM25STD"}
"""Scorers that order as another does; what they scale is scaled here anyway."""


def _spec(kind: type[TagFilter | DateFilter], inner: Check) -> Spec:
    """The operators of a filter with the checks of their operands, as the contract's own type has them."""
    one, many = fields.nullable(inner), fields.nullable(fields.listing(inner, most=MOST_FILTER_VALUES))
    by_type: dict[object, Check] = {bool | None: fields.nullable(fields.boolean), list[str] | None: many}
    return {field.name: (by_type.get(field.type, one), None) for field in msgspec.structs.fields(kind)}


def _tag(inner: Check) -> Check:
    spec: dict[str, tuple[Check, object]] = {**_spec(TagFilter, inner), "startswith": (fields.nullable(fields.text), None)}
    spec["not_eq"], spec["in_"], spec["none"] = spec["ne"], spec["any"], (_none(inner), None)

    def check(value: object, loc: Loc, problems: Problems) -> TagFilter | None:
        given = _operators(value, loc, problems, spec)
        before = len(problems.found)
        _consistent(given, loc, problems)
        if len(problems.found) > before or all(operand is None for operand in given.values()):
            return None
        not_eq, within, none = given.pop("not_eq"), given.pop("in_"), given.pop("none")
        if isinstance(none, list):
            given["not_in"], none = [*(given["not_in"] or []), *none], None
        if within is not None:
            given["any"] = within if given["any"] is None else [value for value in given["any"] if value in within]
        if not_eq is not None and given["ne"] is not None:
            given["not_in"] = [*(given["not_in"] or []), not_eq]
        elif not_eq is not None:
            given["ne"] = not_eq
        return TagFilter(**given, none=none)

    return check


def _none(inner: Check) -> Check:
    """Of the official client, values of which the field has none; of ours, whether the field is absent."""
    several = fields.listing(inner, most=MOST_FILTER_VALUES)

    def check(value: object, loc: Loc, problems: Problems) -> list[str] | bool | None:
        if value is None or isinstance(value, list):
            return None if value is None else list(several(value, loc, problems))
        return fields.boolean(value, loc, problems)

    return check


_NAMES_OF_CLASS = frozenset({"field", "enum_class"})
"""What the filter classes of the original server carry beside operators; clients that send such objects are understood."""


def _operators(value: object, loc: Loc, problems: Problems, spec: Spec) -> dict[str, Any]:
    """The operators of one filter. One that nobody knows is refused: without it the search would find more than was asked for."""
    for operator in value if isinstance(value, dict) else ():
        if operator not in spec and operator not in _NAMES_OF_CLASS:
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
    **_spec(DateFilter, fields.moment),
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
    **{field: (_NAMES if field != "memory_type" else _TYPES, None) for field in TAG_FIELDS},
    **{field: (_DATES, None) for field in DATE_FIELDS},
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
_known_scorer = fields.one_of(*SCORERS, *_SAME_ORDER)


def _scorer(value: object, loc: Loc, problems: Problems) -> str:
    name: str = _known_scorer(value, loc, problems)
    return _SAME_ORDER.get(name, name)


_SEARCH: Spec = {
    "text": (fields.nullable(fields.text), None),
    "search_mode": (fields.one_of(*MODES), "semantic"),
    "hybrid_alpha": (fields.number_between(0.0, 1.0), 0.7),
    "hybrid_fusion": (fields.one_of(*get_args(Fusion)), "weighted"),
    "text_scorer": (_scorer, "BM25STD"),
    "distance_threshold": (fields.nullable(fields.number_between(0.0, None)), None),
    "limit": (fields.between(1, 100), 10),
    "offset": (fields.between(0, MOST_OFFSET), 0),
    "recency_boost": (fields.nullable(fields.boolean), None),
    "server_side_recency": (fields.nullable(fields.boolean), None),
}


_BODY: Loc = ("body",)


def search_memories(value: object, principal: Principal, problems: Problems, loc: Loc = _BODY) -> SearchMemories:
    """The query that a search request names. Raises InvalidRequest or Refused."""
    given = fields.fields(value, loc, problems, _SEARCH)
    filters = fields.fields(value, loc, problems, _FILTERS)
    weights = fields.fields(value, loc, problems, _RECENCY)
    problems.check()
    if given["distance_threshold"] is not None and given["search_mode"] != "semantic":
        raise Refused("distance_threshold is only supported for semantic search mode")
    text = given["text"] if given["text"] and given["text"].strip() else None
    boosted = text is not None and (given["server_side_recency"] or given["recency_boost"] is not False)
    chosen = {field.removeprefix("recency_"): weight for field, weight in weights.items() if weight is not None}
    return SearchMemories(
        tenant=principal.tenant,
        text=text,
        mode=given["search_mode"],
        filters=MemoryFilters(**filters),
        hybrid_alpha=given["hybrid_alpha"],
        fusion=given["hybrid_fusion"],
        text_scorer=given["text_scorer"],
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
    "hybrid_alpha": (fields.number_between(0.0, 1.0), 0.5),
    "limit": (fields.between(1, 100), 10),
    "offset": (fields.between(0, MOST_OFFSET), 0),
    "group_by": (fields.nullable(fields.one_of("session")), None),
    "kinds": (fields.nullable(fields.listing(fields.one_of(*TIMELINE_KINDS), most=len(TIMELINE_KINDS))), None),
}


def search_timeline(body: bytes, principal: Principal, problems: Problems) -> tuple[SearchTimeline, bool]:
    """The query of a POST /v1/timeline/search, and whether it names kinds: then matches are wanted, else events or their sessions.

    Raises InvalidRequest.
    """
    given = fields.fields(decode(body), _BODY, problems, _TIMELINE)
    asked: list[str] | None = given["kinds"]
    kinds = ("event",) if asked is None else tuple(kind for kind in TIMELINE_KINDS if kind in asked or not asked)
    if not problems.found and backwards(given["from"], given["to"]):
        problems.value((*_BODY, "to"), "to is before from: exchange them, or leave one out", given["to"])
    if asked is not None and given["group_by"] is not None:
        problems.value((*_BODY, "group_by"), "group_by groups events; leave kinds out", given["group_by"])
    if len(kinds) > 1 and given["offset"] > MOST_MATCHES_BEFORE:
        problems.value((*_BODY, "offset"), f"of several kinds, offset is at most {MOST_MATCHES_BEFORE}", given["offset"])
    problems.check()
    query = SearchTimeline(
        scope=principal.scope(given["namespace"], given["user_id"]),
        text=given["text"],
        mode=given["mode"],
        kinds=kinds,
        session_id=given["session_id"],
        from_ms=given["from"],
        to_ms=given["to"],
        hybrid_alpha=given["hybrid_alpha"],
        limit=given["limit"],
        offset=given["offset"],
        group_by=given["group_by"],
    )
    return query, asked is not None
