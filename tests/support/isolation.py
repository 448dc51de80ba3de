"""Requests by which somebody could try to reach what is not theirs: made from the OpenAPI document of a running gateway.

Three tables say what the document cannot: what a request of each operation looks like (`EXAMPLES`), which names name something
that belongs to somebody (`OWNED`), and which do not (`HARMLESS`). A new operation, parameter or field that stands in none of them
is an error, so whoever adds one decides what it may reach.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

Key = tuple[str, str]
Document = Mapping[str, Any]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose things stand under these names. `marker` is in every text of theirs, in nobody else's, and in no request."""

    name: str
    token: str
    namespace: str
    user_id: str
    marker: str
    memory_ids: tuple[str, ...]
    known: Mapping[str, str] = {}
    """Ids that the server gave: of views, tasks and the like."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    template: str = ""

    @property
    def key(self) -> Key:
        """The operation that it is of."""
        return self.method, self.template

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path} {dict(self.query) or ''} {self.body if self.body is not None else ''}"


COMMON = "zebra"
"""A word that is in everybody's texts, so that whoever searches for it finds whatever is within reach."""


def _texts(owner: Owner) -> list[str]:
    return ["likes tea", COMMON]


OWNED: Mapping[str, Callable[[Owner], list[Any]]] = {
    "namespace": lambda owner: [owner.namespace, ""],
    "user_id": lambda owner: [owner.user_id, ""],
    "session_id": lambda owner: ["shared", owner.name],
    "id": lambda owner: ["m1", *owner.memory_ids],
    "event_id": lambda owner: ["e1", f"e-{owner.name}"],
    "memory_id": lambda owner: list(owner.memory_ids),
    "memory_ids": lambda owner: list(owner.memory_ids),
    "pinned_ids": lambda owner: [list(owner.memory_ids)],
    "extracted_from": lambda owner: [["e1"]],
    "memory_hash": lambda owner: ["0" * 64],
    "text": _texts,
    "query": _texts,
    "content": _texts,
    "topics": lambda owner: [["drinks"]],
    "entities": lambda owner: [["tea"]],
    "extraction_strategy": lambda owner: ["discrete"],
    "node_id": lambda owner: ["toc:year:2026", *owner.known.get("nodes", "").split()],
    "grip_id": lambda owner: owner.known.get("grips", "grip:none").split(),
    "view_id": lambda owner: [owner.known.get("view_id", "none")],
    "task_id": lambda owner: [owner.known.get("task_id", "none")],
    "job_name": lambda owner: ["compaction", "forgetting"],
    "group": lambda owner: [{"user_id": owner.user_id}, {"namespace": owner.namespace}],
    "filters": lambda owner: [
        {"user_id": owner.user_id},
        {"namespace": [owner.namespace]},
        {"namespace": owner.namespace, "user_id": owner.user_id},
        {},
    ],
    "group_by": lambda owner: [["user_id"], ["namespace"], ["session_id"]],
}
"""What a name may be set to so that it names something of the owner's."""

_HARMLESS = """
version continuation_token events_before events_after
limit offset min_position model_name context_window_max recent_messages_limit window_size optimize_query dry_run from to
cursor agent event_type metadata role timestamp timestamp_ms mode hybrid_alpha created_at discrete_memory_extracted
persisted_at access_count event_date extraction_strategy_config last_accessed memory_type pinned updated_at data context
tokens ttl_seconds config strategy deduplicate distance_threshold hybrid_fusion include_working_memory recency_boost
recency_freshness_weight recency_half_life_created_days recency_half_life_last_access_days recency_novelty_weight
recency_recency_weight recency_semantic_weight search_mode server_side_recency text_scorer budget hard_age_multiplier
max_age_days max_inactive_days memory_type_allowlist Idempotency-Key If-Match If-None-Match as_of name source
time_window_days continuous kinds
prompt memory_types embeddings answers keep
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Names that name nothing of anybody's."""

PROMPT = {"query": "tea", "session": {"session_id": "shared"}, "long_term_search": {"text": "tea", "recency_boost": False}}
DOCUMENT = {"messages": [{"role": "user", "content": "written by somebody else", "id": "m1"}], "memories": []}
RECORDS = {"memories": [{"id": "fresh", "text": "written by somebody else"}]}
SEARCH = {"text": "tea", "limit": 100, "recency_boost": False}
EXAMPLES: Mapping[Key, Any] = {
    ("post", "/v1/events"): {"events": [{"session_id": "shared", "event_id": "e1", "text": "written by somebody else"}]},
    ("get", "/v1/events"): None,
    ("post", "/v1/timeline/events"): {"events": [{"session_id": "shared", "event_id": "e1", "text": "written by somebody else"}]},
    ("get", "/v1/timeline/events"): None,
    ("post", "/v1/timeline/search"): {"text": "tea", "limit": 100},
    ("get", "/v1/timeline/root"): None,
    ("get", "/v1/timeline/nodes/{node_id}"): None,
    ("get", "/v1/timeline/nodes/{node_id}/children"): None,
    ("get", "/v1/timeline/grips/{grip_id}"): None,
    ("get", "/v1/working-memory"): None,
    ("get", "/v1/working-memory/{session_id}"): None,
    ("put", "/v1/working-memory/{session_id}"): DOCUMENT,
    ("delete", "/v1/working-memory/{session_id}"): None,
    ("post", "/v1/working-memory/{session_id}/messages"): {"messages": DOCUMENT["messages"]},
    ("post", "/v1/long-term-memory"): RECORDS,
    ("delete", "/v1/long-term-memory"): None,
    ("get", "/v1/long-term-memory/{memory_id}"): None,
    ("get", "/v1/long-term-memory/{memory_id}/history"): None,
    ("post", "/v1/long-term-memory/{memory_id}/unmerge"): None,
    ("patch", "/v1/long-term-memory/{memory_id}"): {"text": "written by somebody else"},
    ("post", "/v1/long-term-memory/search"): SEARCH,
    ("post", "/v1/long-term-memory/forget"): {"policy": {"budget": 0}},
    ("post", "/v1/long-term-memory/compact"): None,
    ("post", "/v1/memory/prompt"): PROMPT,
    ("post", "/v1/memory/search"): SEARCH,
    ("post", "/v1/summary-views"): {"name": "written by somebody else", "source": "long_term", "group_by": ["user_id"]},
    ("get", "/v1/summary-views"): None,
    ("get", "/v1/summary-views/{view_id}"): None,
    ("delete", "/v1/summary-views/{view_id}"): None,
    ("post", "/v1/summary-views/{view_id}/partitions/run"): {"group": {}},
    ("get", "/v1/summary-views/{view_id}/partitions"): None,
    ("post", "/v1/summary-views/{view_id}/run"): {},
    ("get", "/v1/tasks/{task_id}"): None,
    ("get", "/v1/scheduler"): None,
    ("get", "/v1/scheduler/jobs/{job_name}/runs"): None,
    ("post", "/v1/scheduler/jobs/{job_name}/pause"): None,
    ("post", "/v1/scheduler/jobs/{job_name}/resume"): None,
    ("post", "/v1/scheduler/jobs/{job_name}/run"): None,
    ("get", "/v1/bundle"): None,
    ("post", "/v1/bundle"): None,
    ("get", "/v1/health"): None,
    ("get", "/ready"): None,
    ("get", "/v1/status"): None,
    ("get", "/v1/whoami"): None,
    ("get", "/metrics"): None,
    ("get", "/health"): None,
    ("get", "/sessions"): None,
    ("get", "/sessions/{session_id}/memory"): None,
    ("put", "/sessions/{session_id}/memory"): DOCUMENT,
    ("delete", "/sessions/{session_id}/memory"): None,
    ("post", "/long-term-memory"): RECORDS,
    ("post", "/long-term-memory/search"): SEARCH,
    ("post", "/memory/search"): SEARCH,
    ("post", "/memory-prompt"): PROMPT,
}
"""What a request of each operation looks like, before anything of an owner's is put into it."""

OTHER_FORMS: Mapping[Key, Any] = {
    ("post", "/v1/timeline/search"): {"text": COMMON, "limit": 100, "kinds": ["node", "grip", "event"]},
}
"""A second form of a request, where that reaches something else."""

LAST = frozenset({("delete", "/v1/summary-views/{view_id}"), ("delete", "/v1/long-term-memory")})
"""Operations that are tried when the others are done: what they could destroy is needed by them."""


def operations(document: Document) -> Iterator[Key]:
    """Every method of every path."""
    for path, methods in document["paths"].items():
        for method in methods:
            yield method, path


def undecided(document: Document) -> list[str]:
    """What the tables say nothing about: operations, parameters and fields."""
    found = [f"operation {method.upper()} {path}" for method, path in operations(document) if (method, path) not in EXAMPLES]
    for method, path in operations(document):
        operation = document["paths"][path][method]
        names = {parameter["name"] for parameter in operation["parameters"]}
        names |= {place[-1] for place, _ in leaves(document, _body(operation)) if isinstance(place[-1], str)}
        found += [f"name {name} of {method.upper()} {path}" for name in sorted(names - OWNED.keys() - HARMLESS)]
    return sorted(set(found))


def attempts(document: Document, key: Key, owner: Owner) -> list[Attempt]:
    """Every request of an operation that names something of the owner's, in each place where that can be said."""
    method, path = key
    operation = document["paths"][path][method]
    forms = [EXAMPLES[key], *([OTHER_FORMS[key]] if key in OTHER_FORMS else [])]
    bases = [Attempt(method=method, path=filled, body=form, template=path) for filled in _paths(path, owner) for form in forms]
    found = list(bases)
    for base in bases:
        found += _queries(base, operation, owner)
        found += _bodies(base, document, operation, owner)
    return list({str(attempt): attempt for attempt in found}.values())


def _paths(path: str, owner: Owner) -> list[str]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    paths = [path]
    for name in names:
        paths = [one.replace(f"{{{name}}}", str(value)) for one in paths for value in OWNED[name](owner)]
    return paths


def _queries(base: Attempt, operation: Mapping[str, Any], owner: Owner) -> Iterator[Attempt]:
    given: list[tuple[str, str]] = []
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] != "query" or name not in OWNED:
            continue
        for value in OWNED[name](owner):
            yield msgspec.structs.replace(base, query=((name, str(value)),))
        given.append((name, str(OWNED[name](owner)[0])))
    if given:
        yield msgspec.structs.replace(base, query=tuple(given))
    if any(parameter["name"] == "dry_run" for parameter in operation["parameters"]):
        yield msgspec.structs.replace(base, query=(*given, ("dry_run", "false")))


def _bodies(base: Attempt, document: Document, operation: Mapping[str, Any], owner: Owner) -> Iterator[Attempt]:
    places = list(leaves(document, _body(operation)))
    for prefix in {place[:-1] for place, _ in places}:
        whole = base.body
        for place, kind in places:
            if place[:-1] == prefix and place[-1] in ("namespace", "user_id"):
                name = getattr(owner, str(place[-1]))
                whole = _with(whole, place, {"eq": name} if kind == "filter" else name)
        yield msgspec.structs.replace(base, body=whole)
    for place, kind in places:
        name = next(part for part in reversed(place) if isinstance(part, str))
        if name not in OWNED:
            continue
        for value in OWNED[name](owner):
            for said in _filters(value) if kind == "filter" else [value]:
                yield msgspec.structs.replace(base, body=_with(base.body, place, said))


def _filters(value: Any) -> list[dict[str, Any]]:
    """Every operator of a filter that would let the value pass, alone and beside another."""
    values = value if isinstance(value, list) else [value]
    first = str(values[0])
    found: list[dict[str, Any]] = [{"any": values}, {"all": values}, {"ne": "nobody"}, {"not_in": ["nobody"]}, {"none": False}]
    found += [{"eq": first}, {"any": [*values, "nobody"], "ne": "nobody"}, {"in_": values}, {"not_eq": "nobody"}, {"none": True}]
    return [*found, {"startswith": first[:1]}] if first else found


def _body(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return schema


Place = tuple[str | int, ...]


def leaves(document: Document, schema: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Where a body may say something: the way there, and "filter" or "value"."""
    for one in schema.get("anyOf", [schema]):
        name = one.get("$ref", "").rpartition("/")[2]
        if name in ("TagFilter", "DateFilter"):
            yield place, "filter"
            continue
        resolved = document["components"]["schemas"][name] if name else one
        if "anyOf" in resolved:
            yield from leaves(document, resolved, place)
        elif "properties" in resolved:
            for field, inner in resolved["properties"].items():
                yield from leaves(document, inner, (*place, field))
        elif resolved.get("type") == "array" and _is_object(document, resolved.get("items", {})):
            yield from leaves(document, resolved["items"], (*place, 0))
        elif place and resolved.get("type") not in ("null", "boolean"):
            yield place, "value"


def _is_object(document: Document, schema: Mapping[str, Any]) -> bool:
    name = schema.get("$ref", "").rpartition("/")[2]
    return bool(name) or "properties" in schema


def _with(body: Any, place: Place, value: Any) -> Any:
    """A body with one thing set, whatever has to be made on the way there."""
    changed = copy.deepcopy(body) if body is not None else {}
    inner: Any = changed
    for part, following in pairwise(place):
        if isinstance(part, int):
            if not inner:
                inner.append({})
        elif not isinstance(inner.get(part), dict | list):
            inner[part] = [] if isinstance(following, int) else {}
        inner = inner[part]
    inner[place[-1]] = value
    return changed
