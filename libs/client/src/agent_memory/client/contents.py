"""The same operations on the timeline over HTTP, by the names and with the answers that they have over gRPC."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent_memory.client import timeline
from agent_memory.client.errors import NotFound, SerializationFailed
from agent_memory.client.exchange import exchange, fetch, new_key
from agent_memory.client.paths import path
from agent_memory.client.program import Caller, Program, Request, params
from agent_memory.client.records import event_of, grip_of, job_of, node_of
from agent_memory.client.toc import BrowseTocResult, Event, ExpandGripResult, SchedulerStatus, TocNode
from agent_memory.contracts import jobs, toc
from agent_memory.contracts.records import TimelineEvent

AnyEvent = Event | TimelineEvent | Mapping[str, Any]


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """A list of nodes as the API writes it."""

    nodes: list[toc.TocNode]
    continuation_token: str | None = None


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a job as the API writes them."""

    runs: list[jobs.JobRun]


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """A grip in its conversation as the API writes it."""

    grip: toc.Grip
    events_before: list[TimelineEvent] = []
    excerpt_events: list[TimelineEvent] = []
    events_after: list[TimelineEvent] = []


def ingest(caller: Caller, event: AnyEvent, *, idempotency_key: str | None = None) -> Program[tuple[str, bool]]:
    """Record an event. Returns its id, and whether it is new. Raises what `record_events` does."""
    recorded = yield from timeline.record_events(caller, [_plain(event)], idempotency_key=idempotency_key)
    return recorded.events[0].event_id, recorded.events[0].created


def ingest_batch(caller: Caller, events: Sequence[AnyEvent], *, idempotency_key: str | None = None) -> Program[int]:
    """Record any number of events. Returns how many of them are new. Raises what `record_events` does."""
    recorded = yield from timeline.record_events(caller, [_plain(event) for event in events], idempotency_key=idempotency_key)
    return recorded.created


def get_toc_root(caller: Caller, *, min_position: int | None = None) -> Program[list[TocNode]]:
    """The years, most recent first."""
    query = params(min_position=min_position, **caller.scope(None, None))
    answer = yield from fetch(Request(method="GET", path="/v1/timeline/root", params=query), caller.retry, Nodes)
    return [node_of(node) for node in answer.nodes]


def get_node(
    caller: Caller, node_id: str, *, version: int | None = None, min_position: int | None = None
) -> Program[TocNode | None]:
    """A node, as it is or as an earlier version said; None when there is none. Raises InvalidRequest."""
    query = params(version=version, min_position=min_position, **caller.scope(None, None))
    request = Request(method="GET", path=path("v1", "timeline", "nodes", node_id), params=query)
    try:
        return node_of((yield from fetch(request, caller.retry, toc.TocNode)))
    except NotFound:
        return None


def browse_toc(
    caller: Caller, parent_id: str, limit: int = 20, continuation_token: str | None = None, *, min_position: int | None = None
) -> Program[BrowseTocResult]:
    """A page of a node's children, none of an unknown node. Raises InvalidRequest for a limit that is not 1 to 100."""
    query = params(limit=limit, continuation_token=continuation_token, min_position=min_position, **caller.scope(None, None))
    request = Request(method="GET", path=path("v1", "timeline", "nodes", parent_id, "children"), params=query)
    page = yield from fetch(request, caller.retry, Nodes)
    more = page.continuation_token
    return BrowseTocResult(children=[node_of(node) for node in page.nodes], continuation_token=more, has_more=more is not None)


def expand_grip(
    caller: Caller, grip_id: str, before: int | None = None, after: int | None = None, *, min_position: int | None = None
) -> Program[ExpandGripResult]:
    """The words of a grip and what was said around them, by default 3 events each way; empty where there is no such grip."""
    query = params(events_before=before, events_after=after, min_position=min_position, **caller.scope(None, None))
    request = Request(method="GET", path=path("v1", "timeline", "grips", grip_id), params=query)
    try:
        found = yield from fetch(request, caller.retry, Expanded)
    except NotFound:
        return ExpandGripResult()
    return ExpandGripResult(
        grip=grip_of(found.grip),
        events_before=[event_of(event) for event in found.events_before],
        excerpt_events=[event_of(event) for event in found.excerpt_events],
        events_after=[event_of(event) for event in found.events_after],
    )


def get_scheduler_status(caller: Caller) -> Program[SchedulerStatus]:
    """Whether any scheduler runs, and how each job is doing."""
    told = yield from fetch(Request(method="GET", path="/v1/scheduler"), caller.retry, jobs.SchedulerStatus)
    return SchedulerStatus(scheduler_running=told.scheduler_running, jobs=[job_of(job) for job in told.jobs])


def pause_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Skip a job until it is resumed. None, or why not ("Job not found: …"). Raises Forbidden for whoever is no admin."""
    return (yield from _of_job(caller, job_name, "pause"))


def resume_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Run a paused job again when its time comes. None, or why not."""
    return (yield from _of_job(caller, job_name, "resume"))


def run_job(caller: Caller, job_name: str) -> Program[str | None]:
    """Run a job now. None, or why not."""
    return (yield from _of_job(caller, job_name, "run"))


def job_runs(caller: Caller, job_name: str, limit: int = 50) -> Program[list[jobs.JobRun]]:
    """The last runs of a job, the newest first, at most 50. Raises NotFound."""
    request = Request(method="GET", path=path("v1", "scheduler", "jobs", job_name, "runs"), params=params(limit=limit))
    return (yield from fetch(request, caller.retry, Runs)).runs


def _of_job(caller: Caller, name: str, change: str) -> Program[str | None]:
    place = path("v1", "scheduler", "jobs", name, change)
    try:
        yield from exchange(Request(method="POST", path=place, idempotency_key=new_key(None)), caller.retry)
    except NotFound as error:
        return error.detail
    return None


def _plain(event: AnyEvent) -> TimelineEvent | Mapping[str, Any]:
    if not isinstance(event, Event):
        return event
    try:
        event.text.encode()
    except UnicodeEncodeError as error:
        raise SerializationFailed(f"Event cannot be written: {error}") from None
    return {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) is not None}
