"""OpenTelemetry, when an exporter is configured; close to nothing when not. Names of spans stand in `telemetry.py`.

A trace crosses the bus as a W3C `traceparent` in the envelopes. A batch has many causes, so its span links to each message's
trace, and each of those traces gets a span of the same duration that links back: every trace reads from request to index write.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeAlias

from agent_memory.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext, Tracer

Attribute: TypeAlias = str | int | float | bool

EXPORT_SECONDS = 3
LINKS = 128
"""Most traces that one batch span is linked to."""

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
NOTHING: AbstractContextManager[None] = nullcontext()
"""A block without a span."""


class _Tracing:
    """Of this process; one, as the SDK itself has one current span."""

    provider: "TracerProvider | None" = None
    tracer: "Tracer | None" = None


_state = _Tracing()


def start(settings: Settings, service: str, *, exporter: "SpanExporter | None" = None) -> None:
    """Send spans to OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP), or to the given exporter. Without either, do nothing."""
    if exporter is None and not settings.otel_exporter_otlp_endpoint:
        return
    # 60 MB and 0.4 s that only a traced process pays.
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        # A short time-out: what is left at stop must not hold up the stop when the collector is away.
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    names = {
        "service.name": settings.otel_service_name or f"agent-memory-{service}",
        "service.instance.id": settings.service_replica,
    }
    provider = TracerProvider(resource=Resource.create({key: value for key, value in names.items() if value}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _state.provider = provider
    _state.tracer = provider.get_tracer("agent_memory")


def stop() -> None:
    """Send what is left and turn tracing off. Blocks for as long as the exporter takes; call it last."""
    provider, _state.provider, _state.tracer = _state.provider, None, None
    if provider is not None:
        provider.shutdown()


def span(name: str, parent: str = "", **attributes: Attribute) -> AbstractContextManager[None]:
    """A span around a `with` block, below the given traceparent, else below the span that is current here."""
    return NOTHING if _state.tracer is None else _span(_state.tracer, name, parent, attributes)


def batch_span(name: str, parents: Iterable[str], **attributes: Attribute) -> AbstractContextManager[None]:
    """A span around work on several messages at once, given their traceparents (empty ones are passed over)."""
    return NOTHING if _state.tracer is None else _batch_span(_state.tracer, name, parents, attributes)


def about(**attributes: Attribute) -> None:
    """Says more of the span that is current, where there is one."""
    if _state.tracer is not None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415 - loaded already when tracing is on

        get_current_span().set_attributes(attributes)


def traceparent_of() -> str:
    """W3C traceparent of the current span, to be put in an envelope. Empty when there is none."""
    if _state.tracer is None:
        return ""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - loaded already when tracing is on

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def _span(tracer: "Tracer", name: str, parent: str, attributes: dict[str, Attribute]) -> Iterator[None]:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context  # noqa: PLC0415 - loaded already when tracing is on

    remote = _remote(parent)
    context = None if remote is None else set_span_in_context(NonRecordingSpan(remote))
    with tracer.start_as_current_span(name, context=context, attributes=attributes) as made:
        try:
            yield
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            raise


@contextmanager
def _batch_span(tracer: "Tracer", name: str, parents: Iterable[str], attributes: dict[str, Attribute]) -> Iterator[None]:
    from opentelemetry.trace import Link, NonRecordingSpan, get_current_span, set_span_in_context  # noqa: PLC0415 - loaded already

    causes = _distinct(parents)
    if len(causes) == 1:
        with tracer.start_as_current_span(name, set_span_in_context(NonRecordingSpan(causes[0])), attributes=attributes):
            yield
        return
    began = time.time_ns()
    with tracer.start_as_current_span(name, attributes=attributes, links=[Link(cause) for cause in causes]):
        back = Link(get_current_span().get_span_context())
        try:
            yield
        finally:
            for cause in causes:
                below = set_span_in_context(NonRecordingSpan(cause))
                tracer.start_span(name, below, links=[back], attributes=attributes, start_time=began).end()


def _distinct(parents: Iterable[str]) -> "list[SpanContext]":
    seen: dict[str, SpanContext] = {}
    for parent in parents:
        if parent and parent not in seen:
            context = _remote(parent)
            if context is not None:
                seen[parent] = context
                if len(seen) == LINKS:
                    break
    return list(seen.values())


def _remote(traceparent: str) -> "SpanContext | None":
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 - loaded already when tracing is on

    match = _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    trace, parent, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace, parent, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None
