"""The Grafana dashboards, as data: what is shown, in which unit, by which query. `./run manifests` writes them as JSON."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

SOURCE = {"type": "prometheus", "uid": "${source}"}
RATE = "$__rate_interval"


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One graph: queries by their legend. `width` of 24 columns."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    meaning: str = ""
    width: int = 8
    stacked: bool = False


def per_second(metric: str, by: str, condition: str = "") -> dict[str, str]:
    """A counter as a rate, by a label."""
    labels = ", ".join(by.split())
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split())
    return {legend: f"sum by ({labels}) (rate(agent_memory_{metric}_total{condition}[{RATE}]))"}


def mean(numerator: str, count: str, by: str = "") -> str:
    """One rate over another."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate(agent_memory_{numerator}[{RATE}])) / sum{grouped} (rate(agent_memory_{count}[{RATE}]))"


def quantiles(metric: str, condition: str = "") -> dict[str, str]:
    """Median, 95th and 99th percentile of a histogram of seconds."""
    buckets = f"sum by (le) (rate(agent_memory_{metric}_bucket{condition}[{RATE}]))"
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: f"histogram_quantile({share}, {buckets})" for name, share in shares.items()}


def slowest(metric: str, by: str, share: float = 0.99) -> dict[str, str]:
    """One percentile of a histogram of seconds, by a label."""
    return {f"{{{{{by}}}}}": f"histogram_quantile({share}, sum by (le, {by}) (rate(agent_memory_{metric}_bucket[{RATE}])))"}


FAILED = 'sum(rate(agent_memory_http_requests_total{status=~"5.."}[$__rate_interval]))'
ALL = "sum(rate(agent_memory_http_requests_total[$__rate_interval]))"

GATEWAY = (
    Panel(title="Requests, by status", queries=per_second("http_requests", "status"), unit="reqps", stacked=True),
    Panel(title="Answered with 5xx", queries={"share": f"{FAILED} / {ALL}"}, unit="percentunit"),
    Panel(title="HTTP, from request read to answer written", queries=quantiles("http_request_seconds"), unit="s"),
    Panel(title="Requests, by route", queries=per_second("http_requests", "method route"), unit="reqps", width=12),
    Panel(title="p99 by route", queries=slowest("http_request_seconds", "route"), unit="s", width=12),
    Panel(title="gRPC calls", queries=per_second("grpc_requests", "method status"), unit="reqps"),
    Panel(title="gRPC, p99 by method", queries=slowest("grpc_request_seconds", "method"), unit="s"),
    Panel(title="MCP requests, by status", queries=per_second("mcp_requests", "status"), unit="reqps"),
    Panel(title="MCP calls, by tool and how they ended", queries=per_second("mcp_calls", "tool outcome"), unit="reqps"),
    Panel(title="MCP, p99 by tool", queries=slowest("mcp_call_seconds", "tool"), unit="s"),
    Panel(title="Searches, p95 by mode", queries=slowest("search_seconds", "mode", 0.95), unit="s"),
    Panel(title="Commands sent", queries=per_second("commands_sent", "command"), unit="ops"),
    Panel(title="Command to reply, p99", queries=slowest("command_seconds", "command"), unit="s"),
    Panel(
        title="Replies lost",
        queries={"asked of the log instead": f"sum(rate(agent_memory_replies_lost_total[{RATE}]))"},
        unit="ops",
        meaning="A reply did not come in time: the outcome was asked of the log. Nothing is lost, but somebody waited.",
    ),
)

LEDGER = {
    "committed": f"sum(rate(agent_memory_events_accepted_total[{RATE}]))",
    "{{projection}}: applied, skipped or dead": (
        f"sum by (projection) (rate(agent_memory_events_applied_total[{RATE}]))"
        f" + on (projection) sum by (projection) (rate(agent_memory_events_skipped_total[{RATE}]))"
    ),
}

PIPELINE = (
    Panel(
        title="Lag of each view",
        queries={"{{projection}}": "max by (projection) (agent_memory_projection_lag)"},
        meaning="Events between the end of the log and what the view shows.",
        width=12,
    ),
    Panel(
        title="The ledger",
        queries=LEDGER,
        unit="ops",
        width=12,
        meaning="Committed is, for every view: applied, skipped, given up or still to come. `agent-memory doctor` counts exactly.",
    ),
    Panel(title="Events committed, by type", queries=per_second("events_accepted", "type"), unit="ops", stacked=True),
    Panel(title="Commands decided", queries=per_second("commands_accepted", "command"), unit="ops"),
    Panel(title="Commands refused", queries=per_second("commands_refused", "command error"), unit="ops"),
    Panel(title="Commands seen before", queries=per_second("commands_repeated", "command"), unit="ops"),
    Panel(title="One transaction of the log", queries=quantiles("append_seconds"), unit="s"),
    Panel(title="Events in one transaction", queries={"events": mean("events_accepted_total", "append_seconds_count")}),
    Panel(
        title="Committed, and not on the bus",
        queries={"events": "max(agent_memory_log_position) - max(agent_memory_relay_position)"},
    ),
    Panel(title="Applying one batch, p95", queries=slowest("project_seconds", "projection", 0.95), unit="s"),
    Panel(title="Attempts after the first", queries=per_second("retries", "operation"), unit="ops"),
    Panel(title="Reading the log itself", queries={"{{projection}}": "max by (projection) (agent_memory_catching_up)"}),
    Panel(title="Given up", queries=per_second("dead_lettered", "source error"), unit="ops"),
    Panel(
        title="Commands left for a newer ingest",
        queries={"commands": "sum(rate(agent_memory_commands_left_total[$__rate_interval]))"},
    ),
    Panel(
        title="Waits for a newer version",
        queries={"{{projection}}": "max by (projection) (agent_memory_events_waiting)"},
        meaning="Events that the replicas of this view cannot read: the first upgraded one applies them.",
    ),
    Panel(title="Documents indexed", queries=per_second("documents_indexed", "index"), unit="ops"),
    Panel(
        title="Messages handled together",
        queries={"{{operation}}": mean("batch_size_sum", "batch_size_count", "operation")},
    ),
)

MODELS = (
    Panel(title="Answers, by origin", queries=per_second("model_answers", "model origin"), unit="ops"),
    Panel(title="One completion, p95", queries=slowest("model_seconds", "model", 0.95), unit="s"),
    Panel(title="Tokens", queries=per_second("model_tokens", "model kind"), unit="ops", stacked=True),
    Panel(
        title="Cost a day, at the prices above",
        queries={
            "all models": (
                'sum(rate(agent_memory_model_tokens_total{kind="prompt"}[1h])) * 86400 / 1e6 * $prompt_price'
                ' + sum(rate(agent_memory_model_tokens_total{kind="completion"}[1h])) * 86400 / 1e6 * $completion_price'
            )
        },
        unit="currencyUSD",
        meaning="Prices are those typed above, per million tokens: the system knows none.",
    ),
    Panel(title="Provider left alone", queries={"{{provider}}": "max by (provider) (agent_memory_breaker_state)"}),
    Panel(title="One call of the embedding model, p95", queries=slowest("embed_seconds", "model", 0.95), unit="s"),
    Panel(title="Texts embedded, by origin", queries=per_second("texts_embedded", "origin"), unit="ops"),
    Panel(title="Memories merged", queries=per_second("memories_merged", "by"), unit="ops"),
    Panel(
        title="Forgotten by policy",
        queries={"memories": f"sum(rate(agent_memory_memories_forgotten_by_policy_total[{RATE}]))"},
        unit="ops",
    ),
)

WORK = (
    Panel(title="Work that waits", queries={"{{work}}": "max by (work) (agent_memory_work_pending)"}),
    Panel(title="Work done", queries=per_second("work_done", "work"), unit="ops"),
    Panel(title="One piece of work, p95", queries=slowest("work_seconds", "work", 0.95), unit="s"),
    Panel(title="Ticks", queries=per_second("ticks", "job"), unit="ops"),
    Panel(title="One run of a job, p95", queries=slowest("job_seconds", "job", 0.95), unit="s"),
    Panel(title="Index against log", queries={"{{index}}": "max by (index) (agent_memory_index_difference)"}),
    Panel(title="Errors", queries=per_second("errors", "operation error"), unit="ops", width=12),
    Panel(title="Attempts after the first", queries=per_second("retries", "operation"), unit="ops", width=12),
    Panel(title="Replicas", queries={"{{service}}": "count by (service) (agent_memory_service_info)"}),
    Panel(title="Memory of each process", queries={"{{job}} {{instance}}": "process_resident_memory_bytes"}, unit="bytes"),
    Panel(title="Processors used", queries={"{{job}} {{instance}}": f"rate(process_cpu_seconds_total[{RATE}])"}),
)

SERVERS = (
    Panel(title="Redis: memory", queries={"used": "redis_memory_used_bytes", "most": "redis_memory_max_bytes"}, unit="bytes"),
    Panel(title="Redis: commands", queries={"{{instance}}": f"rate(redis_commands_processed_total[{RATE}])"}, unit="ops"),
    Panel(title="Redis: entries of streams", queries={"{{stream}}": "redis_stream_length"}),
    Panel(title="Redis: clients", queries={"{{instance}}": "redis_connected_clients"}),
    Panel(title="Redis: keys", queries={"{{db}}": "redis_db_keys"}),
    Panel(title="Connections lost", queries=per_second("reconnects", "server"), unit="ops"),
    Panel(title="Postgres: commits", queries={"{{datname}}": f"rate(pg_stat_database_xact_commit[{RATE}])"}, unit="ops"),
    Panel(title="Postgres: size", queries={"{{datname}}": "pg_database_size_bytes"}, unit="bytes"),
    Panel(title="Postgres: connections", queries={"{{datname}}": "pg_stat_database_numbackends"}),
    Panel(title="Postgres: rows inserted", queries={"{{datname}}": f"rate(pg_stat_database_tup_inserted[{RATE}])"}, unit="ops"),
    Panel(title="Postgres: rolled back", queries={"{{datname}}": f"rate(pg_stat_database_xact_rollback[{RATE}])"}, unit="ops"),
    Panel(title="Postgres: deadlocks", queries={"{{datname}}": f"rate(pg_stat_database_deadlocks[{RATE}])"}, unit="ops"),
)

DASHBOARDS: dict[str, tuple[str, Sequence[Panel]]] = {
    "gateway": ("Agent Memory: the door", GATEWAY),
    "pipeline": ("Agent Memory: log and views", PIPELINE),
    "models": ("Agent Memory: models and their cost", MODELS),
    "work": ("Agent Memory: background work and processes", WORK),
    "servers": ("Agent Memory: Redis and Postgres", SERVERS),
}


def dashboard(name: str) -> str:
    """One of them as Grafana reads it."""
    title, panels = DASHBOARDS[name]
    variables: list[dict[str, Any]] = [{"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}]
    if name == "models":
        variables += [
            _typed("prompt_price", "$ per million prompt tokens"),
            _typed("completion_price", "$ per million completion tokens"),
        ]
    shown: dict[str, Any] = {
        "uid": f"agent-memory-{name}",
        "title": title,
        "tags": ["agent-memory"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables},
        "panels": _placed(panels),
    }
    return json.dumps(shown, indent=1) + "\n"


def _typed(name: str, label: str) -> dict[str, Any]:
    now = {"text": "1", "value": "1"}
    return {"name": name, "label": label, "type": "textbox", "query": "1", "current": now, "options": [{**now, "selected": True}]}


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """From left to right, in rows of 24 columns."""
    found, x, y = [], 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y = 0, y + 8
        found.append(_panel(panel, number, x, y))
        x += panel.width
    return found


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    drawn = {"fillOpacity": 20 if panel.stacked else 5, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(65 + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }
