"""Traces across the bus, and the ledger's metrics."""

import ast
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent_memory.runtime import telemetry, tracing
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.telemetry import batch_span, measured, span, traceparent_of
from support.scripted import Asked, Told, scripted

SOURCES = [path for part in ("libs", "services", "cli") for path in (Path(__file__).parents[2] / part).rglob("src/**/*.py")]


class Recorded:
    """Tracing that is on until `spans` is asked for."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracing.start(Settings(service_replica="a-1"), "ingest", exporter=self._exporter)

    def spans(self, name: str) -> list[ReadableSpan]:
        tracing.stop()
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    yield Recorded()
    tracing.stop()


def ids(one: ReadableSpan) -> tuple[int, int]:
    context = one.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def test_without_an_exporter_nothing_is_made_and_no_traceparent_is_given() -> None:
    tracing.start(Settings(), "ingest")
    with span("search"), batch_span("ingest.batch", ["00-" + "1" * 32 + "-" + "2" * 16 + "-01"]):
        assert traceparent_of() == ""
    assert span("search") is span("embed")


def test_a_traceparent_carries_the_trace_to_the_other_side_of_the_bus(recorded: Recorded) -> None:
    with span("http.request", route="/v1/events"):
        carried = traceparent_of()
    with span("ingest.batch", parent=carried):
        pass
    (below,) = recorded.spans("ingest.batch")
    assert below.parent is not None
    assert carried[:53] == f"00-{ids(below)[0]:032x}-{below.parent.span_id:016x}-"


@pytest.mark.parametrize("wrong", ["", "rubbish", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-zz-11-01"])
def test_a_traceparent_that_is_not_one_begins_a_new_trace(recorded: Recorded, wrong: str) -> None:
    with span("search", parent=wrong):
        pass
    (one,) = recorded.spans("search")
    assert one.parent is None


def test_a_batch_links_to_the_trace_of_each_message_and_each_trace_shows_the_work(recorded: Recorded) -> None:
    carried = []
    for _ in range(2):
        with span("http.request"):
            carried.append(traceparent_of())
    with batch_span("projection.apply", [carried[0], carried[1], carried[0], ""], projection="contents"):
        pass
    spans = recorded.spans("projection.apply")
    (batch,) = (one for one in spans if one.parent is None)
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [one[3:35] for one in carried]
    shown = [one for one in spans if one.parent is not None]
    assert sorted(f"{ids(one)[0]:032x}" for one in shown) == sorted(one[3:35] for one in carried)
    assert all(one.links[0].context.span_id == ids(batch)[1] for one in shown)


def test_a_batch_with_one_cause_stands_in_its_trace(recorded: Recorded) -> None:
    with span("http.request"):
        carried = traceparent_of()
    with batch_span("projection.apply", ["", carried, carried]):
        pass
    (one,) = recorded.spans("projection.apply")
    assert f"{ids(one)[0]:032x}" == carried[3:35]


def test_spans_reach_a_collector_over_http() -> None:
    with scripted(Told()) as collector:
        tracing.start(Settings(otel_exporter_otlp_endpoint=collector.url + "/"), "ingest")
        with span("search", mode="hybrid"):
            pass
        tracing.stop()
    (asked,) = collector.asked
    assert (asked.method, asked.path) == ("POST", "/v1/traces")
    assert b"agent-memory-ingest" in decompressed(asked)


def decompressed(asked: Asked) -> bytes:
    return gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body


def test_an_error_in_measured_work_is_counted_by_its_class_and_goes_on() -> None:
    with pytest.raises(ZeroDivisionError), measured("division", telemetry.APPEND_SECONDS, "log.append"):
        _ = 1 / 0
    assert (
        telemetry.REGISTRY.get_sample_value("agent_memory_errors_total", {"operation": "division", "error": "ZeroDivisionError"})
        == 1
    )


def test_every_metric_says_what_it_means_and_the_ledger_is_exposed() -> None:
    telemetry.APPLIED.labels("contents").inc(3)
    body, kind = telemetry.expose()
    assert kind.startswith("text/plain")
    assert b'agent_memory_events_applied_total{projection="contents"}' in body
    assert all(family.documentation for family in telemetry.REGISTRY.collect())


def test_every_span_that_the_code_opens_is_described() -> None:
    opened = {
        call.args[position].value
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and (position := {"span": 0, "batch_span": 0, "measured": 2}.get(_name(call), -1)) >= 0
        and len(call.args) > position
        and isinstance(call.args[position], ast.Constant)
    }
    assert opened <= set(telemetry.SPANS)


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="telemetry" | "tracing"), attr=name):
            return name
        case _:
            return ""  # such as `span` of a match in a text
