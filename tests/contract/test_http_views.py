"""Summary views and tasks over HTTP: what is defined, run and shown, and every way to ask wrongly."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth.principal import Principal
from agent_memory.contracts import errors
from agent_memory.contracts.commands import ChangeTask, CreateSummaryView, DeleteSummaryView
from agent_memory.contracts.records import Scope, SummaryView, Task
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.memory_views import MemoryViews
from agent_memory.runtime.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VIEWS = "/v1/summary-views"
BY_USER = {"source": "long_term", "group_by": ["user_id"]}


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


def client(system: MemorySystem, principal: Principal | None = None, views: MemoryViews | None = None) -> AsyncClient:
    async def authenticate(headers: object) -> Principal:
        return principal or Principal()

    ports = {**system.ports(), **({} if views is None else {"views": views})}
    app = create_app(Settings(), clock=lambda: NOW, authenticate=authenticate, **ports)
    return AsyncClient(transport=ASGITransport(app=app), base_url="http://memory")


@pytest.fixture
def views(system: MemorySystem) -> MemoryViews:
    return MemoryViews(system.sent)


@pytest.fixture
async def http(system: MemorySystem, views: MemoryViews) -> AsyncIterator[AsyncClient]:
    async with client(system, views=views) as http:
        yield http


async def made(http: AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await http.post(VIEWS, json={**BY_USER, **fields})
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_a_view_is_defined_with_the_defaults_of_the_contract(http: AsyncClient, system: MemorySystem) -> None:
    answer = await http.post(VIEWS, json={"source": "long_term", "group_by": ["user_id"], "unknown": 1})
    view = answer.json()
    assert (answer.status_code, len(view["id"]), answer.headers["x-memory-position"]) == (200, 26, "1")
    assert view == {
        "id": view["id"],
        "name": None,
        "source": "long_term",
        "group_by": ["user_id"],
        "filters": {},
        "time_window_days": None,
        "continuous": False,
        "prompt": None,
        "model_name": None,
    }
    assert system.sent == [(Scope(), CreateSummaryView(view=SummaryView(id=view["id"], group_by=["user_id"])))]


async def test_what_was_defined_is_shown_as_it_was_given_and_in_its_order(http: AsyncClient) -> None:
    filters = {"namespace": "n", "user_id": ["a", "b"], "topics": {"all": ["x", "y"]}, "event_date": {"gte": 1_767_225_600}}
    first = await made(http, name="first", filters=filters, time_window_days="7", continuous="true", prompt="Brief", model_name="m")
    second = await made(http, name="second")
    assert (first["filters"], first["time_window_days"], first["continuous"]) == (filters, 7, True)
    assert (await http.get(VIEWS)).json() == [first, second]
    assert (await http.get(f"{VIEWS}/{first['id']}/")).json() == first


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {"source": "working_memory"},
            "SummaryView.source must be 'long_term' for now; 'working_memory' is not yet supported.",
        ),
        ({"source": "long_term", "group_by": ["user_id", "topics", "mood"]}, "Unsupported group_by fields: mood, topics"),
        ({"source": "long_term", "filters": {"text": "x"}}, "Unsupported filter fields: text"),
    ],
)
async def test_what_no_view_can_be_about_is_refused_in_words(http: AsyncClient, body: object, detail: str) -> None:
    answer = await http.post(VIEWS, json=body)
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


@pytest.mark.parametrize(
    ("fields", "loc", "kind"),
    [
        ({"source": None}, ["body", "source"], "literal_error"),
        ({"source": "elsewhere"}, ["body", "source"], "literal_error"),
        ({"group_by": "user_id"}, ["body", "group_by"], "list_type"),
        ({"group_by": None}, ["body", "group_by"], "list_type"),
        ({"filters": None}, ["body", "filters"], "dict_type"),
        ({"filters": {"user_id": 7}}, ["body", "filters", "user_id"], "value_error"),
        ({"filters": {"user_id": {"eq": "u"}}}, ["body", "filters", "user_id"], "value_error"),
        ({"filters": {"topics": {"like": "x"}}}, ["body", "filters", "topics"], "value_error"),
        ({"filters": {"topics": []}}, ["body", "filters", "topics"], "value_error"),
        ({"filters": {"memory_type": "dream"}}, ["body", "filters", "memory_type"], "value_error"),
        ({"filters": {"event_date": {"between": ["2026-01-01"]}}}, ["body", "filters", "event_date"], "value_error"),
        ({"filters": {"event_date": "soon"}}, ["body", "filters", "event_date"], "value_error"),
        ({"time_window_days": 0}, ["body", "time_window_days"], "greater_than_equal"),
        ({"continuous": "perhaps"}, ["body", "continuous"], "bool_parsing"),
        ({"name": 7}, ["body", "name"], "string_type"),
        ({"prompt": ["x"]}, ["body", "prompt"], "string_type"),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    http: AsyncClient, system: MemorySystem, fields: dict[str, Any], loc: list[str], kind: str
) -> None:
    answer = await http.post(VIEWS, json={**BY_USER, **fields})
    problem = answer.json()["detail"][0]
    assert (answer.status_code, problem["loc"], problem["type"]) == (422, loc, kind)
    assert system.sent == []


async def test_a_view_without_a_source_is_missing_it(http: AsyncClient) -> None:
    answer = await http.post(VIEWS, json={"group_by": ["user_id"]})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "missing")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/partitions", None),
        ("POST", "/partitions/run", {"group": {"user_id": "u"}}),
        ("POST", "/run", {}),
    ],
)
async def test_a_view_that_is_not_there_is_not_found(http: AsyncClient, method: str, path: str, body: object) -> None:
    answer = await http.request(method, f"{VIEWS}/nothing{path}", json=body)
    assert (answer.status_code, answer.json()) == (404, {"detail": "SummaryView nothing not found"})


async def test_deleting_is_fine_also_when_there_is_nothing(http: AsyncClient, system: MemorySystem) -> None:
    view = await made(http)
    for _ in range(2):
        answer = await http.delete(f"{VIEWS}/{view['id']}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert system.sent[1:] == [(Scope(), DeleteSummaryView(view_id=view["id"]))]
    assert (await http.get(VIEWS)).json() == []


async def test_a_partition_is_run_and_listed(http: AsyncClient, views: MemoryViews) -> None:
    view = await made(http, group_by=["user_id", "namespace"])
    run = f"{VIEWS}/{view['id']}/partitions/run"
    views.memories = ["likes tea", "likes cake"]
    results = [(await http.post(run, json={"group": {"user_id": user, "namespace": "n"}})).json() for user in ("a", "b")]
    expected = {
        "view_id": view["id"],
        "group": {"user_id": "a", "namespace": "n"},
        "summary": "likes tea\nlikes cake",
        "memory_count": 2,
        "empty": False,
        "empty_reason": None,
        "computed_at": results[0]["computed_at"],
        "memory_ids": ["0", "1"],
    }
    assert results[0] == expected
    assert results[0]["computed_at"].endswith("Z")
    listed = f"{VIEWS}/{view['id']}/partitions"
    assert (await http.get(listed)).json() == results
    assert (await http.get(listed, params={"user_id": "b"})).json() == results[1:]
    assert (await http.get(listed, params={"user_id": "b", "namespace": "m"})).json() == []
    assert (await http.get(listed, params={"session_id": "s"})).json() == []


async def test_a_group_without_memories_says_so(http: AsyncClient) -> None:
    view = await made(http)
    result = (await http.post(f"{VIEWS}/{view['id']}/partitions/run", json={"group": {"user_id": "u"}})).json()
    assert (result["empty"], result["empty_reason"], result["memory_count"]) == (True, "no_matching_memories", 0)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"group": {}}, 400, "group keys [] must exactly match view.group_by ['user_id']"),
        (
            {"group": {"user_id": "u", "namespace": "n"}},
            400,
            "group keys ['namespace', 'user_id'] must exactly match view.group_by ['user_id']",
        ),
        ({"group": {"user_id": 7}}, 422, ["body", "group", "user_id"]),
        ({"group": None}, 422, ["body", "group"]),
        ({}, 422, ["body", "group"]),
    ],
)
async def test_a_group_that_the_view_does_not_have_is_refused(http: AsyncClient, body: object, status: int, detail: object) -> None:
    view = await made(http)
    answer = await http.post(f"{VIEWS}/{view['id']}/partitions/run", json=body)
    told = answer.json()["detail"]
    assert (answer.status_code, told if status == 400 else told[0]["loc"]) == (status, detail)


async def test_a_run_is_a_task_that_is_pending(http: AsyncClient, system: MemorySystem) -> None:
    view = await made(http)
    answer = await http.post(f"{VIEWS}/{view['id']}/run", json={"force": True})
    task = answer.json()
    assert (answer.status_code, answer.headers["x-memory-position"]) == (200, "2")
    assert task == {
        "id": task["id"],
        "type": "summary_view_full_run",
        "status": "pending",
        "view_id": view["id"],
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "completed_at": None,
        "error_message": None,
    }
    assert (await http.get(f"/v1/tasks/{task['id']}")).json() == task
    assert system.sent[-1] == (Scope(), ChangeTask(task=Task(id=task["id"], view_id=view["id"], created_at=NOW)))


async def test_a_task_of_a_given_id_is_begun_once(http: AsyncClient, system: MemorySystem) -> None:
    view, other = await made(http), await made(http)
    tasks = [(await http.post(f"{VIEWS}/{view['id']}/run", json={"task_id": "my/task"})).json() for _ in range(2)]
    assert tasks[0] == tasks[1]
    assert (await http.get("/v1/tasks/my/task")).json()["id"] == "my/task"
    assert len(system.sent) == 3
    answer = await http.post(f"{VIEWS}/{other['id']}/run", json={"task_id": "my/task"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "task my/task is of another summary view; choose another id",
    )


async def test_an_id_of_a_task_that_was_long_ago_is_not_used_again(
    http: AsyncClient, system: MemorySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await made(http)
    system.fault = errors.Refused("task t is success and cannot become pending")
    answer = await http.post(f"{VIEWS}/{view['id']}/run", json={"task_id": "t"})
    assert (answer.status_code, answer.json()) == (409, {"detail": "task t has been before; choose another id"})


@pytest.mark.parametrize("body", [b"", b"[]", b'{"task_id":""}', b'{"task_id":7}'])
async def test_a_run_needs_a_body_that_makes_sense(http: AsyncClient, body: bytes) -> None:
    view = await made(http)
    assert (await http.post(f"{VIEWS}/{view['id']}/run", content=body)).status_code == 422


async def test_a_task_that_is_not_there_is_not_found(http: AsyncClient) -> None:
    answer = await http.get("/v1/tasks/nothing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Task nothing not found"})


async def test_the_same_request_under_the_same_key_makes_one_view_and_one_task(http: AsyncClient, system: MemorySystem) -> None:
    key = {"Idempotency-Key": "k"}
    ids = {(await http.post(VIEWS, json=BY_USER, headers=key)).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    run = f"{VIEWS}/{ids.pop()}/run"
    assert len({(await http.post(run, json={}, headers={"Idempotency-Key": "k2"})).json()["id"] for _ in range(2)}) == 1
    assert len(system.sent) == 2


ALICE = Principal(user_id="alice", namespaces=("n", "m"))


async def test_the_view_of_a_bound_credential_is_about_nothing_else(system: MemorySystem) -> None:
    async with client(system, ALICE) as http:
        view = await made(http, group_by=["namespace"])
        assert view["filters"] == {"namespace": ["n", "m"], "user_id": "alice"}
        narrow = await made(http, filters={"namespace": "m"})
        assert narrow["filters"] == {"namespace": "m", "user_id": "alice"}
        for filters in ({"user_id": "bob"}, {"user_id": ["alice", "bob"]}, {"namespace": "x"}, {"namespace": ["n", "x"]}):
            answer = await http.post(VIEWS, json={**BY_USER, "filters": filters})
            assert answer.status_code == 403, filters
        assert [one["id"] for one in (await http.get(VIEWS)).json()] == [view["id"], narrow["id"]]
        task = (await http.post(f"{VIEWS}/{view['id']}/run", json={})).json()
        assert (await http.get(f"/v1/tasks/{task['id']}")).status_code == 200
        run = await http.post(f"{VIEWS}/{view['id']}/partitions/run", json={"group": {"namespace": "n"}})
        assert run.status_code == 200
        assert (await http.delete(f"{VIEWS}/{view['id']}")).status_code == 200
        assert (await http.get(f"{VIEWS}/{view['id']}")).status_code == 404


@pytest.mark.parametrize("filters", [{}, {"user_id": "bob", "namespace": "n"}, {"user_id": "alice"}, {"user_id": ["alice", "bob"]}])
async def test_views_of_others_are_not_there_for_a_bound_credential(system: MemorySystem, filters: dict[str, Any]) -> None:
    async with client(system) as http:
        view = await made(http, filters=filters)
        task = (await http.post(f"{VIEWS}/{view['id']}/run", json={})).json()
    async with client(system, ALICE) as http:
        assert (await http.get(VIEWS)).json() == []
        for method, path, body in (
            ("GET", f"{VIEWS}/{view['id']}", None),
            ("GET", f"{VIEWS}/{view['id']}/partitions", None),
            ("POST", f"{VIEWS}/{view['id']}/partitions/run", {"group": {"user_id": "alice"}}),
            ("POST", f"{VIEWS}/{view['id']}/run", {}),
            ("GET", f"/v1/tasks/{task['id']}", None),
        ):
            assert (await http.request(method, path, json=body)).status_code == 404, path
        sent = len(system.sent)
        assert (await http.delete(f"{VIEWS}/{view['id']}")).json() == {"status": "ok"}
        assert len(system.sent) == sent


async def test_another_tenant_sees_none_of_it(system: MemorySystem) -> None:
    async with client(system) as http:
        view = await made(http)
    async with client(system, Principal(tenant="other")) as http:
        assert (await http.get(VIEWS)).json() == []
        assert (await http.get(f"{VIEWS}/{view['id']}")).status_code == 404
