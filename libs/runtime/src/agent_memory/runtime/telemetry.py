"""Every metric and span of the system, by name, in one place. Values are set where things happen; what they mean stands here.

The ledger that must always add up, per projection: events in the log = applied + skipped + dead-lettered + in flight.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agent_memory.runtime.tracing import NOTHING, Attribute, about, batch_span, span, traceparent_of

__all__ = ["NOTHING", "SPANS", "SpanName", "about", "batch_span", "expose", "measured", "span", "traceparent_of"]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

FAST = (0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"agent_memory_{name}", meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"agent_memory_{name}", meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"agent_memory_{name}", meaning, labels, buckets=buckets, registry=REGISTRY)


# At the door
HTTP_REQUESTS = _counter("http_requests", "Requests answered, by route template and status", "method", "route", "status")
HTTP_SECONDS = _histogram("http_request_seconds", "From request read to answer written", FAST, "method", "route")
GRPC_REQUESTS = _counter("grpc_requests", "Calls answered, by method and status", "method", "status")
GRPC_SECONDS = _histogram("grpc_request_seconds", "From call read to answer made", FAST, "method")
MCP_REQUESTS = _counter("mcp_requests", "Requests of MCP over HTTP, by status; health checks are not among them", "status")
MCP_CALLS = _counter("mcp_calls", "Calls of MCP tools, by how they ended (answered, refused, given up, error)", "tool", "outcome")
MCP_SECONDS = _histogram("mcp_call_seconds", "From call to answer, the memory server's time included", FAST, "tool")
COMMANDS_SENT = _counter("commands_sent", "Commands put on the bus", "command")
COMMAND_SECONDS = _histogram("command_seconds", "From sending a command to having its reply, as a caller sees it", FAST, "command")
REPLIES_LOST = _counter("replies_lost", "Commands whose outcome was asked of the log, because no reply came in time")
SEARCH_SECONDS = _histogram("search_seconds", "One search, query embedding included", FAST, "mode")

# Into the log
COMMANDS_ACCEPTED = _counter("commands_accepted", "Commands decided and committed", "command")
COMMANDS_REFUSED = _counter("commands_refused", "Commands answered with a fault", "command", "error")
COMMANDS_REPEATED = _counter("commands_repeated", "Commands seen before: answered again, without a second effect", "command")
COMMANDS_LEFT = _counter("commands_left", "Times that a command was left to wait for an ingest of a newer version")
EVENTS_ACCEPTED = _counter("events_accepted", "Events committed to the log", "type")
APPEND_SECONDS = _histogram("append_seconds", "One transaction of the log, commit included", FAST)
RELAY_POSITION = _gauge("relay_position", "Last log position that was published on the bus")
LOG_POSITION = _gauge("log_position", "Last committed log position, as this process knows it")

# Out of the log, per projection
APPLIED = _counter("events_applied", "Events whose effect is in the view", "projection")
SKIPPED = _counter("events_skipped", "Events that are of no interest to the projection", "projection")
WAITING = _gauge("events_waiting", "Events of a newer version, passed over until a replica that can read them runs", "projection")
DEAD_LETTERED = _counter("dead_lettered", "Messages given up and kept for replay", "source", "error")
LAG = _gauge("projection_lag", "Positions between the end of the log and the checkpoint", "projection")
PROJECT_SECONDS = _histogram("project_seconds", "Applying one batch to a view", SLOW, "projection")
CATCHING_UP = _gauge("catching_up", "1 while a projection reads the log itself instead of the bus", "projection")
INDEXED = _counter("documents_indexed", "Documents written to a search index", "index")

# Models
EMBEDDED = _counter("texts_embedded", "Texts turned into vectors, by where the vector came from (model, cache)", "origin")
EMBED_SECONDS = _histogram("embed_seconds", "One call of the embedding model", SLOW, "model")
MODEL_SECONDS = _histogram("model_seconds", "One completion", SLOW, "model")
MODEL_ANSWERS = _counter("model_answers", "Answers of a model, by where they came from (model, journal)", "model", "origin")
MODEL_TOKENS = _counter("model_tokens", "Tokens that calls of a model took", "model", "kind")
BREAKER = _gauge("breaker_state", "0 closed (calls pass), 1 half open (the next call tries), 2 open (failed lately)", "provider")

# Background work
WORK_PENDING = _gauge("work_pending", "What waits to be done in the background and can be, also what is put off", "work")
WORK_DONE = _counter("work_done", "What was done in the background", "work")
WORK_SECONDS = _histogram("work_seconds", "One piece of background work, until its effect is seen", SLOW, "work")

# Less to remember
MERGED = _counter("memories_merged", "Memories that became part of others, by what told that they say the same", "by")
FORGOTTEN = _counter("memories_forgotten_by_policy", "Memories that the policy of the settings let go")

# Time
TICKS = _counter("ticks", "Ticks sent for jobs that came due", "job")
INDEX_DIFFERENCE = _gauge("index_difference", "Documents of a search index beyond what the log says, when last counted", "index")
JOB_SECONDS = _histogram("job_seconds", "One run of a job, in the service that does it", SLOW, "job")

# Everywhere
BATCH = _histogram("batch_size", "Messages handled together", SIZES, "operation")
RETRIES = _counter("retries", "Attempts after the first", "operation")
ERRORS = _counter("errors", "Failures, by the class of the error", "operation", "error")
RECONNECTS = _counter("reconnects", "Connections made again after they were lost", "server")
BUILD = _gauge("service_info", "1; its labels tell what runs here", "service", "replica")

SpanName = Literal[
    "http.request",
    "rpc.request",
    "mcp.call",
    "command.send",
    "ingest.batch",
    "log.append",
    "relay.publish",
    "projection.apply",
    "embed",
    "search_memory",
    "create_memory",
    "upsert_memory",
    "update_memory",
    "delete_memory",
    "model.ask",
    "work.do",
    "job.do",
    "job.tick",
]

SPANS: dict[SpanName, str] = {
    "http.request": "One request at the door, until it is answered",
    "rpc.request": "One gRPC call, until it is answered",
    "mcp.call": "One call of a tool of MCP, with all that it asks",
    "command.send": "A command, from the bus to its reply",
    "ingest.batch": "Commands decided together; linked to the trace of each",
    "log.append": "One transaction of the log",
    "relay.publish": "Committed events written to the bus; linked to the trace of each",
    "projection.apply": "Events applied to a view together; linked to the trace of each",
    "embed": "Texts turned into vectors",
    "search_memory": "One search at the door, with everything it asks",
    "create_memory": "Events or messages recorded, until that is answered",
    "upsert_memory": "A session or memories put, whether they were there or not",
    "update_memory": "A memory edited, or taken apart again",
    "delete_memory": "A session deleted, or memories forgotten",
    "model.ask": "One question to a model, with all attempts",
    "work.do": "One piece of background work",
    "job.do": "One run of a job",
    "job.tick": "A job came due",
}
if set(SPANS) != set(get_args(SpanName)):
    raise AssertionError("every span has one description")


@contextmanager
def measured(
    operation: str, seconds: Histogram, name: SpanName, parent: str | Sequence[str] = "", **attributes: Attribute
) -> Iterator[None]:
    """Time a piece of work into a histogram and a span; an error that leaves it is counted by its class and goes on.

    `parent` is the traceparent of what caused it, or several for a batch.
    """
    started = time.perf_counter()
    around = span(name, parent, **attributes) if isinstance(parent, str) else batch_span(name, parent, **attributes)
    try:
        with around:
            yield
    except Exception as error:
        ERRORS.labels(operation, type(error).__name__).inc()
        raise
    finally:
        seconds.observe(time.perf_counter() - started)


def expose() -> tuple[bytes, str]:
    """All metrics of this process as Prometheus reads them, and their content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
