"""The gRPC edge of a running stack, as somebody sees it who has nothing but its address."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest

from agent_memory.embedded.supervisor import Stack
from support.reflected import V1, V1ALPHA, Reflected
from support.servers import Servers
from support.stacks import running_stack
from support.written import until_all_is_written

JANUARY_30 = 1_769_767_200_000
names = (f"scope{number}" for number in itertools.count())

TALK = [
    ("user", "We should move the booking database from MySQL to Postgres before the summer season begins."),
    ("assistant", "The migration of the booking database needs a rehearsal: copy everything to a staging server first."),
    ("user", "Grüße aus Köln 👩‍👩‍👧! The rehearsal found 37 double bookings of the same seat."),
    ("assistant", "Double bookings come from two sailings that share one seat map; an exclusion constraint would refuse them."),
    ("user", "Then add the exclusion constraint to the seat table and rehearse the migration once more on Thursday."),
]


@pytest.fixture(scope="module")
def stack(servers: Servers) -> Iterator[Stack]:
    with running_stack(servers, EMBEDDING_MODEL="local", TIMELINE_SETTLE_SECONDS="0.1") as started:
        yield started


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return f"127.0.0.1:{stack.grpc_port}"


@pytest.fixture
def service(address: str) -> Iterator[Reflected]:
    reflected = Reflected(address)
    yield reflected
    reflected.close()


@pytest.fixture
def scope() -> dict[str, str]:
    return {"x_namespace": next(names), "x_user_id": "ana"}


def event(event_id: str, session: str = "s", at: int = JANUARY_30, **more: Any) -> dict[str, Any]:
    return {"event": {"event_id": event_id, "session_id": session, "timestamp_ms": at, "event_type": 2, "role": 1, **more}}


def code(failure: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    return failure.value.code(), failure.value.details()


def talk(service: Reflected, scope: dict[str, str]) -> int:
    """A conversation; the log position that holds it."""
    position = 0
    for number, (role, text) in enumerate(TALK):
        kind = {"user": (2, 1), "assistant": (3, 2)}[role]
        request = event(f"e{number}", at=JANUARY_30 + number * 60_000, event_type=kind[0], role=kind[1], text=text)
        _, trailer = service.with_trailer("IngestEvent", request, **scope)
        position = int(trailer["x-memory-position"])
    return position


@pytest.mark.parametrize("version", [V1, V1ALPHA])
def test_the_server_describes_itself_in_both_versions(address: str, version: str) -> None:
    reflected = Reflected(address, version=version)
    assert {"memory.MemoryService", "grpc.health.v1.Health", V1, V1ALPHA} <= set(reflected.services())
    nine = "IngestEvent GetTocRoot GetNode BrowseToc GetEvents ExpandGrip GetSchedulerStatus PauseJob ResumeJob".split()  # noqa: SIM905
    assert set(nine) <= {method.name for method in reflected.service.methods}
    reflected.close()


def test_the_server_says_that_it_is_well(address: str) -> None:
    health = Reflected(address, "grpc.health.v1.Health")
    assert [health.call("Check", {"service": name})["status"] for name in ("", "memory.MemoryService")] == [1, 1]
    health.close()


def test_an_event_is_new_once_and_any_id_will_do(service: Reflected, scope: dict[str, str]) -> None:
    for event_id in ("01HXYZABC123", "not a ulid/🎉", "x" * 200):
        assert service.call("IngestEvent", event(event_id), **scope) == {"event_id": event_id, "created": True}
        assert service.call("IngestEvent", event(event_id, text="other"), **scope) == {"event_id": event_id}


def test_of_many_that_send_one_event_at_once_one_is_told_that_it_is_new(service: Reflected, scope: dict[str, str]) -> None:
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: service.call("IngestEvent", event("same"), **scope), range(64)))
    assert sum(answer.get("created", False) for answer in answers) == 1


@pytest.mark.parametrize(
    ("method", "request_", "detail"),
    [
        ("IngestEvent", {}, "Event is required"),
        ("IngestEvent", event(""), "event_id is required"),
        ("IngestEvent", event("e", ""), "session_id is required"),
        ("IngestEvent", event("e", at=2**63 - 1), "Invalid timestamp"),
        ("IngestEvent", event("e", at=-(2**63)), "Invalid timestamp"),
        ("IngestEvent", event("e", text="a\0b"), "text"),
        ("IngestEvent", event("x" * 256), "event_id"),
        ("GetNode", {}, "node_id is required"),
        ("BrowseToc", {}, "parent_id is required"),
        ("ExpandGrip", {}, "grip_id is required"),
        ("SearchTimeline", {}, "query is required"),
        ("SearchTimeline", {"query": "x", "kinds": ["node", "year"]}, "kinds are any of node, grip, event"),
        ("SearchTimeline", {"query": "x", "mode": "fuzzy"}, "mode is one of hybrid, semantic, keyword"),
        ("GetEvents", {"cursor": "nonsense"}, "cursor"),
    ],
)
def test_what_can_never_succeed_is_an_invalid_argument_that_names_the_field(
    service: Reflected, scope: dict[str, str], method: str, request_: dict[str, Any], detail: str
) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        service.call(method, request_, **scope)
    assert code(failure)[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert detail in code(failure)[1]


def test_types_and_roles_that_nobody_knows_are_those_of_a_user(service: Reflected, scope: dict[str, str]) -> None:
    for number, (kind, role) in enumerate([(0, 0), (99, 77)]):
        service.call("IngestEvent", event(f"e{number}", event_type=kind, role=role), **scope)
    found = service.call("GetEvents", {"from_timestamp_ms": 0, "to_timestamp_ms": JANUARY_30}, **scope)["events"]
    assert [(one["event_type"], one["role"]) for one in found] == [(2, 1), (2, 1)]


def test_events_of_a_time_come_in_order_both_ends_included_page_by_page(service: Reflected, scope: dict[str, str]) -> None:
    for name, at in (("b", 5), ("a", 5), ("c", 5), ("d", 6), ("z", 4), ("beyond", 7)):
        service.call("IngestEvent", event(name, at=JANUARY_30 + at, metadata={"file": "ä"}), **scope)
    asked = {"from_timestamp_ms": JANUARY_30 + 4, "to_timestamp_ms": JANUARY_30 + 6, "limit": 2}
    first = service.call("GetEvents", asked, **scope)
    second = service.call("GetEvents", {**asked, "cursor": first["next_cursor"]}, **scope)
    third = service.call("GetEvents", {**asked, "cursor": second["next_cursor"]}, **scope)
    pages = [[one["event_id"] for one in page["events"]] for page in (first, second, third)]
    assert pages == [["z", "a"], ["b", "c"], ["d"]]
    assert (first["has_more"], third.get("has_more", False)) == (True, False)
    for limit in (0, -5, 2**31 - 1):
        assert len(service.call("GetEvents", {**asked, "limit": limit}, **scope)["events"]) == 5
    everything = {"from_timestamp_ms": -(2**63), "to_timestamp_ms": 2**63 - 1}
    assert len(service.call("GetEvents", everything, **scope)["events"]) == 6


def test_a_stream_of_events_is_recorded_whole(service: Reflected, scope: dict[str, str]) -> None:
    def chunk(number: int) -> dict[str, Any]:
        return {"events": [event(f"{number}-{one}", f"s{number}", JANUARY_30 + one)["event"] for one in range(100)]}

    answer = service.streamed("IngestEvents", (chunk(number) for number in range(20)), **scope)
    assert (int(answer["created"]), "existing" in answer) == (2_000, False)
    again = service.streamed("IngestEvents", [chunk(3), {"events": [event("new")["event"]]}], **scope)
    assert (int(again["created"]), int(again["existing"])) == (1, 100)
    with pytest.raises(grpc.RpcError) as failure:
        service.streamed("IngestEvents", [{"events": [event("ok")["event"], event("bad", "")["event"]]}], **scope)
    assert "events[1].session_id is required" in code(failure)[1]


def test_from_the_year_to_the_words(stack: Stack, service: Reflected, scope: dict[str, str]) -> None:
    position = talk(service, scope)
    seen = {**scope, "x_memory_min_position": str(position)}
    (year,) = service.call("GetTocRoot", {}, **seen)["nodes"]
    assert (year["node_id"], year["title"], year["level"], int(year["event_count"])) == ("toc:year:2026", "2026", 1, 5)

    def written() -> list[dict[str, Any]]:
        path = [service.call("GetTocRoot", {}, **scope)["nodes"][0]]
        while path[-1]["level"] < 5:
            path.append(service.call("BrowseToc", {"parent_id": path[-1]["node_id"]}, **scope)["children"][0])
        return path

    until_all_is_written(stack.http_urls[0], stack.redis_url)
    path = written()
    assert all(node["summary"] for node in path)
    assert [node["node_id"] for node in path[:4]] == [
        "toc:year:2026",
        "toc:month:2026-01",
        "toc:week:2026-W05",
        "toc:day:2026-01-30",
    ]
    assert [node["title"] for node in path[:4]] == ["2026", "January 2026", "Week 5, 2026", "January 30, 2026"]
    assert all(node["keywords"] and node["bullets"][0]["grip_ids"] for node in path)
    assert service.call("GetNode", {"node_id": "toc:month:2026:01"}, **scope)["node"]["node_id"] == "toc:month:2026-01"
    texts = {f"e{number}": text for number, (_, text) in enumerate(TALK)}
    for grip_id in path[0]["bullets"][0]["grip_ids"] + path[-1]["bullets"][0]["grip_ids"]:
        found = service.call("ExpandGrip", {"grip_id": grip_id}, **scope)
        grip = found["grip"]
        pieces = [texts[span["event_id"]][span.get("start", 0) : span["end"]] for span in grip["spans"]]
        assert " ".join(pieces) == grip["excerpt"]
        assert [one["event_id"] for one in found["excerpt_events"]][:1] == [grip["event_id_start"]]
        around = [one["event_id"] for part in ("events_before", "excerpt_events", "events_after") for one in found.get(part, [])]
        assert around == sorted(around)
    alone = service.call("ExpandGrip", {"grip_id": grip_id, "events_before": -1, "events_after": 0}, **scope)
    assert "events_before" not in alone
    assert "events_after" not in alone
    wide = service.call("ExpandGrip", {"grip_id": grip_id, "events_before": 2**31 - 1, "events_after": 2**31 - 1}, **scope)
    assert sum(len(wide.get(part, [])) for part in ("events_before", "excerpt_events", "events_after")) == 5
    first = service.call("GetNode", {"node_id": path[-1]["node_id"], "version": 1}, **scope)["node"]
    assert "summary" not in first


def test_what_is_not_there_is_no_error(service: Reflected, scope: dict[str, str]) -> None:
    assert service.call("GetTocRoot", {}, **scope) == {}
    assert service.call("GetNode", {"node_id": "toc:year:1999"}, **scope) == {}
    assert service.call("BrowseToc", {"parent_id": "no such node"}, **scope) == {}
    assert service.call("ExpandGrip", {"grip_id": "grip:none"}, **scope) == {}


def test_children_come_page_by_page_and_a_strange_token_begins_anew(service: Reflected, scope: dict[str, str]) -> None:
    days = {"events": [event(f"d{day}", f"s{day}", JANUARY_30 - day * 86_400_000)["event"] for day in range(5)]}
    answer = service.streamed("IngestEvents", [days], **scope)
    seen = {**scope, "x_memory_min_position": str(answer["position"])}
    asked: dict[str, Any] = {"parent_id": "toc:week:2026-W05", "limit": 2}
    page = service.call("BrowseToc", asked, **seen)
    assert ([one["title"] for one in page["children"]], page["continuation_token"]) == (
        ["January 26, 2026", "January 27, 2026"],
        "2",
    )
    last = service.call("BrowseToc", {**asked, "continuation_token": "4"}, **seen)
    assert (len(last["children"]), last.get("has_more", False), "continuation_token" in last) == (1, False, False)
    for token in ("nonsense", "-3", "9" * 30):
        assert service.call("BrowseToc", {**asked, "continuation_token": token}, **seen)["children"] == page["children"]


def found(service: Reflected, scope: dict[str, str], text: str = "double bookings", **asked: Any) -> list[dict[str, Any]]:
    matches: list[dict[str, Any]] = service.call("SearchTimeline", {"query": text, **asked}, **scope).get("matches", [])
    return matches


@pytest.fixture(scope="module")
def told(stack: Stack, address: str) -> dict[str, str]:
    """The scope of a conversation about which everything is written, and can be found."""
    scope, service = {"x_namespace": next(names), "x_user_id": "ana"}, Reflected(address)
    talk(service, scope)
    until_all_is_written(stack.http_urls[0], stack.redis_url)
    seen = found(service, scope, mode="semantic", kinds=["node", "grip"], limit=100)
    assert {one["node"]["level"] for one in seen if one["kind"] == "node"} == {1, 2, 3, 4, 5}
    assert any(one["kind"] == "grip" for one in seen)
    service.close()
    return scope


def test_search_finds_nodes_by_what_is_written_grips_by_their_words_and_events(service: Reflected, told: dict[str, str]) -> None:
    said = found(service, told, "exclusion constraint", mode="keyword", kinds=["event"])
    assert {one["id"] for one in said} == {"e3", "e4"}
    everything = found(service, told, limit=100)
    assert everything == found(service, told, limit=100, kinds=["event", "grip", "node"], mode="hybrid"), "all is what is usual"
    assert {one["kind"] for one in everything} == {"node", "grip", "event"}
    assert all(set(one) & {"node", "grip", "event"} == {one["kind"]} and 0 <= one.get("score", 0) <= 1 for one in everything)
    texts = {f"e{number}": text for number, (_, text) in enumerate(TALK)}
    for one in everything:
        if one["kind"] == "event":
            assert (one["text"], one["event"]["event_id"]) == (texts[one["id"]], one["id"])
        elif one["kind"] == "grip":
            pieces = [texts[span["event_id"]][span.get("start", 0) : span["end"]] for span in one["grip"]["spans"]]
            assert (" ".join(pieces), one["grip"]["grip_id"]) == (one["text"], one["id"])
        else:
            assert (one["node"]["summary"], one["node"]["node_id"]) == (one["text"], one["id"])
    for kind in ("node", "grip", "event"):
        alone = found(service, told, kinds=[kind], limit=100)
        assert {one["kind"] for one in alone} == {kind}
        assert [one["id"] for one in alone] == [one["id"] for one in everything if one["kind"] == kind], "each order stays as it is"
    assert found(service, {**told, "x_user_id": "ben"}) == []


def test_search_keeps_to_a_time_both_ends_included_and_to_a_session(service: Reflected, told: dict[str, str]) -> None:
    middle = {"from_timestamp_ms": JANUARY_30 + 60_000, "to_timestamp_ms": JANUARY_30 + 180_000, "mode": "semantic"}
    assert {one["id"] for one in found(service, told, kinds=["event"], **middle)} == {"e1", "e2", "e3"}
    (grip, *_) = found(service, told, mode="semantic", kinds=["grip"])
    at = int(grip["timestamp_ms"])
    now = found(service, told, mode="semantic", kinds=["grip"], from_timestamp_ms=at, to_timestamp_ms=at)
    assert grip["id"] in {one["id"] for one in now}
    assert {int(one["timestamp_ms"]) for one in now} == {at}
    later = found(service, told, mode="semantic", from_timestamp_ms=JANUARY_30 + 3_600_000)
    assert {one["node"]["level"] for one in later} == {1, 2, 3, 4}, "the segment has ended, its day has not"
    for bounds in (
        {"to_timestamp_ms": JANUARY_30 - 40 * 86_400_000},
        {"from_timestamp_ms": 2**63 - 1},
        {"to_timestamp_ms": -(2**63)},
    ):
        assert found(service, told, **bounds) == []
    assert len(found(service, told, kinds=["event"], mode="semantic", from_timestamp_ms=-(2**63), to_timestamp_ms=2**63 - 1)) == 5
    of_session = found(service, told, mode="semantic", kinds=["node"], session_id="s")
    assert [one["node"]["level"] for one in of_session] == [5]
    assert found(service, told, session_id="another") == []


def test_search_gives_as_many_as_are_asked_for(service: Reflected, told: dict[str, str]) -> None:
    many = found(service, told, mode="semantic", limit=100)
    assert len(many) > 10
    assert found(service, told, mode="semantic", limit=3) == many[:3]
    for limit in (0, -5):
        assert found(service, told, mode="semantic", limit=limit) == many[:10]
    assert found(service, told, mode="semantic", limit=2**31 - 1) == many


@pytest.mark.parametrize(
    "asked",
    [
        {"kinds": []},
        {"kinds": ["node", "grip"], "mode": "semantic", "limit": 4},
        {"kinds": ["grip", "event"], "mode": "keyword", "session_id": "s"},
        {"kinds": ["event"], "from": JANUARY_30 + 60_000, "to": JANUARY_30 + 180_000},
    ],
)
def test_search_answers_the_same_over_http(stack: Stack, service: Reflected, told: dict[str, str], asked: dict[str, Any]) -> None:
    renamed = {"from": "from_timestamp_ms", "to": "to_timestamp_ms"}
    body = {"text": "double bookings", "namespace": told["x_namespace"], "user_id": told["x_user_id"], **asked}

    def over_http() -> list[tuple[Any, ...]]:
        matches = httpx.post(f"{stack.http_urls[0]}/v1/timeline/search", json=body, timeout=30).raise_for_status().json()["matches"]
        return [(one["kind"], one["id"], round(one["score"], 4), one["text"], one["timestamp_ms"]) for one in matches]

    def over_grpc() -> list[tuple[Any, ...]]:
        matches = found(service, told, **{renamed.get(name, name): value for name, value in asked.items()})
        return [(one["kind"], one["id"], round(one.get("score", 0), 4), one["text"], int(one["timestamp_ms"])) for one in matches]

    assert over_http() == over_grpc() != []


def test_scopes_are_apart(service: Reflected, scope: dict[str, str]) -> None:
    talk(service, scope)
    for other in ({**scope, "x_user_id": "ben"}, {**scope, "x_namespace": "elsewhere"}, {}):
        found = service.call("GetEvents", {"from_timestamp_ms": JANUARY_30, "to_timestamp_ms": JANUARY_30 + 600_000}, **other)
        assert "events" not in found or not {one["event_id"] for one in found["events"]} & {"e1", "e2"}


def test_jobs_are_told_paused_and_resumed(service: Reflected) -> None:
    status = service.call("GetSchedulerStatus")
    assert status["scheduler_running"]
    jobs = {job["job_name"]: job for job in status["jobs"]}
    assert [jobs[name]["cron_expr"] for name in ("hourly-rollup", "segment-summarizer", "outbox-processor")] == [
        "0 0 * * * *",
        "0 */15 * * * *",
        "0 * * * * *",
    ]
    assert all(int(job["next_run_ms"]) > JANUARY_30 for job in jobs.values())
    assert service.call("PauseJob", {"job_name": "hourly-rollup"}) == {"success": True}
    assert service.call("ResumeJob", {"job_name": "hourly-rollup"}) == {"success": True}
    assert service.call("PauseJob", {"job_name": "none"}) == {"error": "Job not found: none"}


def test_a_deadline_that_passes_is_told(service: Reflected, scope: dict[str, str]) -> None:
    asked, answered = service._kinds("GetTocRoot")
    call = service.channel.unary_unary(
        "/memory.MemoryService/GetTocRoot", request_serializer=asked.SerializeToString, response_deserializer=answered.FromString
    )
    with pytest.raises(grpc.RpcError) as failure:
        call(asked(), timeout=0.2, metadata=[("x-memory-min-position", "999999999")])
    assert failure.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


def test_the_doors_agree(stack: Stack, service: Reflected, scope: dict[str, str]) -> None:
    position = talk(service, scope)
    given = {"namespace": scope["x_namespace"], "user_id": scope["x_user_id"], "min_position": str(position)}
    with httpx.Client(base_url=stack.http_urls[0], params=given, timeout=30) as http:
        (year,) = http.get("/v1/timeline/root").json()["nodes"]
        (over_grpc,) = service.call("GetTocRoot", {}, **scope)["nodes"]
        assert [year[name] for name in ("node_id", "title")] == [over_grpc[name] for name in ("node_id", "title")]
        months = http.get("/v1/timeline/nodes/toc:year:2026/children", params={"limit": 1}).json()
        assert (months["nodes"][0]["title"], months["continuation_token"]) == ("January 2026", None)
        assert http.get("/v1/timeline/nodes/toc:month:2026:01").json()["node_id"] == "toc:month:2026-01"
        missing = [http.get(f"/v1/timeline/{path}").status_code for path in ("nodes/toc:year:1999", "grips/grip:none")]
        assert missing == [404, 404]
        until_all_is_written(stack.http_urls[0], stack.redis_url)
        day = http.get("/v1/timeline/nodes/toc:day:2026-01-30").json()
        words = http.get(f"/v1/timeline/grips/{day['bullets'][0]['grip_ids'][0]}", params={"events_before": 1}).json()
        assert words["grip"]["excerpt"] in words["excerpt_events"][0]["text"]
        assert http.get("/v1/working-memory/s").json()["messages"][0]["id"] == "e0"
