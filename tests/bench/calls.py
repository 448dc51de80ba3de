"""Calls of the timeline's gRPC door as bytes, made before anything is measured."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence

import grpc
import grpc.aio
import msgspec

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.gateway.edges.grpc import messages
from bench.history import SESSION, Year
from bench.http2 import Calls, Unary, unary
from bench.texts import Texts
from bench.workloads import YEAR_MS, YEAR_START_MS, Job

SERVICE = "/memory.MemoryService"
EVENTS_A_MESSAGE, MESSAGES_A_STREAM = 500, 10
PAGE = 100
RANGE_MS = 2 * 86_400_000
"""Holds more than a page of a million events in a year, and of a hundred thousand."""


class Sent(msgspec.Struct, kw_only=True):
    """What came of calls."""

    seconds: float
    latencies: list[float]
    errors: list[bytes]
    sent_bytes: int
    received_bytes: int = 0


def calls(job: Job) -> list[Unary] | list[list[bytes]]:
    """The calls of a job, `warm` of them first: unary ones, or the messages of streams."""
    return CALLS[job.workload](job, job.warm + job.count)


async def call_all(job: Job, todo: Sequence[Unary] | Sequence[list[bytes]]) -> Sent:
    """Make the calls, `clients` of them at a time, on one connection."""
    unaries = [one for one in todo if isinstance(one, Unary)]
    return await (_unaries(job, unaries) if unaries else _streams(job, [one for one in todo if not isinstance(one, Unary)]))


async def _unaries(job: Job, todo: list[Unary]) -> Sent:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(lambda: Calls(todo, job.clients), job.host, job.port)
    started = time.perf_counter()
    made.begin()
    await made.finished.wait()
    seconds = time.perf_counter() - started
    made.transport.close()
    sent = sum(len(one.headers) + len(one.data) for one in todo)
    return Sent(seconds=seconds, latencies=made.latencies, errors=made.errors, sent_bytes=sent, received_bytes=made.received)


async def _streams(job: Job, todo: Sequence[list[bytes]]) -> Sent:
    """By a gRPC library: a message of 500 events costs it next to nothing."""
    latencies: list[float] = []
    errors: list[bytes] = []
    waiting = iter(todo)
    async with grpc.aio.insecure_channel(f"{job.host}:{job.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        record = channel.stream_unary(f"{SERVICE}/IngestEvents", response_deserializer=pb.IngestEventsResponse.FromString)

        async def sender() -> None:
            for messages in waiting:
                began = time.perf_counter()
                try:
                    answer = await record(_each(messages), metadata=_metadata(job))
                except grpc.aio.AioRpcError as error:
                    errors.append(repr(error).encode())
                else:
                    if answer.created != EVENTS_A_MESSAGE * len(messages):
                        errors.append(f"{answer.created} of {EVENTS_A_MESSAGE * len(messages)} are new".encode())
                latencies.append(time.perf_counter() - began)

        started = time.perf_counter()
        await asyncio.gather(*(sender() for _ in range(job.clients)))
        seconds = time.perf_counter() - started
    sent = sum(len(message) for messages in todo for message in messages)
    return Sent(seconds=seconds, latencies=latencies, errors=errors, sent_bytes=sent)


async def _each(messages: Sequence[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


def _metadata(job: Job) -> tuple[tuple[str, str], ...]:
    return (("x-namespace", job.mode or job.tag),)


def _unary(job: Job, method: str, request: object) -> Unary:
    raw = request.SerializeToString()  # type: ignore[attr-defined]
    return unary(f"{SERVICE}/{method}", raw, _metadata(job))


def event(job: Job, texts: Texts, number: int, session: str) -> pb.Event:
    """A message of a session, a second after the one before."""
    return pb.Event(
        event_id=f"{job.tag}-{number}",
        session_id=session,
        timestamp_ms=YEAR_START_MS + YEAR_MS + number * 1_000,
        event_type=pb.EVENT_TYPE_ASSISTANT_MESSAGE if number % 2 else pb.EVENT_TYPE_USER_MESSAGE,
        role=pb.EVENT_ROLE_ASSISTANT if number % 2 else pb.EVENT_ROLE_USER,
        text=texts.message(),
    )


def _ingest(job: Job, count: int) -> list[Unary]:
    """One event a call, over as many sessions as are in flight, each of 50 events."""
    texts = Texts(job.seed)
    sessions = [f"{job.tag}-s{number // (50 * job.clients)}-{number % job.clients}" for number in range(count)]
    return [
        _unary(job, "IngestEvent", pb.IngestEventRequest(event=event(job, texts, number, session)))
        for number, session in enumerate(sessions)
    ]


def _ingest_stream(job: Job, count: int) -> list[list[bytes]]:
    """Streams of ten messages of 500 events, 50 a session."""
    texts = Texts(job.seed)
    numbers = iter(range(count * MESSAGES_A_STREAM * EVENTS_A_MESSAGE))

    def message() -> bytes:
        given = [next(numbers) for _ in range(EVENTS_A_MESSAGE)]
        events = [event(job, texts, number, f"{job.tag}-s{number // 50}") for number in given]
        return pb.IngestEventsRequest(events=events).SerializeToString()

    return [[message() for _ in range(MESSAGES_A_STREAM)] for _ in range(count)]


def _ingest_year(job: Job, count: int) -> list[list[bytes]]:
    """One stream that brings the events of a year, `count` messages of 500, session after session."""
    year = Year(seed=job.seed, namespace=job.tag, events=count * EVENTS_A_MESSAGE + SESSION)
    events = [messages.event(one) for session in year.sessions() for one in session][: count * EVENTS_A_MESSAGE]
    return [
        [
            pb.IngestEventsRequest(events=events[first : first + EVENTS_A_MESSAGE]).SerializeToString()
            for first in range(0, len(events), EVENTS_A_MESSAGE)
        ]
    ]


def _of_names(method: str, request: Callable[[str], object]) -> Callable[[Job, int], list[Unary]]:
    """What is asked of each of the job's names, in an order of chance."""

    def made(job: Job, count: int) -> list[Unary]:
        picks = random.Random(job.seed)
        names = picks.sample(job.names, len(job.names))
        return [_unary(job, method, request(names[number % len(names)])) for number in range(count)]

    return made


def _get_events(job: Job, count: int) -> list[Unary]:
    """A page of a range, at any time of the year."""
    picks = random.Random(job.seed)
    starts = [YEAR_START_MS + picks.randrange(YEAR_MS - RANGE_MS) for _ in range(count)]
    return [
        _unary(job, "GetEvents", pb.GetEventsRequest(from_timestamp_ms=start, to_timestamp_ms=start + RANGE_MS, limit=PAGE))
        for start in starts
    ]


def _search(how: str) -> Callable[[Job, int], list[Unary]]:
    """Ten nodes, grips and events for words that were never asked for before."""

    def made(job: Job, count: int) -> list[Unary]:
        texts = Texts(job.seed)
        return [
            _unary(job, "SearchTimeline", pb.SearchTimelineRequest(query=texts.question(), mode=how, limit=10))
            for _ in range(count)
        ]

    return made


def _get_root(job: Job, count: int) -> list[Unary]:
    return [_unary(job, "GetTocRoot", pb.GetTocRootRequest())] * count


CALLS: dict[str, Callable[[Job, int], list[Unary] | list[list[bytes]]]] = {
    "ingest": _ingest,
    "ingest-stream": _ingest_stream,
    "ingest-year": _ingest_year,
    "toc-root": _get_root,
    "toc-node": _of_names("GetNode", lambda name: pb.GetNodeRequest(node_id=name)),
    "toc-browse": _of_names("BrowseToc", lambda name: pb.BrowseTocRequest(parent_id=name)),
    "toc-expand": _of_names("ExpandGrip", lambda name: pb.ExpandGripRequest(grip_id=name)),
    "toc-events": _get_events,
    "toc-search-keyword": _search("keyword"),
    "toc-search-semantic": _search("semantic"),
    "toc-search-hybrid": _search("hybrid"),
}
