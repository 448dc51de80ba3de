"""Our OpenAPI document promises at least what clients of the Redis agent memory server rely on, and asks for no more."""

import json
from functools import cache
from typing import Any

import pytest

from agent_memory.gateway.edges.http.documentation import openapi

SESSION = (
    "messages memories data context user_id tokens session_id* namespace long_term_memory_strategy ttl_seconds last_accessed "
    "created_at updated_at context_percentage_total_used context_percentage_until_summarization"
)
RECORD = (
    "id* text* session_id user_id namespace last_accessed created_at updated_at pinned access_count topics entities memory_hash "
    "discrete_memory_extracted memory_type persisted_at extracted_from event_date extraction_strategy extraction_strategy_config "
    "metadata"
)
SEARCH = (
    "text search_mode hybrid_alpha text_scorer session_id namespace topics entities created_at last_accessed user_id "
    "distance_threshold memory_type extraction_strategy event_date limit offset recency_boost recency_semantic_weight "
    "recency_recency_weight recency_freshness_weight recency_novelty_weight recency_half_life_last_access_days "
    "recency_half_life_created_days server_side_recency"
)
VIEW = "id* name source* group_by filters time_window_days continuous prompt model_name"
RESULT = "view_id* group* summary memory_count* empty empty_reason computed_at"
TASK = "id* type* status view_id created_at started_at completed_at error_message"

# Method and path; query parameters; fields of the body; fields of the answer (of one, where it is a list). A star: required.
OPERATIONS = [
    ("GET /v1/health", "", "", "now*"),
    ("GET /v1/working-memory", "limit offset namespace user_id", "", "sessions* total*"),
    (
        "GET /v1/working-memory/{session_id}",
        "user_id namespace model_name context_window_max recent_messages_limit",
        "",
        SESSION,
    ),
    (
        "PUT /v1/working-memory/{session_id}",
        "model_name context_window_max",
        "messages memories data context user_id tokens namespace long_term_memory_strategy ttl_seconds last_accessed created_at "
        "updated_at",
        SESSION,
    ),
    ("DELETE /v1/working-memory/{session_id}", "user_id namespace", "", "status*"),
    ("POST /v1/long-term-memory", "", "memories* deduplicate", "status*"),
    ("DELETE /v1/long-term-memory", "memory_ids", "", "status*"),
    ("POST /v1/long-term-memory/search", "optimize_query", SEARCH, "memories* total* next_offset"),
    ("GET /v1/long-term-memory/{memory_id}", "", "", RECORD),
    (
        "PATCH /v1/long-term-memory/{memory_id}",
        "",
        "text topics entities memory_type namespace user_id session_id event_date pinned",
        RECORD,
    ),
    (
        "POST /v1/long-term-memory/forget",
        "namespace user_id session_id limit dry_run",
        "policy* pinned_ids",
        "scanned deleted deleted_ids dry_run",
    ),
    ("POST /v1/long-term-memory/compact", "namespace user_id", "", "status*"),
    ("POST /v1/memory/prompt", "optimize_query", "query* session long_term_search", "messages* long_term_memories"),
    ("GET /v1/summary-views", "", "", VIEW),
    ("POST /v1/summary-views", "", VIEW.removeprefix("id* "), VIEW),
    ("GET /v1/summary-views/{view_id}", "", "", VIEW),
    ("DELETE /v1/summary-views/{view_id}", "", "", "status*"),
    ("POST /v1/summary-views/{view_id}/partitions/run", "", "group*", RESULT),
    ("GET /v1/summary-views/{view_id}/partitions", "user_id namespace session_id memory_type", "", RESULT),
    ("POST /v1/summary-views/{view_id}/run", "", "task_id", TASK),
    ("GET /v1/tasks/{task_id}", "", "", TASK),
    ("GET /health", "", "", "now*"),
    ("GET /sessions", "limit offset namespace", "", "sessions* total*"),
    ("GET /sessions/{session_id}/memory", "namespace window_size model_name context_window_max", "", SESSION),
    ("PUT /sessions/{session_id}/memory", "", "messages memories context namespace", SESSION),
    ("DELETE /sessions/{session_id}/memory", "namespace", "", "status*"),
    ("POST /long-term-memory", "", "memories*", "status*"),
    ("POST /long-term-memory/search", "", SEARCH, "memories* total*"),
    ("POST /memory-prompt", "", "query* session long_term_search", "messages* long_term_memories"),
    ("POST /memory/search", "", SEARCH, "memories* total*"),
]

# A field of a body or an answer, and what stands in it.
INSIDE = [
    (
        "PUT /v1/working-memory/{session_id}",
        "body",
        "messages",
        "role* content* id created_at persisted_at discrete_memory_extracted",
    ),
    ("PUT /v1/working-memory/{session_id}", "body", "memories", RECORD.replace("id*", "id", 1)),
    ("PUT /v1/working-memory/{session_id}", "body", "long_term_memory_strategy", "strategy config"),
    ("POST /v1/long-term-memory", "body", "memories", RECORD),
    ("POST /v1/long-term-memory/search", "answer", "memories", f"{RECORD} dist* score score_type"),
    ("POST /v1/memory/prompt", "answer", "long_term_memories", f"{RECORD} dist* score score_type"),
    ("POST /v1/memory/prompt", "answer", "messages", "role* content*"),
    (
        "POST /v1/memory/prompt",
        "body",
        "session",
        "session_id* namespace user_id model_name context_window_max long_term_memory_strategy",
    ),
    *(
        ("POST /v1/long-term-memory/search", "body", field, "eq ne any all startswith")
        for field in ("session_id", "namespace", "user_id", "topics", "entities", "extraction_strategy", "memory_type")
    ),
    *(
        ("POST /v1/long-term-memory/search", "body", field, "gt lt gte lte eq ne between inclusive")
        for field in ("created_at", "last_accessed", "event_date")
    ),
]


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi())
    return found


def operation(name: str) -> dict[str, Any]:
    method, path = name.split(" ")
    found: dict[str, Any] = document()["paths"][path][method.lower()]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The object that a schema leads to: through references, lists and alternatives."""
    if "$ref" in schema:
        return resolved(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if schema.get("type") == "array":
        return resolved(schema["items"])
    objects = [found for one in schema.get("anyOf", ()) if "properties" in (found := resolved(one))]
    return objects[0] if objects else schema


def body(name: str) -> dict[str, Any]:
    return resolved(operation(name)["requestBody"]["content"]["application/json"]["schema"])


def answer(name: str) -> dict[str, Any]:
    return resolved(operation(name)["responses"]["200"]["content"]["application/json"]["schema"])


def names(fields: str) -> tuple[set[str], set[str]]:
    """All fields of a row of the table, and the required ones."""
    every = fields.split()
    return {one.rstrip("*") for one in every}, {one[:-1] for one in every if one.endswith("*")}


def check_body(schema: dict[str, Any], fields: str) -> None:
    known, required = names(fields)
    assert known <= set(schema["properties"])
    assert set(schema.get("required", ())) == required


def check_answer(schema: dict[str, Any], fields: str) -> None:
    """A field with a default stands in every answer too, so what is required there is not told by the schema."""
    known, _ = names(fields)
    assert known <= set(schema["properties"])


@pytest.mark.parametrize(("name", "query", "given", "answered"), OPERATIONS, ids=[row[0] for row in OPERATIONS])
def test_every_operation_of_the_contract_is_promised(name: str, query: str, given: str, answered: str) -> None:
    parameters = operation(name)["parameters"]
    assert set(query.split()) <= {one["name"] for one in parameters if one["in"] == "query"}
    assert not any(one["required"] for one in parameters if one["in"] != "path")
    assert {one["name"] for one in parameters if one["in"] == "path"} == {
        part[1:-1] for part in name.split("/") if part.startswith("{")
    }
    if given:
        check_body(body(name), given)
    else:
        assert "requestBody" not in operation(name)
    check_answer(answer(name), answered)


@pytest.mark.parametrize(("name", "side", "field", "fields"), INSIDE)
def test_what_stands_in_their_fields_is_promised_too(name: str, side: str, field: str, fields: str) -> None:
    schema = (body if side == "body" else answer)(name)["properties"][field]
    (check_body if side == "body" else check_answer)(resolved(schema), fields)
