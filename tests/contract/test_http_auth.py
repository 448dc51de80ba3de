"""Who may come in over HTTP: what is open, what a credential allows, what a bound one reaches, and how a refusal reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth.principal import IMPLIED, Principal, disabled
from agent_memory.contracts import commands
from agent_memory.contracts.errors import Forbidden, Unauthorized, Unavailable
from agent_memory.contracts.queries import SearchMemories, TagFilter
from agent_memory.contracts.records import Reach, Scope
from agent_memory.gateway import auth_held
from agent_memory.gateway.app import create_app
from agent_memory.gateway.auth_held import held
from agent_memory.gateway.edges.http.admission import ADMIN, OPEN, READING_POSTS, needed
from agent_memory.gateway.edges.http.documentation import OPERATIONS
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.memory import MemorySystem
from agent_memory.runtime.settings import Settings

MESSAGES = {"messages": [{"role": "user", "content": "hello"}]}
ANNA = Principal(tenant="t", user_id="anna")
WORK = Principal(tenant="t", namespaces=("work",))
SEVERAL = Principal(tenant="t", namespaces=("work", "home"), user_id="anna")


@asynccontextmanager
async def door(system: MemorySystem, who: Principal | Exception) -> AsyncIterator[AsyncClient]:
    """A client of the application, which takes everybody for that principal, or refuses everybody."""

    async def authenticate(headers: object) -> Principal:
        if isinstance(who, Exception):
            raise who
        return who

    app = create_app(Settings(), authenticate=authenticate, **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app, raise_app_exceptions=False), base_url="http://memory") as client:
        yield client


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.mark.parametrize("path", ["/v1/health", "/v1/health/", "/health", "/ready", "/docs", "/redoc", "/openapi.json"])
async def test_what_is_open_is_open_to_everybody(system: MemorySystem, path: str) -> None:
    async with door(system, Unauthorized("who?")) as client:
        assert (await client.get(path)).status_code == 200


async def test_nothing_else_is(system: MemorySystem) -> None:
    async with door(system, Unauthorized("who?")) as client:
        for operation in OPERATIONS:
            if operation.path not in OPEN:
                answer = await client.request(operation.method.upper(), operation.path.replace("{", "").replace("}", ""))
                assert (answer.status_code, answer.json()) == (401, {"detail": "who?", "status_code": 401}), operation.path
                assert answer.headers["www-authenticate"] == "Bearer"
        for path in (
            "/v1/nothing",
            "/",
            "/v1/health/more",
            "/docs/../v1/status",
            "/%76%31/working-memory/s",
            "//v1/working-memory/s",
            "/V1/HEALTH",
        ):
            assert (await client.get(path)).status_code == 401, path
    assert system.sent == []


async def test_strangers_learn_whether_it_is_ready_and_not_why_it_is_not(system: MemorySystem) -> None:
    async def away() -> str | None:
        raise Unavailable("postgres at 10.0.0.7 refuses connections")

    given = {**system.ports(), "checks": {**system.ports()["checks"], "postgres": away}}
    for authenticate, why in ((disabled, "Unavailable: postgres at 10.0.0.7 refuses connections"), (_nobody, "failed")):
        app = create_app(Settings(), authenticate=authenticate, **given)
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as client:
            answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "parts": {"everything": "ok", "postgres": why}})


async def _nobody(headers: object) -> Principal:
    raise Unauthorized("who?")


async def test_a_store_that_is_away_is_a_503_and_what_nobody_expected_a_500(system: MemorySystem) -> None:
    async with door(system, Unavailable("the token store cannot be reached; try again")) as client:
        answer = await client.get("/v1/working-memory/s")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    async with door(system, KeyError("inside")) as client:
        answer = await client.get("/v1/working-memory/s")
        assert (answer.status_code, answer.json()) == (500, {"detail": "Internal server error during authentication"})


@pytest.mark.parametrize("permission", ["read", "write", "admin"])
async def test_a_credential_allows_what_its_scope_says_and_no_more(system: MemorySystem, permission: str) -> None:
    allowed = IMPLIED[permission]
    async with door(system, Principal(permissions=allowed)) as client:
        for operation in OPERATIONS:
            if operation.path in OPEN:
                continue
            wanted = needed(operation.method.upper(), operation.path)
            answer = await client.request(operation.method.upper(), operation.path.replace("{", "").replace("}", ""))
            if wanted in allowed:
                assert answer.status_code != 403, operation.path
            else:
                told = {"detail": f"Insufficient permissions. Required scope: {wanted}"}
                assert (answer.status_code, answer.json()) == (403, told), operation.path


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/metrics//", "//metrics", "///metrics//", "/%6detrics", "/metrics%2F"])
async def test_no_spelling_of_the_path_shows_everybodys_figures_to_one(system: MemorySystem, path: str) -> None:
    async with door(system, Principal(permissions=IMPLIED["write"])) as client:
        assert (await client.get(f"http://memory{path}")).status_code == 403
    async with door(system, Principal()) as client:
        assert (await client.get("/metrics")).status_code == 200


def test_what_only_reads_is_told_from_what_writes_by_one_table() -> None:
    reading = {operation.path for operation in OPERATIONS if operation.method == "post" and not operation.writes}
    assert reading <= READING_POSTS
    assert {path for path in READING_POSTS if path in {operation.path for operation in OPERATIONS if operation.writes}} == set()
    assert all(needed("GET", path) == "admin" for path in ADMIN)
    assert [needed(method, "/v1/new") for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "ODD")] == [
        *("read", "read", "write", "write", "write", "write", "write")
    ]


@pytest.mark.parametrize("path", ["/v1/working-memory/s?user_id=ben", "/v1/events?user_id=ben", "/v1/working-memory?user_id=ben"])
async def test_a_query_that_names_somebody_else_is_refused(system: MemorySystem, path: str) -> None:
    async with door(system, ANNA) as client:
        assert (await client.get(path)).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/working-memory/s", {**MESSAGES, "user_id": "ben"}),
        ("PUT", "/v1/working-memory/s", {**MESSAGES, "memories": [{"id": "m", "text": "x", "user_id": "ben"}]}),
        ("POST", "/v1/working-memory/s/messages", {**MESSAGES, "user_id": "ben"}),
        ("POST", "/v1/events", {"session_id": "s", "text": "x", "user_id": "ben"}),
        ("POST", "/v1/events", {"events": [{"session_id": "s", "text": "x"}], "user_id": "ben"}),
        ("POST", "/v1/timeline/search", {"text": "x", "user_id": "ben"}),
        ("POST", "/v1/long-term-memory/", {"memories": [{"id": "m", "text": "x"}, {"id": "n", "text": "y", "user_id": "ben"}]}),
        ("PATCH", "/v1/long-term-memory/m", {"user_id": "ben"}),
        ("PATCH", "/v1/long-term-memory/m", {"user_id": ""}),
        ("POST", "/v1/long-term-memory/search", {"user_id": {"eq": "ben"}}),
        ("POST", "/v1/long-term-memory/search", {"user_id": {"any": ["ben", "carl"]}}),
        ("POST", "/v1/long-term-memory/forget?user_id=ben", {"policy": {}}),
        ("POST", "/v1/memory/prompt", {"query": "x", "session": {"session_id": "s", "user_id": "ben"}}),
        ("POST", "/v1/memory/prompt", {"query": "x", "long_term_search": {"user_id": {"eq": "ben"}}}),
    ],
)
async def test_a_body_that_names_somebody_else_anywhere_is_refused_whole(
    system: MemorySystem, method: str, path: str, body: object
) -> None:
    async with door(system, ANNA) as client:
        assert (await client.request(method, path, json=body)).status_code == 403
    assert system.sent == []


async def test_what_a_bound_credential_writes_is_its_own(system: MemorySystem) -> None:
    async with door(system, Principal(tenant="t", namespaces=("work",), user_id="anna")) as client:
        await client.post("/v1/long-term-memory/", json={"memories": [{"id": "m", "text": "x"}]})
        await client.put("/v1/working-memory/s", json=MESSAGES)
    (_, stored), (scope, _) = system.sent
    assert isinstance(stored, commands.StoreMemories)
    assert [(record.namespace, record.user_id) for record in stored.memories] == [("work", "anna")]
    assert stored.within == Reach(namespaces=["work"], user_id="anna")
    assert (scope.tenant, scope.namespace, scope.user_id) == ("t", "work", "anna")


async def test_with_several_namespaces_one_is_to_be_named_where_one_is_meant(system: MemorySystem) -> None:
    async with door(system, SEVERAL) as client:
        assert (await client.put("/v1/working-memory/s", json=MESSAGES)).status_code == 403
        assert (await client.put("/v1/working-memory/s", json={**MESSAGES, "namespace": "home"})).status_code == 200
        assert (await client.get("/v1/working-memory")).status_code == 403
        assert (await client.get("/v1/working-memory?namespace=home")).status_code == 200
        assert (await client.post("/v1/long-term-memory/", json={"memories": [{"id": "m", "text": "x"}]})).status_code == 403


@pytest.mark.parametrize(
    ("who", "asked", "namespace", "user_id"),
    [
        (ANNA, {}, None, TagFilter(eq="anna")),
        (ANNA, {"user_id": {"any": ["anna", "ben"]}}, None, TagFilter(eq="anna", any=["anna", "ben"])),
        (ANNA, {"user_id": {"ne": "anna"}}, None, TagFilter(eq="anna", ne="anna")),
        (ANNA, {"user_id": {"startswith": "b"}}, None, TagFilter(eq="anna", startswith="b")),
        (ANNA, {"namespace": {"eq": "x"}}, TagFilter(eq="x"), TagFilter(eq="anna")),
        (WORK, {"namespace": {"none": True}}, TagFilter(eq="work", none=True), None),
        (SEVERAL, {}, TagFilter(any=["work", "home"]), TagFilter(eq="anna")),
        (SEVERAL, {"namespace": {"eq": "home"}}, TagFilter(eq="home", any=["work", "home"]), TagFilter(eq="anna")),
        (SEVERAL, {"namespace": {"any": ["home", "x"]}}, TagFilter(any=["home"]), TagFilter(eq="anna")),
        (SEVERAL, {"namespace": {"not_in": ["home"]}}, TagFilter(any=["work", "home"], not_in=["home"]), TagFilter(eq="anna")),
    ],
)
async def test_a_filter_never_lets_more_pass_than_the_credential(
    system: MemorySystem, who: Principal, asked: dict[str, object], namespace: TagFilter | None, user_id: TagFilter | None
) -> None:
    async with door(system, who) as client:
        assert (await client.post("/v1/long-term-memory/search", json=asked)).status_code == 200
    (query,) = system.queries
    assert isinstance(query, SearchMemories)
    assert (query.tenant, query.filters.namespace, query.filters.user_id) == ("t", namespace, user_id)


async def test_the_id_of_somebody_elses_memory_is_as_if_there_were_none(system: MemorySystem) -> None:
    async with door(system, Principal(tenant="t")) as client:
        memories = [{"id": "hers", "text": "x", "user_id": "anna"}, {"id": "his", "text": "y", "user_id": "ben"}]
        await client.post("/v1/long-term-memory/", json={"memories": memories})
    async with door(system, ANNA) as client:
        assert (await client.get("/v1/long-term-memory/hers")).status_code == 200
        there = [await client.request(method, "/v1/long-term-memory/his", json={"text": "z"}) for method in ("GET", "PATCH")]
        nowhere = [await client.request(method, "/v1/long-term-memory/none", json={"text": "z"}) for method in ("GET", "PATCH")]
        assert [(one.status_code, one.text.replace("his", "none")) for one in there] == [
            (one.status_code, one.text) for one in nowhere
        ]
        gone = await client.delete("/v1/long-term-memory?memory_ids=his&memory_ids=hers&memory_ids=none")
        assert gone.json() == {"status": "ok, deleted 1 memories"}
    assert list(system.records) == ["his"]


async def test_an_idempotency_key_is_one_for_each_reach(system: MemorySystem) -> None:
    for who in (ANNA, Principal(tenant="t", user_id="ben"), ANNA):
        async with door(system, who) as client:
            answer = await client.post("/v1/events", json={"session_id": "s", "event_id": "e"}, headers={"Idempotency-Key": "k"})
            assert answer.json()["created"] == 1
    assert [scope.user_id for scope, _ in system.sent] == ["anna", "ben"]


def test_a_part_of_the_gateway_that_nobody_thought_of_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(auth_held, "HARMLESS", auth_held.HARMLESS - {"embedder"})
    given = dict.fromkeys(Gateway.__struct_fields__, MemorySystem())
    seen = held(Gateway(**given), ANNA)  # type: ignore[arg-type]
    for port, name in ((seen.embedder, "embed"), (seen.log, "outcome"), (seen.bus, "anything"), (seen.sessions, "write")):
        with pytest.raises(Forbidden, match="whole tenant"):
            getattr(port, name)


@pytest.mark.parametrize(
    "command", [commands.Tick(job="j", due_ms=1), commands.MergeMemories(record=None, source_ids=[], versions={})]
)  # type: ignore[arg-type]
async def test_a_command_that_nobody_thought_of_is_out_of_reach(command: commands.AnyCommand) -> None:

    system = MemorySystem()
    bus = held(Gateway(**dict.fromkeys(Gateway.__struct_fields__, system)), ANNA).bus  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await bus.ask(Scope(tenant="t", user_id="anna"), command)
    with pytest.raises(Forbidden):
        await bus.ask(Scope(tenant="other", user_id="anna"), commands.DeleteWorkingMemory(session_id="s"))
    assert system.sent == []
