"""The client against a real HTTP server: what it sends, what it makes of answers, when it tries again."""

import asyncio
import inspect
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from agent_memory.client import (
    Conflict,
    ConnectionFailed,
    Event,
    Forbidden,
    InvalidRequest,
    MemoryClient,
    NotFound,
    RequestFailed,
    Retry,
    ServerError,
    ServerUnavailable,
    SyncMemoryClient,
    Unauthorized,
    WaitTimeout,
)
from agent_memory.client.exchange import exchange
from agent_memory.client.program import Answer, Pause, Request
from agent_memory.contracts.records import TimelineEvent
from support.scripted import Asked, ScriptedServer, Told, scripted

QUICK = Retry(attempts=4, first_wait=0.001, longest_wait=0.01)
EVENT = TimelineEvent(event_id="e1", session_id="s1", timestamp_ms=1_700_000_000_000, text="hello")
RECORDED = Told(
    body={"events": [{"event_id": "e1", "created": True}], "created": 1, "position": 7}, headers={"X-Memory-Position": "7"}
)


def client_of(server: ScriptedServer, **given: Any) -> SyncMemoryClient:
    return SyncMemoryClient(server.url, **{"retry": QUICK, **given})


def record_all(asked: Asked) -> Told:
    events = asked.json["events"]  # type: ignore[index]
    outcomes = [{"event_id": event["event_id"], "created": True} for event in events]
    return Told(body={"events": outcomes, "created": len(outcomes), "position": 1000 + len(outcomes)})


async def test_the_async_client_sends_and_reads_what_the_sync_one_does() -> None:
    with scripted(RECORDED) as server:
        async with MemoryClient(server.url, "secret", "work", "nadia", retry=QUICK) as memory:
            awaited = await memory.record_events([EVENT], idempotency_key="k")
        with SyncMemoryClient(server.url, "secret", "work", "nadia", retry=QUICK) as blocking:
            blocked = await asyncio.to_thread(blocking.record_events, [EVENT], idempotency_key="k")
    first, second = server.asked
    assert awaited == blocked
    assert awaited.created == 1
    assert awaited.position == 7
    assert (first.path, first.json, first.headers["idempotency-key"]) == (second.path, second.json, "k")
    assert first.headers["authorization"] == "Bearer secret"
    assert first.json["namespace"] == "work"  # type: ignore[index]
    assert first.json["user_id"] == "nadia"  # type: ignore[index]


def test_both_clients_have_the_same_operations() -> None:
    def operations(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")} - {"close", "aclose"}

    assert operations(MemoryClient) == operations(SyncMemoryClient)


def test_a_503_is_tried_again_with_the_same_idempotency_key() -> None:
    busy = Told(status=503, body={"detail": "the log is down"})
    with scripted(busy, busy, RECORDED) as server, client_of(server) as memory:
        assert memory.record_events([EVENT]).created == 1
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 3
    assert len(keys) == 1


def test_a_connection_that_breaks_is_tried_again_with_the_same_idempotency_key() -> None:
    with scripted(Told(hang_up=True), RECORDED) as server, client_of(server) as memory:
        assert memory.record_events([EVENT]).created == 1
    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 2
    assert len(keys) == 1


def test_a_server_that_stays_unavailable_names_the_command_that_may_be_sent_again() -> None:
    with scripted(Told(status=503, body={"detail": "no reply", "command_id": "c9"})) as server, client_of(server) as memory:
        with pytest.raises(ServerUnavailable, match="no reply") as caught:
            memory.append_messages("s1", [{"role": "user", "content": "hi"}])
        assert caught.value.command_id == "c9"
        assert len(server.asked) == QUICK.attempts


def test_a_refusal_is_not_tried_again() -> None:
    with scripted(Told(status=404, body={"detail": "Session s1 not found"})) as server, client_of(server) as memory:
        with pytest.raises(NotFound, match="Session s1 not found"):
            memory.get_working_memory("s1")
        assert len(server.asked) == 1


def test_nobody_listening_is_a_failed_connection_that_keeps_the_key() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with SyncMemoryClient(url, retry=QUICK) as memory, pytest.raises(ConnectionFailed, match="no answer from") as caught:
            memory.record_events([EVENT], idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, InvalidRequest),
        (418, RequestFailed),
        (422, InvalidRequest),
        (500, ServerError),
    ],
)
def test_each_error_status_is_an_exception_of_its_own(status: int, kind: type[RequestFailed]) -> None:
    with scripted(Told(status=status, body=b"plain text")) as server, client_of(server) as memory:
        with pytest.raises(kind, match="plain text") as caught:
            memory.health()
        assert caught.value.status == status


def test_a_validation_error_names_the_field() -> None:
    detail = [{"type": "int", "loc": ["body", "events", 0, "timestamp_ms"], "msg": "not a time", "input": "x"}]
    with scripted(Told(status=422, body={"detail": detail})) as server, client_of(server) as memory:
        with pytest.raises(InvalidRequest, match="not a time") as caught:
            memory.record_events([EVENT])
        assert caught.value.field == "events.0.timestamp_ms"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"events": 3}', b"null"])
def test_an_answer_that_cannot_be_understood_is_a_server_error(body: bytes) -> None:
    with scripted(Told(body=body)) as server, client_of(server) as memory, pytest.raises(ServerError, match="cannot be understood"):
        memory.get_events()


def test_more_than_a_thousand_events_go_in_several_requests_with_keys_of_their_own() -> None:
    events = [{"event_id": f"e{number}", "session_id": "s", "timestamp_ms": number, "text": "x"} for number in range(2_500)]
    with scripted(respond=record_all) as server, client_of(server) as memory:
        recorded = memory.record_events(events, idempotency_key="k")
    assert [len(asked.json["events"]) for asked in server.asked] == [1000, 1000, 500]  # type: ignore[index]
    assert [asked.headers["idempotency-key"] for asked in server.asked] == ["k", "k:1", "k:2"]
    assert recorded.created == 2_500
    assert [outcome.event_id for outcome in recorded.events] == [event["event_id"] for event in events]
    assert recorded.position == 2_000


def test_long_events_are_split_by_size() -> None:
    events = [{"event_id": f"e{number}", "session_id": "s", "timestamp_ms": 1, "text": "x" * 900_000} for number in range(20)]
    with scripted(respond=record_all) as server, client_of(server) as memory:
        assert memory.record_events(events).created == 20
    assert max(len(asked.body) for asked in server.asked) < 10_000_000


def test_microseconds_travel_in_the_field_that_can_carry_them() -> None:
    near = TimelineEvent(event_id="e", session_id="s", timestamp_ms=-1, microseconds=999, text="x")
    far = TimelineEvent(event_id="f", session_id="s", timestamp_ms=8_210_266_876_799_999, microseconds=5, text="x")
    with scripted(respond=record_all) as server, client_of(server) as memory:
        memory.record_events([near, far])
    first, second = server.asked[0].json["events"]  # type: ignore[index]
    assert first["timestamp"] == "1969-12-31T23:59:59.999999+00:00"
    assert "timestamp_ms" not in first
    assert second["timestamp_ms"] == 8_210_266_876_799_999


def test_a_refused_event_is_named_by_its_place_in_the_call_not_in_the_request() -> None:
    def refuse_the_second_request(asked: Asked) -> Told:
        if asked.headers["idempotency-key"].endswith(":1"):
            return Told(status=422, body={"detail": [{"loc": ["body", "events", 3, "text"], "msg": "no"}]})
        return record_all(asked)

    events = [{"event_id": f"e{number}", "session_id": "s", "timestamp_ms": 1, "text": "x"} for number in range(1_010)]
    with scripted(respond=refuse_the_second_request) as server, client_of(server) as memory:
        with pytest.raises(InvalidRequest) as caught:
            memory.record_events(events)
        assert caught.value.field == "events.1003.text"


def test_no_events_are_no_request() -> None:
    with scripted(RECORDED) as server, client_of(server) as memory:
        assert memory.record_events([]).events == []
    assert server.asked == []


def test_events_are_asked_for_by_time_session_and_cursor() -> None:
    page = {"events": [{"event_id": "e1", "session_id": "s", "timestamp_ms": 5, "text": "hi", "position": 3}], "next_cursor": "n"}
    with scripted(Told(body=page)) as server, client_of(server, namespace="work") as memory:
        got = memory.get_events(from_=datetime(2025, 9, 1, tzinfo=UTC), to=9, session_id="s", limit=2, cursor="c", user_id="u")
    assert dict(server.asked[0].query) == {
        "from": "2025-09-01T00:00:00+00:00",
        "to": "9",
        "session_id": "s",
        "limit": "2",
        "cursor": "c",
        "namespace": "work",
        "user_id": "u",
    }
    assert got.next_cursor == "n"
    assert (got.events[0].position, got.events[0].text) == (3, "hi")


def test_a_search_carries_its_scope_and_gives_scores() -> None:
    hit = {"event_id": "e", "session_id": "s", "timestamp_ms": 5, "text": "hi", "score": 0.9, "score_type": "hybrid"}
    with scripted(Told(body={"events": [hit], "total": 4, "next_offset": 1})) as server, client_of(server) as memory:
        found = memory.search_timeline("ferry", mode="keyword", limit=1, namespace="work", from_=3, min_position=8)
    assert server.asked[0].json == {
        "text": "ferry",
        "mode": "keyword",
        "limit": 1,
        "offset": 0,
        "namespace": "work",
        "from": 3,
    }
    assert server.asked[0].query == [("min_position", "8")]
    assert (found.events[0].score, found.total, found.next_offset) == (0.9, 4, 1)


def test_a_search_of_kinds_gives_nodes_grips_and_events_as_the_other_door_does() -> None:
    about = {"score": 0.5, "text": "t", "timestamp_ms": 5}
    node = {"node_id": "toc:year:2026", "level": "year", "title": "2026", "start_time_ms": 1, "end_time_ms": 2, "events": 7}
    spans = [{"event_id": "e1", "start": 0, "end": 2}, {"event_id": "e2", "start": 1, "end": 3}]
    grip = {"grip_id": "grip:1", "session_id": "s", "node_id": "toc:x", "excerpt": "hi ho", "spans": spans, "timestamp_ms": 5}
    event = {"event_id": "e1", "session_id": "s", "timestamp_ms": 5, "text": "hi", "role": "bystander"}
    matches = [
        {"kind": "node", "id": "toc:year:2026", "node": node, **about},
        {"kind": "grip", "id": "grip:1", "grip": grip, **about},
        {"kind": "event", "id": "e1", "event": event, **about},
    ]
    answer = Told(body={"matches": matches, "total": 4, "next_offset": 3})
    with scripted(answer, answer) as server, client_of(server) as memory:
        found = memory.search_timeline("ferry", kinds=["node", "grip"])
        assert memory.search_timeline("ferry", kinds=[]) == found
    assert [asked.json["kinds"] for asked in server.asked] == [["node", "grip"], []]  # type: ignore[index]
    assert (found.events, found.total, found.next_offset) == ([], 4, 3)
    of_node, of_grip, of_event = found.matches
    assert (of_node.kind, of_node.id, of_node.score, of_node.text, of_node.timestamp_ms) == ("node", "toc:year:2026", 0.5, "t", 5)
    assert of_node.node
    assert of_grip.grip
    assert of_event.event
    assert (of_node.node.event_count, of_grip.grip.event_id_end, of_event.event.role) == (7, "e2", "user")


def test_a_server_that_knows_no_kinds_tells_of_events_alone() -> None:
    hit = {"event_id": "e", "session_id": "s", "timestamp_ms": 5, "text": "hi", "role": "user", "score": 0.9}
    answer = Told(body={"events": [hit], "total": 4, "next_offset": 1})
    with scripted(answer, answer, answer) as server, client_of(server) as memory:
        anything, events, others = (memory.search_timeline("ferry", kinds=kinds) for kinds in ([], ["event"], ["node", "grip"]))
    assert anything == events
    assert (events.total, events.next_offset, others.total, others.next_offset, others.matches) == (4, 1, 0, None, [])
    (match,) = events.matches
    assert (match.kind, match.id, match.score, match.text, match.timestamp_ms) == ("event", "e", 0.9, "hi", 5)
    assert match.event
    assert match.event.session_id == "s"


def test_working_memory_is_put_with_the_scope_of_the_client() -> None:
    document = {"session_id": "s", "messages": [], "namespace": "other"}
    with (
        scripted(Told(body=document, headers={"X-Memory-Position": "12"})) as server,
        client_of(server, namespace="work") as memory,
    ):
        put = memory.put_working_memory("s", {"messages": [], "data": {"a": 1}}, context_window_max=16_000)
        memory.put_working_memory("s", {"namespace": "other"})
    assert put.position == 12
    assert server.asked[0].json == {"messages": [], "data": {"a": 1}, "namespace": "work"}
    assert server.asked[0].query == [("context_window_max", "16000")]
    assert server.asked[1].json == {"namespace": "other"}


def test_a_memory_without_an_id_gets_one_and_keeps_it_when_tried_again() -> None:
    with scripted(Told(status=503), Told(body={"status": "ok"})) as server, client_of(server, user_id="nadia") as memory:
        memory.create_long_term_memory([{"text": "likes tea"}])
    first, second = (asked.json["memories"][0] for asked in server.asked)  # type: ignore[index]
    assert first == second
    assert first["id"]
    assert first["user_id"] == "nadia"


def test_deleting_memories_tells_how_many_there_were() -> None:
    told = Told(body={"status": "ok, deleted 2 memories"}, headers={"X-Memory-Position": "5"})
    with scripted(told) as server, client_of(server) as memory:
        deleted = memory.delete_long_term_memories(["a", "b", "c"])
    assert server.asked[0].query == [("memory_ids", "a"), ("memory_ids", "b"), ("memory_ids", "c")]
    assert (deleted.count, deleted.position) == (2, 5)


def test_a_search_of_memories_filters_by_the_clients_own_scope_unless_told_otherwise() -> None:
    with scripted(Told(body={"memories": [], "total": 0})) as server, client_of(server, namespace="work", user_id="u") as memory:
        memory.search_long_term_memory("tea", filters={"namespace": {"any": ["a", "b"]}, "topics": {"eq": "food"}})
    assert server.asked[0].json == {
        "text": "tea",
        "search_mode": "semantic",
        "limit": 10,
        "offset": 0,
        "namespace": {"any": ["a", "b"]},
        "user_id": {"eq": "u"},
        "topics": {"eq": "food"},
    }


def test_a_server_that_is_not_ready_answers_what_is_missing() -> None:
    with scripted(Told(status=503, body={"ready": False, "parts": {"redis": "down"}})) as server, client_of(server) as memory:
        answer = memory.ready()
    assert (answer.ready, answer.parts) == (False, {"redis": "down"})
    assert len(server.asked) == 1


def projections(*positions: int) -> Told:
    views = [
        {"projection": "timeline-index", "position": positions[0]},
        {"projection": "memory-index", "position": positions[1]},
        {"projection": "segments", "position": 0},
    ]
    return Told(body={"projections": views, "head": max(positions)})


async def test_wait_for_returns_once_both_indexes_have_got_there() -> None:
    with scripted(projections(3, 9), projections(9, 9)) as server:
        async with MemoryClient(server.url) as memory:
            reached = await memory.wait_for(9)
    assert reached.head == 9
    assert len(server.asked) == 2


def test_wait_for_says_which_projection_is_late() -> None:
    with scripted(projections(3, 9)) as server, client_of(server) as memory:
        with pytest.raises(WaitTimeout, match=r"timeline-index is at 3$"):
            memory.wait_for(9, timeout=0)
        with pytest.raises(WaitTimeout, match="contents is not known"):
            memory.wait_for(0, projections=["contents"], timeout=0)


def test_the_timeline_is_walked_over_http_by_the_names_of_the_other_door() -> None:
    year = {"node_id": "toc:year:2026", "level": "year", "title": "2026", "start_time_ms": 1, "end_time_ms": 2, "events": 7}
    answers = (Told(body={"nodes": [year], "continuation_token": "1"}), Told(status=404, body={"detail": "there is no node"}))
    with scripted(*answers) as server, client_of(server, namespace="work") as memory:
        page = memory.browse_toc("toc:all", 1, min_position=4)
        assert memory.get_node("toc:year/1999") is None
        assert memory.expand_grip("grip:none").grip is None
        assert memory.pause_job("nightly") == "there is no node"
    assert (page.children[0].event_count, page.continuation_token, page.has_more) == (7, "1", True)
    assert server.asked[0].query == [("limit", "1"), ("min_position", "4"), ("namespace", "work")]
    assert [asked.path for asked in server.asked[1:]] == [
        "/v1/timeline/nodes/toc%3Ayear%2F1999",
        "/v1/timeline/grips/grip%3Anone",
        "/v1/scheduler/jobs/nightly/pause",
    ]


@pytest.mark.parametrize("event", [Event(event_id="e1", session_id="s", timestamp_ms=5, text="hi"), EVENT])
def test_one_event_is_told_apart_from_one_that_was_known(event: Any) -> None:
    with scripted(RECORDED) as server, client_of(server) as memory:
        assert memory.ingest(event) == ("e1", True)
        assert memory.ingest_batch([event]) == 1
        assert memory.position == 7
    assert server.asked[0].json["events"][0]["event_type"] == "user_message"  # type: ignore[index]


def test_waits_grow_and_stay_below_the_longest() -> None:
    waits = list(Retry(attempts=8, first_wait=0.1, longest_wait=1.0).waits())
    assert len(waits) == 7
    assert all(0.05 <= wait <= 1.0 for wait in waits)


def test_those_that_are_told_to_come_back_do_not_all_come_back_at_once() -> None:
    full = Answer(status=503, headers={"retry-after": "1"}, body=b"{}")
    sending = exchange(Request(method="GET", path="/"), Retry(attempts=9, first_wait=0.1, longest_wait=1.0))
    next(sending)
    waits = []
    for _ in range(8):
        told = sending.send(full)
        assert isinstance(told, Pause)
        waits.append(told.seconds)
        sending.send(None)
    with pytest.raises(ServerUnavailable):
        sending.send(full)
    assert all(1.0 <= wait <= 1.5 for wait in waits)
    assert max(waits) - min(waits) > 0.01


@pytest.mark.parametrize("kind", [MemoryClient, SyncMemoryClient])
def test_operations_explain_themselves(kind: Callable[[str], Any]) -> None:
    client = kind("http://127.0.0.1:1")
    assert "once per event id" in client.record_events.__doc__
