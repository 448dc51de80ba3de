"""Dashboards and alerts ask for metrics that exist and are set, in queries that Prometheus understands; every alert has a page."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import promql_parser
import pytest
import yaml

from agent_memory.runtime import telemetry
from support.charted import EVERYTHING, K8S, rendered
from support.composed import ROOT

FILES = K8S / "chart" / "files"
EXPORTERS = re.compile(r"\b(?:redis|pg|process)_\w+")
OWN = re.compile(r"\bagent_memory_\w+")
FROM_EXPORTERS = {
    *("process_resident_memory_bytes", "process_cpu_seconds_total"),
    *("redis_memory_used_bytes", "redis_memory_max_bytes", "redis_commands_processed_total", "redis_stream_length"),
    *("redis_connected_clients", "redis_db_keys", "redis_up", "redis_total_system_memory_bytes"),
    *("pg_up", "pg_database_size_bytes", "pg_stat_database_xact_commit", "pg_stat_database_xact_rollback"),
    *("pg_stat_database_numbackends", "pg_stat_database_tup_inserted", "pg_stat_database_deadlocks"),
}
"""What redis_exporter, postgres_exporter and Python's own collector of processes show, as their documentation says."""
STANDING_IN = {"$__rate_interval": "5m", "$prompt_price": "1", "$completion_price": "1"}


def labels_by_name() -> dict[str, set[str]]:
    """Every series of ours, by name, with the labels that it carries."""
    found: dict[str, set[str]] = {}
    for collector in list(telemetry.REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            found |= {family.name + ending: labels | ({"le"} if ending == "_bucket" else set()) for ending in endings}
    return found


SERIES = labels_by_name()


def dashboards() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((FILES / "dashboards").glob("*.json")):
        yield file.stem, json.loads(file.read_text())


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[Any]:
    for name, shown in dashboards():
        for panel in shown["panels"]:
            for target in panel["targets"]:
                yield pytest.param(target["expr"], target["legendFormat"], id=f"{name}: {panel['title']}")
    for rule in alerts():
        yield pytest.param(rule["expr"], rule["annotations"]["summary"].replace("$labels.", ""), id=rule["alert"])


QUERIES = list(queries())


@pytest.mark.parametrize(("query", "text"), QUERIES)
def test_a_query_is_understood_and_asks_for_what_exists(query: str, text: str) -> None:
    for variable, value in STANDING_IN.items():
        query = query.replace(variable, value)
    promql_parser.parse(query)
    own = set(OWN.findall(query))
    assert own <= SERIES.keys()
    assert set(EXPORTERS.findall(query)) <= FROM_EXPORTERS
    assert own or EXPORTERS.search(query)
    if own:
        known = set().union(*(SERIES[name] for name in own))
        grouped = {label for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in re.split(r",\s*", labels)}
        compared = set(re.findall(r"[{,]\s*(\w+)\s*[=!]~?\"", query))
        assert grouped | compared <= known
        assert set(re.findall(r"\{\{ ?(\w+) ?\}\}", text)) <= known


def test_labels_of_a_metric_hold_where_whoever_collects_it_has_the_same_for_the_target() -> None:
    of_targets = {"namespace", "service", "pod", "container", "endpoint", "job", "instance"}
    assert of_targets & set().union(*SERIES.values()) == {"service", "job"}
    monitors = [one for one in rendered(EVERYTHING) if one["kind"] == "ServiceMonitor"]
    assert {endpoint.get("honorLabels") for one in monitors for endpoint in one["spec"]["endpoints"]} == {True}
    jobs = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yaml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs if job.get("honor_labels")} == {"gateway", "services"}


def test_every_metric_is_set_somewhere_and_shown_on_some_dashboard() -> None:
    sources = [path for part in ("libs", "services", "cli") for path in (ROOT / part).rglob("src/**/*.py")]
    text = "\n".join(path.read_text() for path in sources if path.name != "telemetry.py")
    declared = re.findall(r'^([A-Z_]+) = _\w+\(\s*"(\w+)"', (ROOT / telemetry.__file__).read_text(), re.MULTILINE)
    assert len(declared) > 30
    assert [name for name, _ in declared if not re.search(rf"\btelemetry\.{name}\b", text)] == []
    shown = " ".join(target["expr"] for _, each in dashboards() for panel in each["panels"] for target in panel["targets"])
    assert [metric for _, metric in declared if f"agent_memory_{metric}" not in shown] == []


@pytest.mark.parametrize(("name", "shown"), [pytest.param(*each, id=each[0]) for each in dashboards()])
def test_panels_of_a_dashboard_have_a_place_of_their_own(name: str, shown: dict[str, Any]) -> None:
    assert shown["uid"] == f"agent-memory-{name}"
    places = [panel["gridPos"] for panel in shown["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
    assert len({panel["id"] for panel in shown["panels"]}) == len(places)


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    headings = {
        heading.lower() for heading in re.findall(r"^#+ (\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    }
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == ("docs/operations.md", rule["alert"].lower())
        assert anchor in headings, f"docs/operations.md says nothing of {rule['alert']}"
