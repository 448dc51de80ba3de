"""Operations on the timeline over gRPC, by the names of the service's document."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from time import monotonic
from typing import Any

from agent_memory.client.errors import ConnectionFailed, MemoryClientError, RequestFailed, ServerUnavailable, WaitTimeout
from agent_memory.client.exchange import new_key
from agent_memory.client.program import Call, Caller, Program, Reply, call, pause
from agent_memory.client.toc import (
    BrowseTocResult,
    ExpandGripResult,
    GetEventsResult,
    SchedulerStatus,
    TimelineMatch,
    TocNode,
    milliseconds_of,
)
from agent_memory.client.wire import (
    AnyEvent,
    children_of,
    event_message,
    events_of,
    expansion_of,
    match_of,
    message,
    node_of,
    scheduler_of,
)
from agent_memory.contracts.proto import memory_pb2 as pb

MAX_EVENTS = 500
MAX_BYTES = 1_000_000
"""Of one message of a stream: well below what a server takes (4 MB), whatever the last event's length."""
IDEMPOTENCY_KEY = "idempotency-key"
MIN_POSITION = "x-min-position"

Time = datetime | int
"""A moment, or UTC milliseconds."""


def ingest(caller: Caller, event: AnyEvent, *, idempotency_key: str | None = None) -> Program[tuple[str, bool]]:
    """Record an event. Returns its id, and whether it is new.

    Raises InvalidRequest, SerializationFailed, ServerUnavailable, ConnectionFailed.
    """
    request = message(pb.IngestEventRequest, event=event_message(event))
    reply = yield from _answered(caller, "IngestEvent", request, key=new_key(idempotency_key))
    return reply.message.event_id, reply.message.created


def ingest_batch(caller: Caller, events: Sequence[AnyEvent], *, idempotency_key: str | None = None) -> Program[int]:
    """Record any number of events in one stream; how many of them are new. A server that knows no streams is told one by one.

    Raises what `ingest` does; then some of the events may have been recorded, and sending all again is safe.
    """
    if not events:
        return 0
    key = new_key(idempotency_key)
    requests = tuple(_messages(events))
    try:
        reply = yield from _answered(caller, "IngestEvents", *requests, streamed=True, key=key)
    except RequestFailed as error:
        if error.code != "UNIMPLEMENTED":
            raise
    else:
        return int(reply.message.created)
    created = 0
    for number, event in enumerate(events):
        _, fresh = yield from ingest(caller, event, idempotency_key=f"{key}:{number}")
        created += fresh
    return created


def get_toc_root(caller: Caller, *, min_position: int | None = None) -> Program[list[TocNode]]:
    """The years, most recent first."""
    reply = yield from _answered(caller, "GetTocRoot", pb.GetTocRootRequest(), min_position=min_position)
    return [node_of(node) for node in reply.message.nodes]


def get_node(
    caller: Caller, node_id: str, *, version: int | None = None, min_position: int | None = None
) -> Program[TocNode | None]:
    """A node, as it is or as an earlier version said; None when there is none. Raises InvalidRequest for an empty id."""
    request = message(pb.GetNodeRequest, node_id=node_id, version=version)
    reply = yield from _answered(caller, "GetNode", request, min_position=min_position)
    return node_of(reply.message.node) if reply.message.HasField("node") else None


def browse_toc(
    caller: Caller, parent_id: str, limit: int = 20, continuation_token: str | None = None, *, min_position: int | None = None
) -> Program[BrowseTocResult]:
    """A page of a node's children, none of an unknown node. Raises InvalidRequest for an empty id."""
    request = message(pb.BrowseTocRequest, parent_id=parent_id, limit=limit, continuation_token=continuation_token)
    reply = yield from _answered(caller, "BrowseToc", request, min_position=min_position)
    return children_of(reply.message)


def get_events(
    caller: Caller,
    from_: Time,
    to: Time,
    limit: int = 50,
    *,
    cursor: str | None = None,
    session_id: str | None = None,
    min_position: int | None = None,
) -> Program[GetEventsResult]:
    """Events in order of time, both ends included."""
    request = message(
        pb.GetEventsRequest,
        from_timestamp_ms=milliseconds_of(from_),
        to_timestamp_ms=milliseconds_of(to),
        limit=limit,
        cursor=cursor,
        session_id=session_id,
    )
    reply = yield from _answered(caller, "GetEvents", request, min_position=min_position)
    return events_of(reply.message)


def expand_grip(
    caller: Caller, grip_id: str, before: int | None = None, after: int | None = None, *, min_position: int | None = None
) -> Program[ExpandGripResult]:
    """The words of a grip and what was said around them, by default 3 events each way. Raises InvalidRequest for an empty id."""
    request = message(pb.ExpandGripRequest, grip_id=grip_id, events_before=before, events_after=after)
    reply = yield from _answered(caller, "ExpandGrip", request, min_position=min_position)
    return expansion_of(reply.message)


def search_timeline(
    caller: Caller,
    query: str,
    *,
    mode: str = "hybrid",
    kinds: Sequence[str] = (),
    from_: Time | None = None,
    to: Time | None = None,
    limit: int = 10,
    session_id: str | None = None,
    min_position: int | None = None,
) -> Program[list[TimelineMatch]]:
    """Nodes, grips and events (`kinds`; none given: all) by meaning (semantic), by words (keyword) or both (hybrid), best first.

    Raises InvalidRequest.
    """
    request = message(
        pb.SearchTimelineRequest,
        query=query,
        mode=mode,
        kinds=list(kinds),
        from_timestamp_ms=None if from_ is None else milliseconds_of(from_),
        to_timestamp_ms=None if to is None else milliseconds_of(to),
        limit=limit,
        session_id=session_id,
    )
    reply = yield from _answered(caller, "SearchTimeline", request, min_position=min_position)
    return [match_of(match) for match in reply.message.matches]


def get_scheduler_status(caller: Caller) -> Program[SchedulerStatus]:
    """Whether any scheduler runs, and how each job is doing."""
    reply = yield from _answered(caller, "GetSchedulerStatus", pb.GetSchedulerStatusRequest())
    return scheduler_of(reply.message)


def pause_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Skip a job until it is resumed. None, or why not ("Job not found: …")."""
    return (yield from _of_job(caller, "PauseJob", message(pb.PauseJobRequest, job_name=job_name)))


def resume_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Run a paused job again when its time comes. None, or why not."""
    return (yield from _of_job(caller, "ResumeJob", message(pb.ResumeJobRequest, job_name=job_name)))


def run_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Run a job now. None, or why not."""
    return (yield from _of_job(caller, "RunJob", message(pb.RunJobRequest, job_name=job_name)))


def wait_for(caller: Caller, position: int, *, timeout: float = 30.0) -> Program[None]:
    """Return once the table of contents holds everything up to a log position, such as the client's `position` after a write.

    `timeout` is in seconds. Raises WaitTimeout.
    """
    deadline = monotonic() + timeout
    asked = Call(
        method="GetTocRoot",
        requests=(pb.GetTocRootRequest(),),
        timeout=timeout,
        metadata=((MIN_POSITION, str(position)),),
    )
    while True:
        try:
            yield from call(asked)
        except (ServerUnavailable, ConnectionFailed) as error:
            if monotonic() >= deadline:
                raise WaitTimeout(f"position {position} was not reached in {timeout:g} s: {error}") from None
            yield from pause(0.05)
        else:
            return


def greet(caller: Caller, timeout: float) -> Program[None]:
    """Is a server there? Any answer will do. `timeout` is in seconds; raises ConnectionFailed."""
    try:
        yield from call(Call(method="GetSchedulerStatus", requests=(pb.GetSchedulerStatusRequest(),), timeout=timeout))
    except RequestFailed:
        return


def _of_job(caller: Caller, method: str, request: Any) -> Program[str | None]:
    reply = yield from _answered(caller, method, request)
    return None if reply.message.success else reply.message.error or "it was refused"


def _answered(
    caller: Caller,
    method: str,
    *requests: Any,
    streamed: bool = False,
    key: str | None = None,
    min_position: int | None = None,
) -> Program[Reply]:
    """The reply, asked for again with the same key while nobody answers or a part of the server is down."""
    metadata = [(IDEMPOTENCY_KEY, key)] if key else []
    metadata += [(MIN_POSITION, str(min_position))] if min_position is not None else []
    asked = Call(method=method, requests=requests, streamed=streamed, metadata=tuple(metadata))
    waits = caller.retry.waits()
    while True:
        failure: MemoryClientError
        try:
            return (yield from call(asked))
        except ConnectionFailed as error:
            failure = ConnectionFailed(error.detail, idempotency_key=key)
        except ServerUnavailable as error:
            failure = error
        wait = next(waits, None)
        if wait is None:
            raise failure
        yield from pause(wait)


def _messages(events: Sequence[AnyEvent]) -> Iterator[pb.IngestEventsRequest]:
    batch: list[pb.Event] = []
    size = 0
    for event in events:
        encoded = event_message(event)
        length = encoded.ByteSize()
        if batch and (len(batch) == MAX_EVENTS or size + length > MAX_BYTES):
            yield pb.IngestEventsRequest(events=batch)
            batch, size = [], 0
        batch.append(encoded)
        size += length
    if batch:
        yield pb.IngestEventsRequest(events=batch)
