"""A collector of OpenTelemetry spans over OTLP/HTTP, as small as can be: it keeps what it is sent."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


class Collector:
    """Spans by trace id (hex): (service, name), and what they say."""

    def __init__(self) -> None:
        self.url = ""
        self._lock = threading.Lock()
        self._spans: list[tuple[str, str, str, dict[str, str | int]]] = []

    def take(self, body: bytes) -> None:
        """Keeps the spans of one request."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                names = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
                service = names.get("service.name", "")
                for scope in resource.scope_spans:
                    self._spans += [(span.trace_id.hex(), service, span.name, _said(span.attributes)) for span in scope.spans]

    def of(self, trace_id: str) -> set[tuple[str, str]]:
        """(service, span) pairs of one trace."""
        with self._lock:
            return {(service, name) for trace, service, name, _ in self._spans if trace == trace_id}

    def said(self, trace_id: str, name: str) -> list[dict[str, str | int]]:
        """The attributes of the spans of that name in one trace, in the order they came in."""
        with self._lock:
            return [said for trace, _, found, said in self._spans if (trace, found) == (trace_id, name)]


def _said(attributes: Iterable[KeyValue]) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free loopback port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
