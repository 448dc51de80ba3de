"""`memory.MemoryService`: three to ten lines a call."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.errors import Conflict, Invalid, NotFound, Refused, TooLarge
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.proto import memory_pb2_grpc
from agent_memory.contracts.queries import TIMELINE_KINDS, GetEvents, SearchTimeline, backwards
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS
from agent_memory.contracts.replies import EventsRecorded
from agent_memory.contracts.streams import CONTENTS
from agent_memory.eventlog.reader import EventPage, encode_cursor
from agent_memory.gateway import timeline_use
from agent_memory.gateway.edges.grpc import messages
from agent_memory.gateway.edges.grpc.calls import Caller, Context, answered
from agent_memory.gateway.edges.grpc.messages import identified, required
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Answer

EVENTS, MOST_EVENTS = 50, 1_000
IN_FLIGHT = 8
"""Messages of a stream that are being recorded at a time."""
Messages = AsyncIterator[pb.IngestEventsRequest]
MODES = ("hybrid", "semantic", "keyword")
PAGE_BYTES = 3_900_000
"""Longest page of events, unless one alone is longer: clients take messages of 4 MB unless told otherwise."""
FOUND, MOST_FOUND = 10, 100


class MemoryService(memory_pb2_grpc.MemoryServiceServicer):
    """The service over the gateway's ports."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def IngestEvent(self, request: pb.IngestEventRequest, context: Context) -> pb.IngestEventResponse:
        """Record one event; of any number of senders of one id, one is told that it was new."""

        async def act(caller: Caller) -> pb.IngestEventResponse:
            if not request.HasField("event"):
                raise Invalid("Event is required", field="event")
            said = messages.event_of(request.event)
            answer = await caller.ask(RecordEvents(events=[said]), request.SerializeToString(deterministic=True))
            created = cast(EventsRecorded, answer.reply).created[0]
            return pb.IngestEventResponse(event_id=said.event_id, created=created)

        return await answered(self._gateway, context, "IngestEvent", "write", act)

    async def IngestEvents(self, request_iterator: Messages, context: Context) -> pb.IngestEventsResponse:
        """Record what a stream brings, several messages at a time; the answer comes when all of it is durable."""

        async def act(caller: Caller) -> pb.IngestEventsResponse:
            return await _recorded(caller, request_iterator)

        return await answered(self._gateway, context, "IngestEvents", "write", act)

    async def GetTocRoot(self, request: pb.GetTocRootRequest, context: Context) -> pb.GetTocRootResponse:
        """The years, newest first."""

        async def act(caller: Caller) -> pb.GetTocRootResponse:
            await caller.caught_up(context.time_remaining(), CONTENTS)
            return pb.GetTocRootResponse(nodes=[messages.node(one) for one in await caller.gateway.contents.years(caller.scope)])

        return await answered(self._gateway, context, "GetTocRoot", "read", act)

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> pb.GetNodeResponse:
        """One node, now or at a version; nothing when there is none."""

        async def act(caller: Caller) -> pb.GetNodeResponse:
            node_id, contents = required(request.node_id, "node_id"), caller.gateway.contents
            await caller.caught_up(context.time_remaining(), CONTENTS)
            if request.HasField("version"):
                found = await contents.node_at(caller.scope, node_id, request.version)
            else:
                found = await contents.node(caller.scope, node_id)
            return pb.GetNodeResponse(node=None if found is None else messages.node(found))

        return await answered(self._gateway, context, "GetNode", "read", act)

    async def BrowseToc(self, request: pb.BrowseTocRequest, context: Context) -> pb.BrowseTocResponse:
        """A page of what stands under a node."""

        async def act(caller: Caller) -> pb.BrowseTocResponse:
            parent, token = required(request.parent_id, "parent_id"), request.continuation_token
            await caller.caught_up(context.time_remaining(), CONTENTS)
            page = await timeline_use.browse(caller.gateway, caller.scope, parent, limit=request.limit, token=token)
            children = [messages.node(one) for one in page.nodes]
            more = page.continuation_token
            return pb.BrowseTocResponse(children=children, continuation_token=more, has_more=more is not None)

        return await answered(self._gateway, context, "BrowseToc", "read", act)

    async def GetEvents(self, request: pb.GetEventsRequest, context: Context) -> pb.GetEventsResponse:
        """Events of a time, both ends included, in order of (timestamp_ms, event_id)."""

        async def act(caller: Caller) -> pb.GetEventsResponse:
            await caller.caught_up(context.time_remaining())
            query = GetEvents(
                scope=caller.scope,
                from_ms=_bound(request.from_timestamp_ms),
                to_ms=_bound(request.to_timestamp_ms),
                session_id=identified(request.session_id, "session_id") if request.session_id else None,
                limit=EVENTS if request.limit <= 0 else min(request.limit, MOST_EVENTS),
                cursor=request.cursor or None,
            )
            return _page(await caller.gateway.log.timeline(query))

        return await answered(self._gateway, context, "GetEvents", "read", act)

    async def ExpandGrip(self, request: pb.ExpandGripRequest, context: Context) -> pb.ExpandGripResponse:
        """The words of a grip with what was said around them, in its session."""

        async def act(caller: Caller) -> pb.ExpandGripResponse:
            grip_id = required(request.grip_id, "grip_id")
            before = request.events_before if request.HasField("events_before") else None
            after = request.events_after if request.HasField("events_after") else None
            await caller.caught_up(context.time_remaining(), CONTENTS)
            found = await timeline_use.expand(caller.gateway, caller.scope, grip_id, before=before, after=after)
            return pb.ExpandGripResponse(
                grip=None if found.grip is None else messages.grip(found.grip),
                events_before=[messages.event(one) for one in found.before],
                excerpt_events=[messages.event(one) for one in found.excerpt],
                events_after=[messages.event(one) for one in found.after],
            )

        return await answered(self._gateway, context, "ExpandGrip", "read", act)

    async def SearchTimeline(self, request: pb.SearchTimelineRequest, context: Context) -> pb.SearchTimelineResponse:
        """Nodes, grips and events, by meaning and by words."""

        async def act(caller: Caller) -> pb.SearchTimelineResponse:
            query = _search(request, caller)
            for projection in timeline_use.projections_of(query.kinds):
                await caller.caught_up(context.time_remaining(), projection)
            page = await timeline_use.search(caller.gateway, query)
            return pb.SearchTimelineResponse(matches=[messages.matched(one) for one in page.matches])

        return await answered(self._gateway, context, "SearchTimeline", "read", act)

    async def GetSchedulerStatus(self, request: pb.GetSchedulerStatusRequest, context: Context) -> pb.GetSchedulerStatusResponse:
        """Whether a scheduler runs, and how each job stands."""

        async def act(caller: Caller) -> pb.GetSchedulerStatusResponse:
            status = await caller.gateway.jobs.status()
            jobs = [messages.job(one) for one in status.jobs]
            return pb.GetSchedulerStatusResponse(scheduler_running=status.scheduler_running, jobs=jobs)

        return await answered(self._gateway, context, "GetSchedulerStatus", "read", act)

    async def PauseJob(self, request: pb.PauseJobRequest, context: Context) -> pb.PauseJobResponse:
        """Pass over what comes due of a job."""

        async def act(caller: Caller) -> pb.PauseJobResponse:
            error = await _changed(caller, "pause", request.job_name, request.SerializeToString())
            return pb.PauseJobResponse(success=error is None, error=error)

        return await answered(self._gateway, context, "PauseJob", "admin", act)

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.ResumeJobResponse:
        """Run again what comes due of a job."""

        async def act(caller: Caller) -> pb.ResumeJobResponse:
            error = await _changed(caller, "resume", request.job_name, request.SerializeToString())
            return pb.ResumeJobResponse(success=error is None, error=error)

        return await answered(self._gateway, context, "ResumeJob", "admin", act)

    async def RunJob(self, request: pb.RunJobRequest, context: Context) -> pb.RunJobResponse:
        """Have a job run at once."""

        async def act(caller: Caller) -> pb.RunJobResponse:
            error = await _changed(caller, "run_now", request.job_name, request.SerializeToString())
            return pb.RunJobResponse(success=error is None, error=error)

        return await answered(self._gateway, context, "RunJob", "admin", act)


def _bound(at: int) -> int:
    """One end of a range of time, drawn in to where there is anything."""
    return min(max(at, MIN_TIMESTAMP_MS), MAX_TIMESTAMP_MS)


def _page(page: EventPage) -> pb.GetEventsResponse:
    """As many of a page's events as clients take in one message, one at least."""
    said, size, more = list[pb.Event](), 0, page.next_cursor
    for _, one in page.events:
        message = messages.event(one)
        size += message.ByteSize() + 8
        if said and size > PAGE_BYTES:
            more = encode_cursor(page.events[len(said) - 1][1])
            break
        said.append(message)
    return pb.GetEventsResponse(events=said, has_more=more is not None, next_cursor=more)


async def _recorded(caller: Caller, stream: Messages) -> pb.IngestEventsResponse:
    """Raises Invalid naming the event at fault; what came before it is recorded.

    Under a key each message has one of its own: whoever sends the same stream again is answered the same.
    """
    under_way: deque[asyncio.Task[Answer]] = deque()
    counts = [0, 0]

    async def finish() -> None:
        answer = await under_way.popleft()
        flags = cast(EventsRecorded, answer.reply).created
        counts[0] += sum(flags)
        counts[1] += len(flags) - sum(flags)

    seen = part = 0
    try:
        async for message in stream:
            if len(message.events) > MOST_EVENTS:
                raise TooLarge(f"a message carries {len(message.events)} events; at most {MOST_EVENTS} go into one")
            said = [messages.event_of(one, f"events[{seen + number}].") for number, one in enumerate(message.events)]
            seen += len(said)
            if said:
                sent = caller.ask(RecordEvents(events=said), message.SerializeToString(deterministic=True), part=part)
                under_way.append(asyncio.ensure_future(sent))
            part += 1
            while len(under_way) >= IN_FLIGHT:
                await finish()
        while under_way:
            await finish()
    finally:
        # When something went wrong nobody waits for the rest; it may still take effect.
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return pb.IngestEventsResponse(created=counts[0], existing=counts[1], position=caller.position)


def _search(request: pb.SearchTimelineRequest, caller: Caller) -> SearchTimeline:
    if not request.query.strip():
        raise Invalid("query is required", field="query")
    if "\0" in request.query or len(request.query.encode()) > messages.MAX_TEXT_BYTES:
        raise Invalid(f"query holds a NUL character or more than {messages.MAX_TEXT_BYTES} bytes", field="query")
    if not set(TIMELINE_KINDS).issuperset(request.kinds):
        raise Invalid(f"kinds are any of {', '.join(TIMELINE_KINDS)}", field="kinds")
    mode = request.mode or "hybrid"
    if mode not in MODES:
        raise Invalid(f"mode is one of {', '.join(MODES)}", field="mode")
    from_ms = _bound(request.from_timestamp_ms) if request.HasField("from_timestamp_ms") else None
    to_ms = _bound(request.to_timestamp_ms) if request.HasField("to_timestamp_ms") else None
    if backwards(from_ms, to_ms):
        raise Invalid("to_timestamp_ms is before from_timestamp_ms: exchange them, or leave one out", field="to_timestamp_ms")
    return SearchTimeline(
        scope=caller.scope,
        text=request.query,
        mode=cast(Any, mode),
        kinds=tuple(kind for kind in TIMELINE_KINDS if kind in request.kinds or not request.kinds),
        session_id=identified(request.session_id, "session_id") if request.session_id else None,
        from_ms=from_ms,
        to_ms=to_ms,
        limit=FOUND if request.limit <= 0 else min(request.limit, MOST_FOUND),
    )


async def _changed(caller: Caller, change: str, job: str, request: bytes) -> str | None:
    """What is wrong, when the job could not be changed as asked."""
    about = caller.about(request)
    if about["idempotency_key"]:
        # Jobs are of all tenants: the same key of another one is another request.
        about["idempotency_key"] = f"{caller.principal.tenant}:{about['idempotency_key']}"
    try:
        answer = await getattr(caller.gateway.jobs, change)(job, **about)
    except (NotFound, Refused, Conflict) as fault:
        return fault.detail
    caller.position = answer.position
    return None
