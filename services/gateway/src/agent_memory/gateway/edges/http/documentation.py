"""/openapi.json and /docs (and /redoc): made once from one table of operations. The page needs no script and no network."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

import msgspec
from litestar import get
from litestar.types import ASGIApp

from agent_memory.contracts.bundles import Restored
from agent_memory.contracts.jobs import SchedulerStatus
from agent_memory.contracts.records import MemoryRecord, SummaryView, Task
from agent_memory.contracts.toc import TocNode
from agent_memory.gateway.edges.http import shapes
from agent_memory.gateway.edges.http.call import HttpRequest
from agent_memory.gateway.edges.http.responses import Answered

SCOPE = {"namespace": "string", "user_id": "string"}
POSITION = {"min_position": "integer"}
AS_OF = {"as_of": "string"}
WINDOW = {"model_name": "string", "context_window_max": "integer", "recent_messages_limit": "integer"}
PAGE = {"limit": "integer", "offset": "integer"}


class Operation(msgspec.Struct, frozen=True):
    """One method of one path: what it is for, its query parameters, its body and its answer."""

    method: str
    path: str
    summary: str
    answer: Any
    body: Any = None
    query: Mapping[str, str] = {}

    @property
    def writes(self) -> bool:
        """Whether it changes something, so that it takes an Idempotency-Key and answers X-Memory-Position."""
        return self.method != "get" and not self.path.endswith(("/search", "prompt"))


_REWRITTEN = {"optimize_query": "boolean", **POSITION}
_OLD_SESSION = "/sessions/{session_id}/memory"
UNVERSIONED: Sequence[Operation] = (
    Operation("get", "/health", "As /v1/health, for older clients", shapes.Health),
    Operation("get", "/sessions", "List sessions, for older clients", shapes.SessionList, None, {**PAGE, **SCOPE, **POSITION}),
    Operation(
        "get",
        _OLD_SESSION,
        "A session's newest messages, for older clients; empty when there is none",
        shapes.SessionAnswer,
        None,
        {**SCOPE, "window_size": "integer", "model_name": "string", "context_window_max": "integer", **POSITION},
    ),
    Operation(
        "put",
        _OLD_SESSION,
        "Replace a session's working memory, for older clients; it lives for an hour unless it says how long",
        shapes.SessionAnswer,
        shapes.SessionBody,
        {"user_id": "string", "model_name": "string", "context_window_max": "integer"},
    ),
    Operation("delete", _OLD_SESSION, "Forget a session's working memory, for older clients", shapes.Status, None, SCOPE),
    Operation(
        "post", "/long-term-memory", "Create or replace memories, for older clients", shapes.MemoriesAnswer, shapes.MemoriesBody
    ),
    Operation(
        "post",
        "/long-term-memory/search",
        "Search memories, for older clients",
        shapes.FoundMemories,
        shapes.MemorySearch,
        _REWRITTEN,
    ),
    Operation(
        "post",
        "/memory/search",
        "Search memories and sessions, for older clients",
        shapes.FoundMemories,
        shapes.MemorySearch,
        _REWRITTEN,
    ),
    Operation(
        "post",
        "/memory-prompt",
        "A query with what is remembered, for older clients",
        shapes.PromptAnswer,
        shapes.PromptBody,
        _REWRITTEN,
    ),
)
_SESSION, _MEMORY = "/v1/working-memory/{session_id}", "/v1/long-term-memory/{memory_id}"
_VIEWS, _VIEW = "/v1/summary-views", "/v1/summary-views/{view_id}"
_JOB = "/v1/scheduler/jobs/{job_name}"
_NODE, _GRIP = "/v1/timeline/nodes/{node_id}", "/v1/timeline/grips/{grip_id}"
_TOC = {**SCOPE, **POSITION}
_TOC_PAGE, _BESIDE = {"limit": "integer", "continuation_token": "string"}, {"events_before": "integer", "events_after": "integer"}
_MEMORIES = "/v1/long-term-memory"
_RANGE = {"from": "string", "to": "string", "session_id": "string", "limit": "integer", "cursor": "string", **SCOPE, **POSITION}


def _events_at(path: str) -> Sequence[Operation]:
    return (
        Operation("post", path, "Record one event or up to 1,000", shapes.EventsAnswer, shapes.EventsBody, SCOPE),
        Operation("get", path, "Events of one scope by time", shapes.EventPage, None, _RANGE),
    )


OPERATIONS: Sequence[Operation] = (
    *_events_at("/v1/events"),
    *_events_at("/v1/timeline/events"),
    Operation("post", "/v1/timeline/search", "Search what was said", shapes.FoundEvents, shapes.TimelineSearch, POSITION),
    Operation("get", "/v1/timeline/root", "The years of the table of contents, newest first", shapes.TocNodes, None, _TOC),
    Operation("get", _NODE, "One node, now or at a version", TocNode, None, {"version": "integer", **_TOC}),
    Operation("get", f"{_NODE}/children", "What stands under a node", shapes.TocNodes, None, {**_TOC_PAGE, **_TOC}),
    Operation("get", _GRIP, "The words of a grip and what was said around them", shapes.ExpandedGrip, None, {**_BESIDE, **_TOC}),
    Operation("get", "/v1/working-memory", "List sessions", shapes.SessionList, None, {**PAGE, **SCOPE, **POSITION}),
    Operation("get", _SESSION, "A session's working memory", shapes.SessionAnswer, None, {**SCOPE, **WINDOW, **AS_OF, **POSITION}),
    Operation(
        "put",
        _SESSION,
        "Replace a session's working memory",
        shapes.SessionAnswer,
        shapes.SessionBody,
        {"user_id": "string", "model_name": "string", "context_window_max": "integer"},
    ),
    Operation("delete", _SESSION, "Forget a session's working memory", shapes.Status, None, SCOPE),
    Operation("post", f"{_SESSION}/messages", "Append messages", shapes.MessagesAnswer, shapes.MessagesBody, SCOPE),
    Operation("post", _MEMORIES, "Create or replace memories", shapes.MemoriesAnswer, shapes.MemoriesBody),
    Operation("delete", _MEMORIES, "Forget memories by id", shapes.Status, None, {"memory_ids": "array"}),
    Operation("get", _MEMORY, "One memory, now or as of a time or log position", MemoryRecord, None, {**AS_OF, **POSITION}),
    Operation("get", f"{_MEMORY}/history", "What happened to a memory", shapes.MemoryHistory, None, POSITION),
    Operation("post", f"{_MEMORY}/unmerge", "Take the newest merge of a memory back", MemoryRecord),
    Operation("post", f"{_MEMORIES}/compact", "Merge memories that say the same", shapes.Compaction, None, SCOPE),
    Operation("patch", _MEMORY, "Change fields of a memory", MemoryRecord, shapes.MemoryEdit),
    Operation("post", f"{_MEMORIES}/search", "Search memories", shapes.FoundMemories, shapes.MemorySearch, _REWRITTEN),
    Operation(
        "post",
        f"{_MEMORIES}/forget",
        "Forget memories by policy",
        shapes.ForgetAnswer,
        shapes.ForgetBody,
        {**SCOPE, "session_id": "string", "limit": "integer", "dry_run": "boolean"},
    ),
    Operation("post", "/v1/memory/prompt", "A query with what is remembered", shapes.PromptAnswer, shapes.PromptBody, _REWRITTEN),
    Operation("post", "/v1/memory/search", "Search memories and sessions", shapes.FoundMemories, shapes.MemorySearch, _REWRITTEN),
    Operation("post", _VIEWS, "Define a summary view", SummaryView, shapes.SummaryViewBody),
    Operation("get", _VIEWS, "All summary views, the oldest first", list[SummaryView], None, POSITION),
    Operation("get", _VIEW, "One summary view", SummaryView, None, POSITION),
    Operation("delete", _VIEW, "Forget a summary view and its partitions", shapes.Status),
    Operation("post", f"{_VIEW}/partitions/run", "Summarise one group now", shapes.PartitionShape, shapes.PartitionBody),
    Operation(
        "get",
        f"{_VIEW}/partitions",
        "The partitions of a summary view",
        list[shapes.PartitionShape],
        None,
        {**SCOPE, "session_id": "string", "memory_type": "string", **POSITION},
    ),
    Operation("post", f"{_VIEW}/run", "Have all groups summarised in the background", Task, shapes.RunBody),
    Operation("get", "/v1/tasks/{task_id}", "How far a task is", Task, None, POSITION),
    Operation("get", "/v1/scheduler", "Whether a scheduler runs, and how each job stands", SchedulerStatus),
    Operation("get", f"{_JOB}/runs", "The last runs of a job, the newest first", shapes.JobRunsAnswer, None, {"limit": "integer"}),
    Operation("post", f"{_JOB}/pause", "Pass over what comes due of a job (admin)", shapes.Status),
    Operation("post", f"{_JOB}/resume", "Run again what comes due of a job (admin)", shapes.Status),
    Operation("post", f"{_JOB}/run", "Have a job run at once (admin)", shapes.Status),
    Operation(
        "get",
        "/v1/bundle",
        "All that is stored, as lines of JSON that can be restored elsewhere (admin)",
        str,
        None,
        {**SCOPE, "embeddings": "boolean", "answers": "boolean"},
    ),
    Operation(
        "post",
        "/v1/bundle",
        "Restore a bundle, sent as it was got (admin)",
        Restored,
        None,
        {"dry_run": "boolean", "keep": "boolean"},
    ),
    Operation("get", "/v1/health", "Whether the process is alive", shapes.Health),
    Operation("get", "/ready", "Whether requests can be answered; 503 and what is missing if not", shapes.Ready),
    Operation("get", "/v1/whoami", "Whom the credential stands for, and how far that reaches", shapes.Identity),
    Operation("get", "/v1/status", "How far every projection is", shapes.StatusAnswer),
    Operation("get", "/metrics", "Prometheus metrics (text)", str),
    *UNVERSIONED,
)


def _anything(kind: type) -> dict[str, Any]:
    """The schema of `object`, which stands for any JSON value."""
    return {"description": "any JSON value"}


@cache
def openapi() -> bytes:
    """The OpenAPI 3.1 document."""
    kinds = list({kind: None for operation in OPERATIONS for kind in (operation.answer, operation.body) if kind is not None})
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}", schema_hook=_anything)
    known = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, known)
    info = {"title": "Agent Memory", "version": "1", "description": "Durable memory for AI agents."}
    document = {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": components}}
    return json.dumps(document).encode()


def _operation(operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    for name, kind in operation.query.items():
        schema = {"type": "array", "items": {"type": "string"}} if kind == "array" else {"type": kind}
        parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    conditions = ("If-Match", "If-None-Match") if operation.method == "put" else ()
    for name in (*(("Idempotency-Key",) if operation.writes else ()), *conditions):
        parameters.append({"name": name, "in": "header", "required": False, "schema": {"type": "string"}})
    result = {
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": schemas[operation.answer]}}}},
    }
    if operation.body is not None:
        result["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[operation.body]}}}
    return result


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "details{border:1px solid #8884;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}summary{cursor:pointer}"
    "b{display:inline-block;width:4.5rem}code,pre{font:13px ui-monospace,monospace}pre{overflow:auto}"
)


@cache
def page() -> bytes:
    """The documentation as one HTML page."""
    document = json.loads(openapi())
    parts = [_section(path, method, found) for path, methods in document["paths"].items() for method, found in methods.items()]
    named = [
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary><pre>{_pretty(schema)}</pre></details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Agent Memory</title><style>{_STYLE}</style><h1>Agent Memory</h1>"
        f"<p><a href=/openapi.json>openapi.json</a></p>{''.join(parts)}<h2>Shapes</h2>{''.join(named)}</html>"
    ).encode()


def _section(path: str, method: str, found: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<li><code>{escape(one['name'])}</code> ({one['in']}, {one['schema']['type']})</li>" for one in found["parameters"]
    )
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answer = found["responses"]["200"]["content"]["application/json"]["schema"]
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code> {escape(found['summary'])}</summary><ul>{rows}</ul>"
        f"{'<p>Body</p><pre>' + _pretty(body) + '</pre>' if body else ''}<p>Answer</p><pre>{_pretty(answer)}</pre></details>"
    )


def _pretty(schema: Any) -> str:
    return escape(json.dumps(schema, indent=1, ensure_ascii=False))


@get("/openapi.json", status_code=200)
async def get_openapi(request: HttpRequest) -> ASGIApp:
    """The OpenAPI document."""
    return Answered(openapi())


@get(["/docs", "/redoc"], status_code=200)
async def get_docs(request: HttpRequest) -> ASGIApp:
    """The documentation page."""
    return Answered(page(), kind=b"text/html; charset=utf-8")


def handlers() -> list[Any]:
    """The routes of the documentation."""
    return [get_openapi, get_docs]
