"""Alerts fire when they should and are silent when they should be, as Prometheus' own tool says where it is installed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.charted import EVERYTHING, EXTERNAL, K8S, rendered

RULES = K8S / "chart" / "files" / "alerts.yaml"
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, which runs rules, is not installed here")
Series = dict[str, str]

LETTERS = 'agent_memory_dead_lettered_total{source="ingest",error="ValueError",instance="%s"}'
TICKS = 'agent_memory_ticks_total{job="stream-trim"}'
MCP = 'agent_memory_service_info{service="mcp",replica="a"}'
CALLS = 'agent_memory_mcp_calls_total{tool="forget",outcome="%s"}'
REQUESTS = 'agent_memory_mcp_requests_total{status="%s"}'
GRPC = 'agent_memory_grpc_requests_total{method="IngestEvent",status="%s"}'
BEGUN, DONE = (
    f'kube_cronjob_status_last_{time}_time{{namespace="memory",cronjob="am-agent-memory-backup",instance="k"}}'
    for time in ("schedule", "successful")
)
BREAKER = 'agent_memory_breaker_state{provider="api.openai.com:443",instance="%s"}'
USED, MOST, MACHINE = "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_total_system_memory_bytes"


def rules() -> dict[str, Any]:
    """All rules, with those that a chart with backups adds."""
    (made,) = (one["spec"] for one in rendered(EVERYTHING) if one["kind"] == "PrometheusRule")
    assert made["groups"][:-1] == yaml.safe_load(RULES.read_text())["groups"]
    spec: dict[str, Any] = made
    return spec


def minutes(value: int, times: int = 600, *, by: int = 0) -> str:
    """A value each minute, as promtool writes it."""
    return f"{value}+{by}x{times}"


FIRES: dict[str, tuple[str, str, Series]] = {
    "the first dead letter of its kind": ("AgentMemoryDeadLetters", "20m", {LETTERS % "a": "_x15 1x60"}),
    "another one, on another replica": ("AgentMemoryDeadLetters", "60m", {LETTERS % "a": minutes(3), LETTERS % "b": "_x55 1x60"}),
    "a scheduler without ticks from its start": ("AgentMemoryNoTicks", "3h", {TICKS: minutes(0)}),
    "a scheduler that ticks no more": ("AgentMemoryNoTicks", "5h", {TICKS: "0+1x120 120x480"}),
    "MCP is gone": ("AgentMemoryMcpMissing", "5h", {MCP: minutes(1, 120)}),
    "tools of MCP fail": ("AgentMemoryMcpFails", "30m", {CALLS % "answered": minutes(0, by=9), CALLS % "failed": minutes(0, by=1)}),
    "MCP's memory server is away": ("AgentMemoryMcpFails", "30m", {CALLS % "ConnectionFailed": minutes(0, by=1)}),
    "MCP lets nobody in": ("AgentMemoryMcpFails", "30m", {REQUESTS % "503": minutes(0, by=1), CALLS % "answered": minutes(0)}),
    "a provider fails": ("AgentMemoryModelAway", "30m", {BREAKER % "a": "0x5 2x60"}),
    "a provider hangs": ("AgentMemoryModelAway", "40m", {BREAKER % "a": "0x5 " + "2 1 1 " * 20}),
    "a backup that was not done": ("AgentMemoryBackupFails", "5h", {BEGUN: minutes(100), DONE: minutes(50)}),
    "no backup that was ever done": ("AgentMemoryBackupFails", "5h", {BEGUN: minutes(100)}),
    "gRPC fails": ("AgentMemoryCallsFail", "30m", {GRPC % "OK": minutes(0, by=9), GRPC % "UNAVAILABLE": minutes(0, by=1)}),
    "Redis near its limit": ("AgentMemoryRedisFull", "1h", {USED: minutes(9), MOST: minutes(10), MACHINE: minutes(100)}),
    "Redis near that of the machine": ("AgentMemoryRedisFull", "1h", {USED: minutes(9), MOST: minutes(0), MACHINE: minutes(10)}),
}
SILENT: dict[str, tuple[str, str, Series]] = {
    "a dead letter of yesterday": ("AgentMemoryDeadLetters", "60m", {LETTERS % "a": minutes(1)}),
    "a job that comes due each hour": ("AgentMemoryNoTicks", "8h", {TICKS: " ".join(f"{hour}x59" for hour in range(10))}),
    "a provider that answers again": ("AgentMemoryModelAway", "30m", {BREAKER % "a": "2x20 0x20"}),
    "a provider that one replica has not asked since": (
        "AgentMemoryModelAway",
        "60m",
        {BREAKER % "a": "2x10 1x60", BREAKER % "b": "2x10 0x60"},
    ),
    "a backup that goes on": ("AgentMemoryBackupFails", "5h", {BEGUN: "100x240 200x240", DONE: minutes(150)}),
    "MCP that nobody runs": ("AgentMemoryMcpMissing", "5h", {}),
    "MCP that runs": ("AgentMemoryMcpMissing", "5h", {MCP: minutes(1)}),
    "calls that cannot succeed": (
        "AgentMemoryMcpFails",
        "30m",
        {CALLS % outcome: minutes(0, by=1) for outcome in ("answered", "refused", "given up", "NotFound", "Forbidden")},
    ),
    "clients of MCP without a credential": ("AgentMemoryMcpFails", "30m", {REQUESTS % "401": minutes(0, by=1)}),
    "gRPC calls that cannot succeed": ("AgentMemoryCallsFail", "30m", {GRPC % "INVALID_ARGUMENT": minutes(0, by=1)}),
    "Redis with room": ("AgentMemoryRedisFull", "1h", {USED: minutes(8), MOST: minutes(10), MACHINE: minutes(9)}),
}


def firing(alert: str, at: str, series: Series, folder: Path) -> bool:
    """Whether the alert fires then, whatever its labels are."""
    (folder / "rules.yaml").write_text(json.dumps(rules()))
    values = [{"series": name, "values": shown} for name, shown in series.items()]
    asked = {"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > 0 or vector(0)', "eval_time": at}
    told: dict[str, Any] = {
        "rule_files": [str(folder / "rules.yaml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": values, "promql_expr_test": [{**asked, "exp_samples": [{"value": 0}]}]}],
    }
    (folder / "told.yaml").write_text(json.dumps(told))
    ran = subprocess.run(["promtool", "test", "rules", str(folder / "told.yaml")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0 or "got:" in ran.stdout + ran.stderr, ran.stdout + ran.stderr
    return ran.returncode != 0


@needs_promtool
@pytest.mark.parametrize(("alert", "at", "series"), [pytest.param(*each, id=name) for name, each in FIRES.items()])
def test_an_alert_fires(alert: str, at: str, series: Series, tmp_path: Path) -> None:
    assert firing(alert, at, series, tmp_path)


@needs_promtool
@pytest.mark.parametrize(("alert", "at", "series"), [pytest.param(*each, id=name) for name, each in SILENT.items()])
def test_an_alert_is_silent(alert: str, at: str, series: Series, tmp_path: Path) -> None:
    assert not firing(alert, at, series, tmp_path)


def test_the_alert_of_backups_is_there_with_backups_alone_and_has_a_page() -> None:
    (rule,) = rules()["groups"][-1]["rules"]
    page = (K8S.parents[1] / "docs" / "operations.md").read_text()
    assert f"### {rule['alert']}\n" in page
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
    without = rendered({**EXTERNAL, "monitoring": {"prometheusRule": True}})
    (spec,) = (one["spec"] for one in without if one["kind"] == "PrometheusRule")
    assert rule["alert"] not in str(spec)
