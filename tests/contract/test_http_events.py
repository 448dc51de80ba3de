"""The timeline over HTTP: events one by one, in lists and as lines; read by time; searched."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.queries import SearchTimeline
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope, TimelineEvent
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemoryHit, MemoryPage, MemorySystem
from agent_memory.runtime.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(), clock=lambda: NOW, **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


def sent(system: MemorySystem) -> list[TimelineEvent]:
    command = system.sent[-1][1]
    assert isinstance(command, RecordEvents)
    return command.events


async def test_one_event_is_recorded_once(http: AsyncClient, system: MemorySystem) -> None:
    event = {"event_id": "e1", "session_id": "s", "timestamp_ms": 5, "text": "hi", "namespace": "n"}
    first, again = [(await http.post("/v1/events", json=event)) for _ in range(2)]
    assert first.json() == {"events": [{"event_id": "e1", "created": True}], "created": 1, "position": 1}
    assert again.json() == {"events": [{"event_id": "e1", "created": False}], "created": 0, "position": 2}
    assert first.headers["x-memory-position"] == "1"
    assert system.sent[0][0] == Scope(namespace="n")


async def test_events_stand_beside_the_rest_of_the_timeline_too(http: AsyncClient) -> None:
    event = {"event_id": "e1", "session_id": "s", "timestamp_ms": 5, "text": "hi"}
    assert (await http.post("/v1/timeline/events", json=event)).json()["created"] == 1
    [here, there] = [(await http.get(path)).json() for path in ("/v1/events", "/v1/timeline/events")]
    assert here == there
    assert [one["event_id"] for one in here["events"]] == ["e1"]


async def test_a_list_and_lines_mean_the_same(http: AsyncClient, system: MemorySystem) -> None:
    events = [{"event_id": f"e{n}", "session_id": "s", "timestamp_ms": n, "metadata": {"k": "v"}} for n in range(1_000)]
    listed = await http.post("/v1/events/", json={"events": events, "namespace": "n", "user_id": "u"})
    lines = "\n".join(map(json.dumps, events)) + "\r\n\n"
    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    streamed = await http.post("/v1/events?namespace=n&user_id=u", content=lines, headers=headers)
    assert listed.json()["created"] == 1_000
    assert streamed.json()["created"] == 0
    assert system.sent[0] == system.sent[1]


async def test_what_is_not_given_is_filled_in(http: AsyncClient, system: MemorySystem) -> None:
    given = [{"session_id": "s"}, {"session_id": "s", "role": "assistant"}, {"session_id": "s", "event_type": "tool_result"}]
    answer = await http.post("/v1/events", json={"events": given})
    ids = [outcome["event_id"] for outcome in answer.json()["events"]]
    assert ids == sorted(set(ids))
    assert [(event.event_type, event.role, event.timestamp_ms) for event in sent(system)] == [
        ("user_message", "user", 1_767_225_600_000),
        ("assistant_message", "assistant", 1_767_225_600_000),
        ("tool_result", "tool", 1_767_225_600_000),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"timestamp_ms": "5"}, (5, 0)),
        ({"timestamp": 1.000001}, (1_000, 1)),
        ({"timestamp": "2026-01-01T00:00:00.123456Z"}, (1_767_225_600_123, 456)),
        ({"timestamp": "2026-01-01T00:00:00.123456"}, (1_767_225_600_123, 456)),
        ({"timestamp": "1969-12-31T23:59:59.999999Z"}, (-1, 999)),
        ({"timestamp_ms": MAX_TIMESTAMP_MS, "timestamp": 7}, (MAX_TIMESTAMP_MS, 0)),
        ({"timestamp_ms": MIN_TIMESTAMP_MS}, (MIN_TIMESTAMP_MS, 0)),
    ],
)
async def test_times_keep_their_microseconds(http: AsyncClient, system: MemorySystem, given: object, expected: object) -> None:
    assert isinstance(given, dict)
    assert (await http.post("/v1/events", json={"session_id": "s", **given})).status_code == 200
    assert (sent(system)[0].timestamp_ms, sent(system)[0].microseconds) == expected


async def test_ids_that_the_server_makes_are_the_same_when_the_request_comes_again(http: AsyncClient, system: MemorySystem) -> None:
    body = {"events": [{"session_id": "s"}, {"session_id": "s"}]}
    for _ in range(2):
        system._keys.clear()
        await http.post("/v1/events", json=body, headers={"Idempotency-Key": "k"})
    assert system.sent[0] == system.sent[1]
    assert len({event.event_id for event in sent(system)}) == 2


GOOD = {"session_id": "s", "text": "good"}


@pytest.mark.parametrize(
    ("bad", "loc", "kind"),
    [
        ({}, ["session_id"], "missing"),
        ({"session_id": ""}, ["session_id"], "string_too_short"),
        ({"session_id": "é" * 128}, ["session_id"], "string_too_long"),
        ({**GOOD, "event_id": ""}, ["event_id"], "string_too_short"),
        ({**GOOD, "event_id": "\ud800"}, ["event_id"], "string_unicode"),
        ({**GOOD, "timestamp_ms": MAX_TIMESTAMP_MS + 1}, ["timestamp_ms"], "less_than_equal"),
        ({**GOOD, "timestamp_ms": MIN_TIMESTAMP_MS - 1}, ["timestamp_ms"], "greater_than_equal"),
        ({**GOOD, "timestamp_ms": 1.5}, ["timestamp_ms"], "int_from_float"),
        ({**GOOD, "timestamp": "10000-01-01T00:00:00Z"}, ["timestamp"], "datetime_parsing"),
        ({**GOOD, "event_type": "shout"}, ["event_type"], "literal_error"),
        ({**GOOD, "text": "a\x00"}, ["text"], "value_error"),
        ({**GOOD, "text": "é" * 500_001}, ["text"], "string_too_long"),
        ({**GOOD, "metadata": {"k": 1}}, ["metadata", "k"], "string_type"),
        ({**GOOD, "metadata": {"\x00": "v"}}, ["metadata", "\x00"], "value_error"),
        ({**GOOD, "role": ""}, ["role"], "string_too_short"),
        ("text", [], "model_attributes_type"),
    ],
)
async def test_one_bad_event_refuses_the_whole_request_and_is_named_by_its_index(
    http: AsyncClient, system: MemorySystem, bad: Any, loc: list[str], kind: str
) -> None:
    lines = b"\n".join(json.dumps(event).encode() for event in (GOOD, bad))
    for content, headers in (
        (json.dumps({"events": [GOOD, bad]}).encode(), {}),
        (lines, {"Content-Type": "application/x-ndjson"}),
    ):
        answer = await http.post("/v1/events", content=content, headers=headers)
        assert answer.status_code == 422
        problem = answer.json()["detail"][0]
        assert (problem["loc"], problem["type"]) == (["body", "events", 1, *loc], kind)
    assert system.sent == []


async def test_a_batch_has_one_to_a_thousand_events(http: AsyncClient, system: MemorySystem) -> None:
    for events, kind in (([], "too_short"), ([GOOD] * 1_001, "too_long")):
        answer = await http.post("/v1/events", json={"events": events})
        assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, kind)
    lines = b"\n".join([b"{}"] * 1_001)
    assert (await http.post("/v1/events", content=lines, headers={"Content-Type": "application/x-ndjson"})).status_code == 422
    assert system.sent == []


async def test_a_broken_line_is_named_by_its_number(http: AsyncClient) -> None:
    content = b'{"session_id":"s"}\n{"session_id":'
    answer = await http.post("/v1/events", content=content, headers={"Content-Type": "application/x-ndjson"})
    problem = answer.json()["detail"][0]
    assert (problem["type"], problem["loc"][:3]) == ("json_invalid", ["body", "events", 1])


async def test_an_escaped_backslash_before_u0000_is_no_nul(http: AsyncClient, system: MemorySystem) -> None:
    answer = await http.post("/v1/events", json={"session_id": "s", "text": "\\u0000"})
    assert answer.status_code == 200
    assert sent(system)[0].text == "\\u0000"


async def test_events_are_read_by_time_with_both_ends_included(http: AsyncClient) -> None:
    given = [{"event_id": f"e{n}", "session_id": f"s{n % 2}", "timestamp_ms": n, "text": "t"} for n in range(6)]
    await http.post("/v1/events", json={"events": given})
    page = (await http.get("/v1/events?from=1&to=1970-01-01T00:00:00.004Z&session_id=s0")).json()
    assert [event["event_id"] for event in page["events"]] == ["e2", "e4"]
    assert page["events"][0] == {
        "event_id": "e2",
        "session_id": "s0",
        "timestamp_ms": 2,
        "event_type": "user_message",
        "role": "user",
        "text": "t",
        "metadata": {},
        "agent": None,
        "message_id": None,
        "position": 1,
    }
    assert page["next_cursor"] is None
    assert (await http.get("/v1/events?limit=2")).json()["next_cursor"] is not None
    assert (await http.get("/v1/events?namespace=other")).json()["events"] == []


@pytest.mark.parametrize("query", ["limit=1001", "limit=0", "from=x", f"to={MAX_TIMESTAMP_MS + 1}", "session_id=", "cursor=%00"])
async def test_a_range_that_cannot_be_is_named(http: AsyncClient, query: str) -> None:
    answer = await http.get(f"/v1/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


async def test_a_search_gives_whole_events_with_their_scores(http: AsyncClient, system: MemorySystem) -> None:
    record = encode(TimelineEvent(event_id="e", session_id="s", timestamp_ms=1, text="tea"))
    system.page = MemoryPage(hits=[MemoryHit(record=record, score=0.5, dist=0.5, score_type="hybrid")], total=9, next_offset=1)
    body = {"text": "tea", "namespace": "n", "session_id": "s", "from": 1, "to": "2026-01-01", "limit": "1"}
    answer = await http.post("/v1/timeline/search", json=body)
    assert (answer.json()["total"], answer.json()["next_offset"]) == (9, 1)
    event = answer.json()["events"][0]
    assert (event["event_id"], event["role"], event["metadata"], event["score"], event["score_type"]) == (
        "e",
        "user",
        {},
        0.5,
        "hybrid",
    )
    expected = SearchTimeline(scope=Scope(namespace="n"), text="tea", session_id="s", from_ms=1, to_ms=1_767_225_600_000, limit=1)
    assert system.queries == [msgspec.structs.replace(expected, kinds=("event",))]


async def test_a_search_for_sessions_gives_each_with_its_best_events(http: AsyncClient, system: MemorySystem) -> None:
    record = encode(TimelineEvent(event_id="e", session_id="s", timestamp_ms=1, text="tea"))
    system.page = MemoryPage(hits=[MemoryHit(record=record, score=0.5, dist=0.5, score_type="hybrid")])
    answer = await http.post("/v1/timeline/search", json={"text": "tea", "group_by": "session"})
    (session,) = answer.json()["sessions"]
    assert (session["session_id"], session["score"], answer.json()["total"], answer.json()["next_offset"]) == ("s", 1.0, 1, None)
    assert [event["event_id"] for event in session["events"]] == ["e"]
    assert system.queries == [SearchTimeline(scope=Scope(), text="tea", kinds=("event",), group_by="session")]


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x", "group_by": "day"},
        {"text": "x", "group_by": "session", "kinds": ["event"]},
        {"text": "x", "kinds": ["memory"]},
        {"text": "x", "kinds": "node"},
        {"text": "x", "kinds": [], "offset": 1_001},
        {},
        {"text": " "},
        {"text": "x", "mode": "magic"},
        {"text": "x", "limit": 101},
        {"text": "x", "offset": -1},
        {"text": "x", "from": "2026-01-02", "to": "2026-01-01"},
        {"text": "x", "from": 2, "to": 1, "kinds": []},
    ],
)
async def test_a_search_that_cannot_be_is_refused(http: AsyncClient, body: object) -> None:
    assert (await http.post("/v1/timeline/search", json=body)).status_code == 422


async def test_a_search_of_a_time_that_ends_before_it_begins_says_what_to_do(http: AsyncClient, system: MemorySystem) -> None:
    asked = {"text": "x", "from": 2, "to": 1}
    (problem,) = (await http.post("/v1/timeline/search", json=asked)).json()["detail"]
    assert (problem["loc"], "exchange them" in problem["msg"], system.queries) == (["body", "to"], True, [])
    (alone,) = (await http.post("/v1/timeline/search", json={**asked, "to": "someday"})).json()["detail"]
    assert alone["type"] == "datetime_parsing"
    for moment in ({"from": 1, "to": 1}, {"from": 2}, {"to": 1}):
        assert (await http.post("/v1/timeline/search", json={"text": "x", **moment})).status_code == 200
