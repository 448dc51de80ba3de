"""Events over gRPC: what is recorded, what is refused, how they are read and searched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.errors import Invalid, Unavailable
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.queries import SearchTimeline
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope, TimelineEvent
from agent_memory.gateway.edges.grpc import messages
from agent_memory.gateway.edges.grpc.service import PAGE_BYTES
from agent_memory.gateway.memory import MemorySystem
from agent_memory.readmodels.search import Match, MatchPage
from agent_memory.runtime.settings import Settings
from support.rpc import Rpc, rpc

INT64 = 2**63 - 1


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def edge(system: MemorySystem) -> AsyncIterator[Rpc]:
    async with rpc(**system.ports()) as edge:
        yield edge


def said(event_id: str = "e1", **about: Any) -> pb.Event:
    given = {"session_id": "s1", "timestamp_ms": 1_738_281_600_000, "event_type": 2, "role": 1, "text": "Hello", **about}
    return pb.Event(event_id=event_id, **given)


def one(event_id: str = "e1", **about: Any) -> pb.IngestEventRequest:
    return pb.IngestEventRequest(event=said(event_id, **about))


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call
    return found.value


def only(system: MemorySystem) -> TimelineEvent:
    (_, command), *_ = system.sent
    assert isinstance(command, RecordEvents)
    return command.events[0]


async def test_an_event_is_new_once(edge: Rpc, system: MemorySystem) -> None:
    answers = [await edge.stub.IngestEvent(one("01HXYZABC123", metadata={"tool_name": "Read"})) for _ in range(2)]
    assert [(answer.event_id, answer.created) for answer in answers] == [("01HXYZABC123", True), ("01HXYZABC123", False)]
    assert only(system) == TimelineEvent(
        event_id="01HXYZABC123", session_id="s1", timestamp_ms=1_738_281_600_000, text="Hello", metadata={"tool_name": "Read"}
    )


async def test_a_write_tells_its_position_and_takes_effect_once_under_a_key(edge: Rpc, system: MemorySystem) -> None:
    for _ in range(2):
        call = edge.stub.IngestEvent(one(), metadata=(("idempotency-key", "k"), ("x-namespace", "work"), ("x-user-id", "ana")))
        assert (await call).created
        assert dict(await call.trailing_metadata())["x-memory-position"] == "1"
    assert [scope.path for scope, _ in system.sent] == ["default/work/ana"]
    assert all(system.fingerprints)


@pytest.mark.parametrize(("number", "name"), [(0, "user_message"), (1, "session_start"), (8, "session_end"), (99, "user_message")])
async def test_a_type_that_is_not_known_is_a_users_message(edge: Rpc, system: MemorySystem, number: int, name: str) -> None:
    await edge.stub.IngestEvent(one(event_type=number))
    assert only(system).event_type == name


@pytest.mark.parametrize(("number", "name"), [(0, "user"), (2, "assistant"), (4, "tool"), (-7, "user")])
async def test_a_role_that_is_not_known_is_the_user(edge: Rpc, system: MemorySystem, number: int, name: str) -> None:
    await edge.stub.IngestEvent(one(role=number))
    assert only(system).role == name


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.IngestEventRequest(), "Event is required"),
        (one(""), "event_id is required"),
        (one(session_id=""), "session_id is required"),
        (one(timestamp_ms=INT64), "Invalid timestamp"),
        (one(timestamp_ms=-INT64 - 1), "Invalid timestamp"),
        (one(timestamp_ms=MAX_TIMESTAMP_MS + 1), "Invalid timestamp"),
        (one(timestamp_ms=MIN_TIMESTAMP_MS - 1), "Invalid timestamp"),
        (one("é" * 128), "event_id holds a NUL character or more than 255 bytes"),
        (one(session_id="a\0b"), "session_id holds a NUL"),
        (one(text="a\0b"), "text holds a NUL"),
        (one(text="x" * 1_000_001), "text holds a NUL character or more than 1000000"),
        (one(metadata={"k": "\0"}), "metadata holds a NUL"),
    ],
)
async def test_an_event_that_cannot_be_kept_is_refused_by_the_name_of_its_field(
    edge: Rpc, system: MemorySystem, request_: pb.IngestEventRequest, words: str
) -> None:
    error = await refused(edge.stub.IngestEvent(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (error.details() or "")
    assert system.sent == []


@pytest.mark.parametrize("timestamp_ms", [0, -1, MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS])
async def test_any_time_that_a_calendar_can_show_is_taken(edge: Rpc, timestamp_ms: int) -> None:
    assert (await edge.stub.IngestEvent(one(timestamp_ms=timestamp_ms))).created
    found = await edge.stub.GetEvents(pb.GetEventsRequest(from_timestamp_ms=-INT64, to_timestamp_ms=INT64))
    assert [event.timestamp_ms for event in found.events] == [timestamp_ms]


async def test_a_stream_records_everything_in_order(edge: Rpc, system: MemorySystem) -> None:
    batches = [pb.IngestEventsRequest(events=[said(f"e{batch}-{n}") for n in range(40)]) for batch in range(50)]
    call = edge.stub.IngestEvents(iter([*batches, batches[0], pb.IngestEventsRequest()]))
    answer = await call
    assert (answer.created, answer.existing, answer.position) == (2_000, 40, 51)
    assert dict(await call.trailing_metadata())["x-memory-position"] == "51"
    firsts = [command.events[0].event_id for _, command in system.sent if isinstance(command, RecordEvents)]
    assert firsts == [f"e{batch}-0" for batch in range(50)] + ["e0-0"]


async def test_a_stream_that_comes_again_under_its_key_answers_the_same(edge: Rpc, system: MemorySystem) -> None:
    batches = [pb.IngestEventsRequest(events=[said(f"e{n}")]) for n in range(3)]
    answers = [await edge.stub.IngestEvents(iter(batches), metadata=(("idempotency-key", "k"),)) for _ in range(2)]
    assert [(answer.created, answer.existing, answer.position) for answer in answers] == [(3, 0, 3)] * 2
    assert len(system.sent) == 3


async def test_an_empty_stream_is_nothing(edge: Rpc) -> None:
    answer = await edge.stub.IngestEvents(iter([]))
    assert (answer.created, answer.existing, answer.position) == (0, 0, 0)


async def test_a_stream_with_something_wrong_says_what(edge: Rpc) -> None:
    wrong = [pb.IngestEventsRequest(events=[said("e1"), said("e2", session_id="")])]
    error = await refused(edge.stub.IngestEvents(iter(wrong)))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "events[1].session_id is required",
    )
    many = [pb.IngestEventsRequest(events=[said(f"e{n}") for n in range(1_001)])]
    assert (await refused(edge.stub.IngestEvents(iter(many)))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_ends_when_the_log_is_away(edge: Rpc, system: MemorySystem) -> None:
    system.fault = Unavailable("the command bus cannot be reached; try again", command_id="c9")
    error = await refused(edge.stub.IngestEvents(iter([pb.IngestEventsRequest(events=[said()])] * 3)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert ("x-command-id", "c9") in tuple(error.trailing_metadata())


class SlowSystem(MemorySystem):
    """Answers commands one after the other, and counts how many wait."""

    waiting = most = 0

    async def ask(self, *args: Any, **about: Any) -> Any:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0.001)
        self.waiting -= 1
        return await super().ask(*args, **about)


async def test_a_stream_has_several_commands_under_way_but_not_any_number() -> None:
    system = SlowSystem()
    async with rpc(**system.ports()) as edge:
        batches = [pb.IngestEventsRequest(events=[said(f"e{batch}-{n}") for n in range(1_000)]) for batch in range(12)]
        assert (await edge.stub.IngestEvents(iter(batches))).created == 12_000
    assert 2 <= system.most <= 8


async def test_events_are_read_from_one_time_to_another_both_included(edge: Rpc) -> None:
    for event_id, timestamp_ms in (("c", 2), ("b", 2), ("a", 3), ("d", 4), ("z", 1)):
        await edge.stub.IngestEvent(one(event_id, timestamp_ms=timestamp_ms, text="日本語 🙈"))
    found = await edge.stub.GetEvents(pb.GetEventsRequest(from_timestamp_ms=2, to_timestamp_ms=3))
    assert [event.event_id for event in found.events] == ["b", "c", "a"]
    assert (found.has_more, found.events[0].text, found.events[0].event_type, found.events[0].role) == (False, "日本語 🙈", 2, 1)


@pytest.mark.parametrize(("limit", "count"), [(0, 50), (-5, 50), (7, 7), (1_000, 60), (2**31 - 1, 60)])
async def test_how_many_are_read_is_bounded(edge: Rpc, limit: int, count: int) -> None:
    await edge.stub.IngestEvents(iter([pb.IngestEventsRequest(events=[said(f"e{n}", timestamp_ms=n) for n in range(60)])]))
    found = await edge.stub.GetEvents(pb.GetEventsRequest(from_timestamp_ms=0, to_timestamp_ms=100, limit=limit))
    assert len(found.events) == count
    assert found.has_more is found.HasField("next_cursor") is (count < 60)


async def test_a_page_is_no_longer_than_clients_take(edge: Rpc) -> None:
    events = [said(f"e{n}", timestamp_ms=n, text="x" * 900_000) for n in range(6)]
    for event in events:
        await edge.stub.IngestEvent(pb.IngestEventRequest(event=event))
    found = await edge.stub.GetEvents(pb.GetEventsRequest(from_timestamp_ms=0, to_timestamp_ms=100))
    assert found.ByteSize() <= PAGE_BYTES
    assert (len(found.events), found.has_more, bool(found.next_cursor)) == (4, True, True)


async def test_a_range_that_ends_before_it_begins_is_empty(edge: Rpc) -> None:
    await edge.stub.IngestEvent(one())
    found = await edge.stub.GetEvents(pb.GetEventsRequest(from_timestamp_ms=INT64, to_timestamp_ms=-INT64))
    assert (list(found.events), found.has_more) == ([], False)


async def test_what_was_said_is_searched(edge: Rpc, system: MemorySystem) -> None:
    event = TimelineEvent(event_id="e1", session_id="s1", timestamp_ms=5, text="Hello")
    found = Match(kind="event", id="e1", score=0.5, record=encode(event))
    system.matches = MatchPage(matches=[found], total=1, next_offset=None)
    request = pb.SearchTimelineRequest(query="hello", from_timestamp_ms=0, to_timestamp_ms=INT64, limit=500, session_id="s1")
    (match,) = (await edge.stub.SearchTimeline(request)).matches
    assert (match.kind, match.id, match.score, match.text, match.event.session_id) == ("event", "e1", 0.5, "Hello", "s1")
    (query,) = system.queries
    assert isinstance(query, SearchTimeline)
    assert (query.mode, query.limit, query.from_ms, query.to_ms, query.session_id) == ("hybrid", 100, 0, MAX_TIMESTAMP_MS, "s1")
    assert query.kinds == ("node", "grip", "event")


@pytest.mark.parametrize(("limit", "size"), [(0, 10), (-5, 10), (7, 7), (101, 100), (2**31 - 1, 100)])
async def test_how_much_is_found_is_bounded(edge: Rpc, system: MemorySystem, limit: int, size: int) -> None:
    await edge.stub.SearchTimeline(pb.SearchTimelineRequest(query="x", kinds=["event", "grip", "grip"], limit=limit))
    assert system.queries == [SearchTimeline(scope=Scope(), text="x", kinds=("grip", "event"), limit=size)]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.SearchTimelineRequest(query=" "), "query is required"),
        (pb.SearchTimelineRequest(query="x", mode="psychic"), "mode"),
        (pb.SearchTimelineRequest(query="x", kinds=["event", "memory"]), "kinds"),
        (pb.SearchTimelineRequest(query="x", from_timestamp_ms=2, to_timestamp_ms=1), "to_timestamp_ms is before"),
    ],
)
async def test_a_search_for_nothing_is_refused(edge: Rpc, request_: pb.SearchTimelineRequest, words: str) -> None:
    error = await refused(edge.stub.SearchTimeline(request_))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (error.details() or "")


async def test_a_message_that_is_too_long_is_refused() -> None:
    async with rpc(Settings(grpc_max_message_bytes=10_000), **MemorySystem().ports()) as edge:
        error = await refused(edge.stub.IngestEvent(one(text="x" * 20_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await edge.stub.IngestEvent(one(text="x" * 9_000))).created


@given(
    st.builds(
        pb.Event,
        event_id=st.text(),
        session_id=st.text(),
        timestamp_ms=st.integers(-INT64 - 1, INT64),
        event_type=st.integers(-(2**31), 2**31 - 1),
        role=st.integers(-(2**31), 2**31 - 1),
        text=st.text(),
        metadata=st.dictionaries(st.text(), st.text(), max_size=3),
    )
)
def test_any_event_is_either_refused_or_comes_back_as_it_was_given(event: pb.Event) -> None:
    try:
        kept = messages.event_of(event)
    except Invalid:
        return
    back = messages.event(kept)
    assert (back.event_id, back.session_id, back.timestamp_ms, back.text, dict(back.metadata)) == (
        event.event_id,
        event.session_id,
        event.timestamp_ms,
        event.text,
        dict(event.metadata),
    )
