"""A small timeline service on a real gRPC server: keeps events, tells of the nodes it was given, fails when told to."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.proto.memory_pb2_grpc import MemoryServiceServicer, add_MemoryServiceServicer_to_server


class SmallTimeline(MemoryServiceServicer):
    """`failures` are given to the next calls, in turn; `stuck`: calls hang until the server stops.

    `called` lists (method, metadata) of every call. `without` names calls that this server does not know.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.events: dict[str, pb.Event] = {}
        self.nodes: dict[str, pb.TocNode] = {}
        self.grips: dict[str, pb.Grip] = {}
        self.jobs: dict[str, pb.JobStatusProto] = {}
        self.failures: list[tuple[grpc.StatusCode, str]] = []
        self.called: list[tuple[str, dict[str, str]]] = []
        self.searched: list[pb.SearchTimelineRequest] = []
        self.without: set[str] = set()
        self.stuck = False
        self.refuses_namespace: str | None = None
        self.refuses: Callable[[pb.Event], bool] = lambda event: False
        self.released = threading.Event()
        self._lock = threading.Lock()

    def IngestEvent(self, request: pb.IngestEventRequest, context: grpc.ServicerContext) -> pb.IngestEventResponse:
        self._enter("IngestEvent", context)
        if not request.event.event_id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "event_id is required")
        created = self._keep(request.event, context)
        self._tell_position(context)
        return pb.IngestEventResponse(event_id=request.event.event_id, created=created, deduplicated=not created)

    def IngestEvents(self, requests: Iterator[pb.IngestEventsRequest], context: grpc.ServicerContext) -> pb.IngestEventsResponse:
        self._enter("IngestEvents", context)
        outcomes = [self._keep(event, context) for request in requests for event in request.events]
        self._tell_position(context)
        created = sum(outcomes)
        return pb.IngestEventsResponse(created=created, existing=len(outcomes) - created, position=len(self.events))

    def GetTocRoot(self, request: pb.GetTocRootRequest, context: grpc.ServicerContext) -> pb.GetTocRootResponse:
        self._enter("GetTocRoot", context)
        years = [node for node in self.nodes.values() if node.level == pb.TOC_LEVEL_YEAR]
        return pb.GetTocRootResponse(nodes=sorted(years, key=lambda node: -node.start_time_ms))

    def GetNode(self, request: pb.GetNodeRequest, context: grpc.ServicerContext) -> pb.GetNodeResponse:
        self._enter("GetNode", context)
        if not request.node_id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "node_id is required")
        return pb.GetNodeResponse(node=self.nodes.get(request.node_id))

    def BrowseToc(self, request: pb.BrowseTocRequest, context: grpc.ServicerContext) -> pb.BrowseTocResponse:
        self._enter("BrowseToc", context)
        parent = self.nodes.get(request.parent_id)
        children = [self.nodes[name] for name in parent.child_node_ids] if parent else []
        begin = int(request.continuation_token or 0)
        end = begin + (request.limit or 20)
        more = end < len(children)
        return pb.BrowseTocResponse(children=children[begin:end], continuation_token=str(end) if more else None, has_more=more)

    def GetEvents(self, request: pb.GetEventsRequest, context: grpc.ServicerContext) -> pb.GetEventsResponse:
        self._enter("GetEvents", context)
        inside = [
            event
            for event in sorted(self.events.values(), key=lambda event: (event.timestamp_ms, event.event_id))
            if request.from_timestamp_ms <= event.timestamp_ms <= request.to_timestamp_ms
            and request.session_id in ("", event.session_id)
        ]
        limit = request.limit or 50
        return pb.GetEventsResponse(events=inside[:limit], has_more=len(inside) > limit)

    def ExpandGrip(self, request: pb.ExpandGripRequest, context: grpc.ServicerContext) -> pb.ExpandGripResponse:
        self._enter("ExpandGrip", context)
        grip = self.grips.get(request.grip_id)
        if grip is None:
            return pb.ExpandGripResponse()
        ordered = sorted(self.events.values(), key=lambda event: (event.timestamp_ms, event.event_id))
        ids = [event.event_id for event in ordered]
        first, last = ids.index(grip.event_id_start), ids.index(grip.event_id_end)
        before = request.events_before if request.HasField("events_before") else 3
        after = request.events_after if request.HasField("events_after") else 3
        return pb.ExpandGripResponse(
            grip=grip,
            events_before=ordered[max(0, first - before) : first],
            excerpt_events=ordered[first : last + 1],
            events_after=ordered[last + 1 : last + 1 + after],
        )

    def SearchTimeline(self, request: pb.SearchTimelineRequest, context: grpc.ServicerContext) -> pb.SearchTimelineResponse:
        self._enter("SearchTimeline", context)
        self.searched.append(request)
        nodes = [
            pb.TimelineMatch(kind="node", id=node.node_id, score=1.0, text=node.summary, node=node) for node in self.nodes.values()
        ]
        events = [
            pb.TimelineMatch(
                kind="event", id=event.event_id, score=0.5, text=event.text, timestamp_ms=event.timestamp_ms, event=event
            )
            for event in self.events.values()
        ]
        found = [one for one in nodes + events if request.query in one.text and (not request.kinds or one.kind in request.kinds)]
        return pb.SearchTimelineResponse(matches=found[: request.limit])

    def GetSchedulerStatus(self, request: Any, context: grpc.ServicerContext) -> pb.GetSchedulerStatusResponse:
        self._enter("GetSchedulerStatus", context)
        return pb.GetSchedulerStatusResponse(scheduler_running=True, jobs=self.jobs.values())

    def PauseJob(self, request: pb.PauseJobRequest, context: grpc.ServicerContext) -> pb.PauseJobResponse:
        self._enter("PauseJob", context)
        return pb.PauseJobResponse(**self._pause(request.job_name, True))

    def ResumeJob(self, request: pb.ResumeJobRequest, context: grpc.ServicerContext) -> pb.ResumeJobResponse:
        self._enter("ResumeJob", context)
        return pb.ResumeJobResponse(**self._pause(request.job_name, False))

    def RunJob(self, request: pb.RunJobRequest, context: grpc.ServicerContext) -> pb.RunJobResponse:
        self._enter("RunJob", context)
        known = request.job_name in self.jobs
        return pb.RunJobResponse(success=known, error=None if known else f"Job not found: {request.job_name}")

    def methods(self) -> list[str]:
        """What was called, without the greetings of clients that connect."""
        return [method for method, _ in self.called if method != "GetSchedulerStatus"]

    def metadata_of(self, method: str) -> list[dict[str, str]]:
        """What each call of a method came with."""
        return [metadata for name, metadata in self.called if name == method]

    def _enter(self, method: str, context: grpc.ServicerContext) -> None:
        with self._lock:
            self.called.append((method, {key: str(value) for key, value in context.invocation_metadata()}))
            failure = self.failures.pop(0) if self.failures else None
        if self.stuck:
            self.released.wait()
        if method in self.without:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        if failure:
            context.abort(*failure)
        if self.refuses_namespace and ("x-namespace", self.refuses_namespace) in context.invocation_metadata():
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "outside the scope of this credential")

    def _keep(self, event: pb.Event, context: grpc.ServicerContext) -> bool:
        if self.refuses(event):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid timestamp: event {event.event_id}")
        with self._lock:
            fresh = event.event_id not in self.events
            self.events.setdefault(event.event_id, event)
            return fresh

    def _tell_position(self, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("x-memory-position", str(len(self.events))),))

    def _pause(self, name: str, paused: bool) -> dict[str, Any]:
        if name not in self.jobs:
            return {"success": False, "error": f"Job not found: {name}"}
        self.jobs[name].is_paused = paused
        return {"success": True}


@contextmanager
def small_timeline(port: int = 0, *, tls: tuple[bytes, bytes] | None = None, known: bytes | None = None) -> Iterator[SmallTimeline]:
    """The service, listening on loopback while the block runs. `tls`: its private key and its certificate (PEM), for localhost;
    `known`: who must have signed the certificate of whoever connects.
    """
    service = SmallTimeline()
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    add_MemoryServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    if tls is None:
        service.endpoint = f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    else:
        bound = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([tls], known, known is not None))
        service.endpoint = f"https://localhost:{bound}"
    server.start()
    try:
        yield service
    finally:
        service.released.set()
        server.stop(0).wait()
