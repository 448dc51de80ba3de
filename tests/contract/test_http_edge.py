"""What every route does alike: errors, limits, headers, and what operators see."""

import json
import re
from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_memory.auth.principal import Principal
from agent_memory.contracts import errors
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import PROJECTIONS
from agent_memory.gateway.app import create_app
from agent_memory.gateway.edges.http.documentation import OPERATIONS
from agent_memory.gateway.edges.http.edge import routes
from agent_memory.gateway.memory import MemorySystem
from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings

HELLO = {"messages": [{"role": "user", "content": "Hello", "id": "m", "created_at": "2026-01-01T00:00:00Z"}]}
SETTINGS = Settings(max_body_bytes=100_000, read_wait_seconds=0.0)
WRITES = [
    ("POST", "/v1/events", {"session_id": "s", "event_id": "e"}),
    ("PUT", "/v1/working-memory/s", HELLO),
    ("DELETE", "/v1/working-memory/s", None),
    ("POST", "/v1/working-memory/s/messages", HELLO),
    ("POST", "/v1/long-term-memory/", {"memories": [{"id": "a", "text": "x"}]}),
    ("PATCH", "/v1/long-term-memory/a", {"text": "y"}),
    ("DELETE", "/v1/long-term-memory?memory_ids=a", None),
]


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(SETTINGS, **system.ports()), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (errors.Refused("no"), 400, "no"),
        (errors.Unauthorized("who?"), 401, "who?"),
        (errors.Forbidden("not yours"), 403, "not yours"),
        (errors.Conflict("too late"), 409, "too late"),
        (errors.TooLarge("too much"), 413, "too much"),
        (errors.NeedsUpgrade("too new"), 503, "too new"),
        (
            errors.Invalid("odd", field="query.cursor"),
            422,
            [{"type": "value_error", "loc": ["query", "cursor"], "msg": "Value error, odd", "input": None}],
        ),
        (
            errors.Invalid("odd", field="messages.0.id"),
            422,
            [{"type": "value_error", "loc": ["body", "messages", 0, "id"], "msg": "Value error, odd", "input": None}],
        ),
    ],
)
async def test_every_kind_of_error_has_its_status(
    http: AsyncClient, system: MemorySystem, error: Exception, status: int, detail: object
) -> None:
    system.fault = error
    answer = await http.put("/v1/working-memory/s", json=HELLO)
    told: dict[str, object] = {"detail": detail}
    told |= {401: {"status_code": 401}, 503: {"command_id": None}}.get(status, {})
    assert (answer.status_code, answer.json()) == (status, told)
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_part_that_is_down_is_a_503_with_the_id_of_the_command(
    http: AsyncClient, system: MemorySystem, method: str, path: str, body: object
) -> None:
    system.fault = errors.Unavailable("away", command_id="c1")
    answer = await http.request(method, path, json=body)
    assert (answer.status_code, answer.json()) == (503, {"detail": "away", "command_id": "c1"})


@pytest.mark.parametrize("path", ["/v1/working-memory/s", "/v1/long-term-memory/a", "/v1/events", "/v1/status"])
async def test_what_nobody_expected_tells_nothing(http: AsyncClient, system: MemorySystem, path: str) -> None:
    broken = create_app(SETTINGS, **{**system.ports(), "log": object(), "sessions": object()})
    async with AsyncClient(transport=ASGITransport(app=broken), base_url="http://memory") as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_every_write_says_where_it_is_and_takes_effect_once_under_a_key(
    http: AsyncClient, system: MemorySystem, method: str, path: str, body: object
) -> None:
    await http.post("/v1/long-term-memory/", json={"memories": [{"id": "a", "text": "x"}]})
    before = len(system.sent)
    answers = [await http.request(method, path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.headers["x-memory-position"] for answer in answers} == {str(before + 1)}
    assert len(system.sent) == before + 1


async def test_a_key_that_cannot_be_kept_is_named(http: AsyncClient, system: MemorySystem) -> None:
    for key in ("", "k" * 256):
        answer = await http.put("/v1/working-memory/s", json=HELLO, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", "idempotency-key"])
    assert system.sent == []


async def test_what_a_key_stands_for_is_method_path_query_and_body(http: AsyncClient, system: MemorySystem) -> None:
    for path, body in (("s", HELLO), ("s", HELLO), ("t", HELLO), ("s?user_id=u", HELLO), ("s", {})):
        await http.put(f"/v1/working-memory/{path}", json=body, headers={"Idempotency-Key": f"k{len(system.fingerprints)}"})
    assert system.fingerprints[0] == system.fingerprints[1]
    assert len(set(system.fingerprints)) == 4
    assert all(system.fingerprints)


READS = [
    ("GET", "/v1/working-memory/s", None),
    ("GET", "/v1/working-memory", None),
    ("GET", "/v1/events", None),
    ("GET", "/v1/long-term-memory/a", None),
    ("POST", "/v1/timeline/search", {"text": "x"}),
    ("POST", "/v1/long-term-memory/search", {"text": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), READS)
async def test_a_read_waits_for_a_position_and_says_what_lags(
    http: AsyncClient, system: MemorySystem, method: str, path: str, body: object
) -> None:
    await http.post("/v1/long-term-memory/", json={"memories": [{"id": "a", "text": "x"}]})
    await http.put("/v1/working-memory/s", json=HELLO)
    assert (await http.request(method, path, json=body, params={"min_position": "2"})).status_code == 200
    for where in ({"params": {"min_position": "3"}}, {"headers": {"X-Memory-Min-Position": "3"}}):
        answer = await http.request(method, path, json=body, **where)  # type: ignore[arg-type]
        assert answer.status_code == 503
        assert "has not reached position 3 yet" in answer.json()["detail"]


async def test_a_search_waits_for_its_index_not_for_the_log(http: AsyncClient, system: MemorySystem) -> None:
    await http.put("/v1/working-memory/s", json=HELLO)
    system.reached = 0
    assert (await http.get("/v1/working-memory/s?min_position=1")).status_code == 200
    answer = await http.post("/v1/long-term-memory/search?min_position=1", json={})
    assert answer.json()["detail"].startswith("memory-index has not reached")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/events"), ("PUT", "/v1/working-memory/s"), ("POST", "/v1/long-term-memory/")]
)
async def test_a_body_that_is_too_large_is_a_413(http: AsyncClient, system: MemorySystem, method: str, path: str) -> None:
    answer = await http.request(method, path, content=b'"' + b"x" * 100_000 + b'"')
    assert (answer.status_code, answer.json()) == (413, {"detail": "Request Entity Too Large"})

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 10_000

    assert (await http.request(method, path, content=chunks())).status_code == 413
    assert system.sent == []


BODIES = ["/v1/events", "/v1/timeline/search", "/v1/working-memory/s", "/v1/working-memory/s/messages", "/v1/long-term-memory/"]
METHOD = {"/v1/working-memory/s": "PUT"}


@pytest.mark.parametrize("path", [*BODIES, "/v1/long-term-memory/search", "/v1/long-term-memory/forget"])
@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", "missing", "Field required"),
        (b" \n", "missing", "Field required"),
        (b'{"a":', "json_invalid", "JSON decode error"),
        (b"\xff\xfe", "json_invalid", "JSON decode error"),
        (b"[" * 50_000, "json_invalid", "JSON decode error"),
        (b'{"a":' * 20_000, "json_invalid", "JSON decode error"),
        (b'{"limit":NaN}', "json_invalid", "JSON decode error"),
        (b"9" * 5_000, "json_invalid", "JSON decode error"),
        (b"[]", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"),
        (b"null", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"),
    ],
)
async def test_a_malformed_body_is_answered_as_clients_expect(
    http: AsyncClient, system: MemorySystem, path: str, content: bytes, kind: str, message: str
) -> None:
    answer = await http.request(METHOD.get(path, "POST"), path, content=content)
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert (problem["type"], problem["msg"], problem["loc"][0]) == (kind, message, "body")
    assert system.sent == []


NAMES = (
    "events messages memories session_id event_id id text role content metadata data timestamp timestamp_ms created_at namespace "
    "user_id tokens ttl_seconds context topics limit offset from policy pinned_ids long_term_memory_strategy memory_type between "
    "eq any none search_mode"
)
names = st.sampled_from(NAMES.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(names, values, max_size=8), st.sampled_from([*BODIES, "/v1/long-term-memory/search"]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_body_whatever_brings_the_server_down(http: AsyncClient, body: dict[str, object], path: str) -> None:
    answer = await http.request(METHOD.get(path, "POST"), path, content=json.dumps(body))
    assert answer.status_code in (200, 400, 422)
    if answer.status_code == 422:
        assert all({"type", "loc", "msg", "input"} <= set(problem) for problem in answer.json()["detail"])


@given(st.text(st.characters(exclude_categories=()), max_size=20), st.sampled_from(["GET", "PUT", "DELETE", "POST", "PATCH"]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_path_whatever_brings_the_server_down(http: AsyncClient, tail: str, method: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in tail.encode("utf-8", "surrogatepass"))
    for prefix in ("/v1/working-memory/", "/v1/long-term-memory/", "/v1/working-memory?namespace="):
        answer = await http.request(method, prefix + encoded, json={"text": "x"})
        assert answer.status_code in (200, 400, 404, 405, 422)


@pytest.mark.parametrize("path", ["//v1/working-memory/abc", "/v1//working-memory/abc", "/v1/working%2Dmemory/abc"])
async def test_another_spelling_of_a_path_never_names_another_session(http: AsyncClient, system: MemorySystem, path: str) -> None:
    for method, body in (("PUT", b"{}"), ("GET", b""), ("DELETE", b"")):
        answer = await http.request(method, f"http://memory{path}", content=body)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    assert system.sent == []


async def test_a_path_that_is_not_there_is_a_404(http: AsyncClient) -> None:
    answer = await http.get("/v1/nothing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_health_says_the_time_in_milliseconds(http: AsyncClient) -> None:
    answer = await http.get("/v1/health")
    assert list(answer.json()) == ["now"]
    assert answer.json()["now"] > 1_700_000_000_000


async def test_ready_says_which_part_is_not(http: AsyncClient, system: MemorySystem) -> None:
    assert (await http.get("/ready")).json() == {"ready": True, "parts": {"everything": "ok"}}

    async def away() -> str | None:
        raise errors.Unavailable("the event log cannot be reached")

    broken = create_app(SETTINGS, **{**system.ports(), "checks": {**system.ports()["checks"], "postgres": away}})
    async with AsyncClient(transport=ASGITransport(app=broken), base_url="http://memory") as client:
        answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["parts"]["everything"] == "ok"
    assert "the event log cannot be reached" in answer.json()["parts"]["postgres"]


async def test_status_shows_every_projection_and_its_lag(http: AsyncClient, system: MemorySystem) -> None:
    for _ in range(3):
        await http.put("/v1/working-memory/s", json=HELLO)
    system.reached = 1
    status = (await http.get("/v1/status")).json()
    assert status["head"] == 3
    assert {one["projection"]: one["service"] for one in status["projections"]} == PROJECTIONS
    assert {(one["position"], one["head"], one["lag"], one["waiting"]) for one in status["projections"]} == {(1, 3, 2, 0)}


SEARCH = "/v1/long-term-memory/search"
SEARCHES: list[tuple[bytes, dict[str, str], dict[str, str]]] = [
    (b"{}", {}, {}),
    (b'{"text":"tea","search_mode":"hybrid","limit":3,"topics":{"any":["a"]}}', {}, {}),
    (b'{"text":"tea"}', {"min_position": "0"}, {"X-Correlation-Id": "c"}),
    (b'{"text":"tea"}', {"min_position": "7"}, {}),
    (b'{"text":"tea"}', {"min_position": "x"}, {}),
    (b'{"text":"tea"}', {}, {"X-Memory-Min-Position": "7"}),
    (b'{"text":"tea","search_mode":"keyword","distance_threshold":0.3}', {}, {}),
    (b'{"limit":0,"offset":-1,"search_mode":"guess","topics":{"eq":"a","ne":"b"}}', {}, {}),
    (b'{"text":"tea","created_at":{"between":["2026-01-01"]}}', {}, {}),
    (b"", {}, {}),
    (b"{", {}, {}),
    (b"[1]", {}, {}),
    (b'"' + b"x" * 100_000 + b'"', {}, {}),
    (b"{}", {str(number): "" for number in range(2_001)}, {}),
]


def counted(status: int) -> float:
    """Of the searches, as operators see it on a page that a long run of tests has made long."""
    name, route = "agent_memory_http_requests_total", "none" if status == 401 else SEARCH  # who is not let in gets to no route
    labels = {"method": "POST", "route": route, "status": str(status)}
    (counted,) = telemetry.REGISTRY.restricted_registry([name]).collect()
    return next((sample.value for sample in counted.samples if (sample.name, sample.labels) == (name, labels)), 0.0)


@pytest.mark.parametrize("fault", [None, errors.Unavailable("away"), errors.Invalid("odd", field="text"), KeyError("unforeseen")])
async def test_the_short_way_to_a_search_answers_and_counts_as_the_way_through_the_framework(
    system: MemorySystem, fault: Exception | None
) -> None:
    class Failing:
        async def search(self, query: object, vector: object) -> object:
            if fault is not None:
                raise fault
            return await system.search(query, vector)  # type: ignore[arg-type]

    system.reached = 5
    for more in ({}, {"authenticate": nobody}, {"settings": Settings(long_term_memory=False)}):
        given = {"settings": SETTINGS, **system.ports(), "memories": Failing(), **more}
        transport = ASGITransport(app=create_app(**given), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with AsyncClient(transport=transport, base_url="http://memory") as client:
            for body, params, headers in SEARCHES if fault is None else SEARCHES[:3]:
                # A path that ends in a slash is not on the short way.
                answers, counts = [], []
                for path in (SEARCH, SEARCH + "/"):
                    answers.append(await client.post(path, content=body, params=params, headers=headers))
                    before = counted(answers[-1].status_code)
                    await client.post(path, content=body, params=params, headers=headers)
                    counts.append(counted(answers[-1].status_code) - before)
                short, long = answers
                assert (short.status_code, short.content) == (long.status_code, long.content)
                assert dict(short.headers) == dict(long.headers)
                assert counts == [1.0, 1.0]


async def nobody(headers: object) -> Principal:
    raise errors.Unauthorized("who?")


async def test_metrics_name_the_route_not_the_path(http: AsyncClient) -> None:
    await http.get("/v1/working-memory/a-very-own-id")
    await http.get("/v1/long-term-memory/another-own-id")
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'route="/v1/working-memory/{session_id:path}"' in answer.text
    assert "own-id" not in answer.text


async def test_the_documentation_names_every_route_and_needs_no_network(http: AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    documented = {(operation.method.upper(), operation.path) for operation in OPERATIONS}
    assert {(method.upper(), path) for path, methods in document["paths"].items() for method in methods} == documented
    served = {
        (method, path.replace(":path}", "}").replace(":str}", "}"))
        for handler in routes()
        for method in handler.http_methods
        for path in handler.paths
    }
    ends = re.compile("/(messages|memory|history|unmerge)$")  # of paths whose id may hold slashes: the route sees to them
    shown = {(method, ends.sub("", path)) for method, path in documented}
    aliases = {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/redoc")} | {
        (method, f"/v1/long-term-memory/{word}") for method in ("GET", "PATCH") for word in ("search", "forget", "compact")
    }
    assert served - aliases == shown
    page = (await http.get("/docs")).text
    assert (await http.get("/redoc")).text == page
    assert "src=" not in page
    assert "http://" not in page
    assert "https://" not in page


async def test_a_credential_decides_the_tenant_and_nothing_else_does(system: MemorySystem) -> None:
    async def bound(headers: object) -> Principal:
        return Principal(tenant="t", user_id="u")

    app = create_app(SETTINGS, authenticate=bound, **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as client:
        body = {**HELLO, "tenant": "other"}
        assert (await client.put("/v1/working-memory/s?tenant=other", json=body)).status_code == 200
        assert (await client.put("/v1/working-memory/s?user_id=v", json=body)).status_code == 403
        assert (await client.post("/v1/long-term-memory/search", json={"user_id": {"eq": "v"}})).status_code == 403
    assert system.sent[0][0] == Scope(tenant="t", user_id="u")


@pytest.mark.parametrize("name", ["namespace", "user_id"])
async def test_a_bundle_of_an_empty_name_is_not_one_of_everybody(http: AsyncClient, name: str) -> None:
    refused = await http.get("/v1/bundle", params={name: ""})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", name])
    for params in ({}, {name: "one"}):
        assert (await http.get("/v1/bundle", params=params)).status_code == 200
