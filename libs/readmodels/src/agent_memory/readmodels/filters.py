"""Filters: as a query of the search index, and as a plain predicate that says what the query must mean."""

from datetime import datetime

from agent_memory.contracts.queries import DATE_FIELDS, TAG_FIELDS, DateFilter, MemoryFilters, SearchTimeline, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels.contents_documents import GRIP, NODE
from agent_memory.readmodels.documents import micros, prefix, tag

_NOTHING = "v_"
"""No tag looks like this, so asking for it matches nothing."""
_MAX_PREFIX = 1_000


def compile_filters(tenant: str, filters: MemoryFilters) -> str:
    """The query for a tenant's memories that pass. Tags hold letters, digits and `_` only, so nothing in it can break out."""
    clauses = [f"@tenant:{{{tag(tenant)}}}"]
    for field in TAG_FIELDS:
        given: TagFilter | None = getattr(filters, field)
        if given is not None:
            clauses += _tag_clauses(field, given)
    for field in DATE_FIELDS:
        dates: DateFilter | None = getattr(filters, field)
        if dates is not None:
            clauses += _date_clauses(field, dates)
    return " ".join(clauses)


def compile_timeline(query: SearchTimeline) -> str:
    """The query for the events of one scope that pass the session and time bounds."""
    clauses = [f"@scope:{{{tag(query.scope.path)}}}"]
    if query.session_id is not None:
        clauses.append(f"@session_id:{{{tag(query.session_id)}}}")
    if query.from_ms is not None or query.to_ms is not None:
        first = "-inf" if query.from_ms is None else query.from_ms
        last = "+inf" if query.to_ms is None else query.to_ms
        clauses.append(f"@timestamp_ms:[{first} {last}]")
    return " ".join(clauses)


def compile_contents(query: SearchTimeline) -> str:
    """The query for the nodes and grips of one scope, of the kinds asked for, that have a part in the time and session bounds."""
    kinds = [kind for kind in (NODE, GRIP) if kind in query.kinds]
    low, high = query.from_ms, query.to_ms
    if low is not None and high is not None and low > high:
        # A node around both ends would pass.
        kinds = []
    clauses = [f"@scope:{{{tag(query.scope.path)}}}", _any_of("kind", list(kinds))]
    if query.session_id is not None:
        clauses.append(f"@session_id:{{{tag(query.session_id)}}}")
    if high is not None:
        clauses.append(f"@start_ms:[-inf {high}]")
    if low is not None:
        clauses.append(f"@end_ms:[{low} +inf]")
    return " ".join(clauses)


def uses_prefix(filters: MemoryFilters) -> bool:
    """Whether any filter asks for values by their beginning."""
    return any(given is not None and given.startswith is not None for field in TAG_FIELDS if (given := getattr(filters, field)))


def matches(filters: MemoryFilters, record: MemoryRecord) -> bool:
    """What `compile_filters` means, in plain words: all operators of all filters hold. An absent field is unequal to anything."""
    for field in TAG_FIELDS:
        given: TagFilter | None = getattr(filters, field)
        if given is not None and not _tag_matches(given, _values(record, field)):
            return False
    for field in DATE_FIELDS:
        dates: DateFilter | None = getattr(filters, field)
        if dates is not None and not _date_matches(dates, getattr(record, field)):
            return False
    return True


def _any_of(field: str, values: list[str]) -> str:
    return f"@{field}:{{{'|'.join(dict.fromkeys(map(tag, values))) or _NOTHING}}}"


def _tag_clauses(field: str, given: TagFilter) -> list[str]:
    clauses = []
    if given.eq is not None:
        clauses.append(_any_of(field, [given.eq]))
    if given.ne is not None:
        clauses.append("-" + _any_of(field, [given.ne]))
    if given.any is not None:
        clauses.append(_any_of(field, given.any))
    if given.all is not None:
        clauses += [_any_of(field, [value]) for value in dict.fromkeys(given.all)]
    if given.not_in:
        clauses.append("-" + _any_of(field, given.not_in))
    if given.startswith is not None:
        clauses.append(f"@{field}:{{{prefix(given.startswith)[:_MAX_PREFIX]}*}}" if given.startswith else f"-{_absent(field)}")
    if given.none is not None:
        clauses.append(_absent(field) if given.none else f"-{_absent(field)}")
    return clauses


def _absent(field: str) -> str:
    return f"ismissing(@{field})"


def _date_clauses(field: str, given: DateFilter) -> list[str]:
    clauses = []
    if given.eq is not None:
        clauses.append(f"@{field}:[{micros(given.eq)} {micros(given.eq)}]")
    if given.ne is not None:
        clauses.append(f"-@{field}:[{micros(given.ne)} {micros(given.ne)}]")
    low, high = "-inf", "+inf"
    bounds = [("(", given.gt, None), ("", given.gte, None), ("(", None, given.lt), ("", None, given.lte)]
    if given.between is not None:
        bounds.append(("" if given.inclusive in ("both", "left") else "(", given.between[0], None))
        bounds.append(("" if given.inclusive in ("both", "right") else "(", None, given.between[1]))
    for open_, lower, upper in bounds:
        if lower is not None:
            clauses.append(f"@{field}:[{open_}{micros(lower)} {high}]")
        if upper is not None:
            clauses.append(f"@{field}:[{low} {open_}{micros(upper)}]")
    return clauses


def _values(record: MemoryRecord, field: str) -> list[str]:
    value: str | list[str] | None = getattr(record, field)
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _tag_matches(given: TagFilter, values: list[str]) -> bool:
    return all(
        (
            given.eq is None or given.eq in values,
            given.ne is None or given.ne not in values,
            given.any is None or any(value in values for value in given.any),
            given.all is None or all(value in values for value in given.all),
            given.not_in is None or not any(value in values for value in given.not_in),
            given.startswith is None or any(value.startswith(given.startswith) for value in values),
            given.none is None or given.none == (not values),
        )
    )


def _date_matches(given: DateFilter, moment: datetime | None) -> bool:
    if moment is None:
        return all(getattr(given, operator) is None for operator in ("eq", "gt", "gte", "lt", "lte", "between"))
    at = micros(moment)
    holds = [
        given.eq is None or at == micros(given.eq),
        given.ne is None or at != micros(given.ne),
        given.gt is None or at > micros(given.gt),
        given.gte is None or at >= micros(given.gte),
        given.lt is None or at < micros(given.lt),
        given.lte is None or at <= micros(given.lte),
    ]
    if given.between is not None:
        first, last = micros(given.between[0]), micros(given.between[1])
        holds.append(first <= at if given.inclusive in ("both", "left") else first < at)
        holds.append(at <= last if given.inclusive in ("both", "right") else at < last)
    return all(holds)
