"""Working memory over HTTP: paths, fields, headers and errors as clients know them."""

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from msgspec import Raw
from msgspec.structs import replace

from agent_memory.contracts.commands import AnyCommand, AppendMessages, DeleteWorkingMemory, ReplaceWorkingMemory
from agent_memory.contracts.records import Scope
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.ports import Answer
from agent_memory.runtime.settings import Settings

FIELDS = [
    "messages",
    "memories",
    "data",
    "context",
    "user_id",
    "tokens",
    "session_id",
    "namespace",
    "long_term_memory_strategy",
    "ttl_seconds",
    "last_accessed",
    "created_at",
    "updated_at",
    "context_percentage_total_used",
    "context_percentage_until_summarization",
]
HELLO = {"role": "user", "content": "Hello", "id": "m1", "created_at": "2026-01-01T00:00:00.000001Z"}


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(), **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


async def test_what_is_put_is_answered_and_read_back_the_same(http: AsyncClient) -> None:
    body = {"messages": [HELLO], "data": {"a": {"b": [1, None]}}, "namespace": "ns", "ttl_seconds": 60, "session_id": "ignored"}
    put = await http.put("/v1/working-memory/s1", json=body)
    assert put.status_code == 200
    assert put.headers["x-memory-position"] == "1"
    assert "x-deprecation-warning" not in put.headers
    document = put.json()
    assert sorted(document) == sorted(FIELDS)
    assert document["messages"] == [{**HELLO, "persisted_at": None, "discrete_memory_extracted": "f"}]
    assert (document["session_id"], document["namespace"], document["user_id"]) == ("s1", "ns", None)
    assert (document["data"], document["ttl_seconds"]) == ({"a": {"b": [1, None]}}, 60)
    assert document["context_percentage_total_used"] is None
    assert document["created_at"].endswith("Z")
    assert (await http.get("/v1/working-memory/s1?namespace=ns")).json() == document


async def test_the_plain_and_the_elaborate_way_to_write_a_document_mean_the_same(http: AsyncClient, system: MemorySystem) -> None:
    plain = {"messages": [HELLO], "tokens": 3, "context": "c", "last_accessed": "2026-01-01T00:00:00Z"}
    elaborate = {
        **plain,
        "messages": [{**HELLO, "created_at": 1_767_225_600.000001, "more": 1}],
        "tokens": "3",
        "memories": [],
        "data": None,
        "last_accessed": "2026-01-01T01:00:00+01:00",
    }
    for body in (plain, elaborate):
        await http.put("/v1/working-memory/s1", json=body)
    (_, first), (_, second) = system.sent
    assert first == second


async def test_the_user_of_the_query_counts_more_than_that_of_the_body(http: AsyncClient, system: MemorySystem) -> None:
    await http.put("/v1/working-memory/s1?user_id=q", json={"user_id": "b", "namespace": "n"})
    assert system.sent[0][0] == Scope(namespace="n", user_id="q")


async def test_messages_without_a_time_are_answered_with_a_warning_and_stay_in_order(http: AsyncClient) -> None:
    put = await http.put("/v1/working-memory/s1", json={"messages": [{"role": "user", "content": str(n)} for n in range(5)]})
    assert put.headers["x-deprecation-warning"].startswith("messages[].created_at will become required")
    times = [message["created_at"] for message in put.json()["messages"]]
    assert times == sorted(set(times))
    assert len({message["id"] for message in put.json()["messages"]}) == 5


async def test_a_message_id_that_comes_twice_stands_once_as_it_was_given_last(http: AsyncClient) -> None:
    put = await http.put("/v1/working-memory/s1", json={"messages": [HELLO, {**HELLO, "id": "m2"}, {**HELLO, "content": "new"}]})
    assert [(message["id"], message["content"]) for message in put.json()["messages"]] == [("m1", "new"), ("m2", "Hello")]


@pytest.mark.parametrize("session_id", ["a/b/c", "a//b", "ä ö", "a%2Fb", "messages", "x/messages", ".", "?x=1", "s" * 255])
async def test_any_id_finds_its_session_with_and_without_a_slash_at_the_end(http: AsyncClient, session_id: str) -> None:
    path = "/v1/working-memory/" + "".join(f"%{byte:02X}" for byte in session_id.encode())
    assert (await http.put(path, json={})).json()["session_id"] == session_id
    assert (await http.get(path)).json()["session_id"] == session_id
    assert (await http.get(path + "/")).json()["session_id"] == session_id
    assert (await http.get("/v1/working-memory/")).json() == {"sessions": [session_id], "total": 1}
    assert (await http.delete(path)).json() == {"status": "ok"}
    assert (await http.get(path)).status_code == 404


async def test_ids_with_slashes_need_no_encoding(http: AsyncClient, system: MemorySystem) -> None:
    await http.post("/v1/working-memory/a/b/messages", json={"messages": [HELLO]})
    assert isinstance(system.sent[0][1], AppendMessages)
    assert system.sent[0][1].session_id == "a/b"
    assert (await http.get("/v1/working-memory/a/b")).status_code == 200


async def test_messages_are_appended_and_each_says_whether_it_is_new(http: AsyncClient, system: MemorySystem) -> None:
    for slash in ("", "/"):
        answer = await http.post(f"/v1/working-memory/s1/messages{slash}", json={"messages": [HELLO, HELLO], "namespace": "n"})
        assert answer.status_code == 200
        assert answer.json()["session_id"] == "s1"
        assert answer.json()["created"] == [True, True]
        assert answer.headers["x-memory-position"]
    assert system.sent[0][0] == Scope(namespace="n")


async def test_a_session_that_is_not_there_is_a_404_and_deleting_it_is_fine(http: AsyncClient, system: MemorySystem) -> None:
    missing = await http.get("/v1/working-memory/none")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Session none not found"})
    deleted = await http.delete("/v1/working-memory/none?namespace=n&user_id=u")
    assert (deleted.status_code, deleted.json()) == (200, {"status": "ok"})
    assert system.sent == [(Scope(namespace="n", user_id="u"), DeleteWorkingMemory(session_id="none"))]


async def test_a_window_cuts_the_oldest_messages_and_says_how_full_it_is(http: AsyncClient) -> None:
    messages = [{**HELLO, "id": f"m{n}", "content": "word " * 50} for n in range(10)]
    put = await http.put("/v1/working-memory/s1?context_window_max=16000", json={"messages": messages})
    assert 0 < put.json()["context_percentage_total_used"] < put.json()["context_percentage_until_summarization"] < 10
    cut = (await http.get("/v1/working-memory/s1", params={"context_window_max": "120"})).json()
    assert [message["id"] for message in cut["messages"]] == ["m8", "m9"]
    assert cut["context_percentage_until_summarization"] == 100.0
    assert len((await http.get("/v1/working-memory/s1?context_window_max=1")).json()["messages"]) == 1
    assert len((await http.get("/v1/working-memory/s1?model_name=gpt-4o")).json()["messages"]) == 10


async def test_no_messages_are_no_percent(http: AsyncClient) -> None:
    put = await http.put("/v1/working-memory/s1?model_name=gpt-4o", json={})
    assert put.json()["context_percentage_total_used"] == put.json()["context_percentage_until_summarization"] == 0.0


async def test_the_most_recent_messages_are_those_said_last(http: AsyncClient) -> None:
    messages = [{**HELLO, "id": f"m{n}", "created_at": f"2026-01-0{9 - n}T00:00:00Z"} for n in range(5)]
    await http.put("/v1/working-memory/s1", json={"messages": messages})
    recent = (await http.get("/v1/working-memory/s1?recent_messages_limit=2")).json()
    assert [message["id"] for message in recent["messages"]] == ["m1", "m0"]
    assert recent["context_percentage_total_used"] is None


async def test_memories_in_a_session_get_an_id_and_keep_what_only_servers_set(http: AsyncClient) -> None:
    memories = [{"text": "likes tea", "topics": None}, {"text": "likes jam", "id": "k", "pinned": "true"}]
    first, second = (await http.put("/v1/working-memory/s1", json={"memories": memories})).json()["memories"]
    assert first["id"]
    assert "pinned" not in first
    assert "access_count" not in first
    assert (second["id"], second["pinned"], second["access_count"], second["memory_type"]) == ("k", True, 0, "message")


@pytest.mark.parametrize(
    ("body", "loc", "kind", "message"),
    [
        ({"messages": [{"content": "x"}]}, ["body", "messages", 0, "role"], "missing", "Field required"),
        ({"messages": "x"}, ["body", "messages"], "list_type", "Input should be a valid list"),
        ({"messages": None}, ["body", "messages"], "list_type", "Input should be a valid list"),
        ({"messages": [{**HELLO, "id": ""}]}, ["body", "messages", 0, "id"], "string_too_short", "String should have at least"),
        ({"messages": [{**HELLO, "role": 5}]}, ["body", "messages", 0, "role"], "string_type", "Input should be a valid string"),
        ({"messages": [{**HELLO, "content": "\x00"}]}, ["body", "messages", 0, "content"], "value_error", "Value error, NUL"),
        ({"messages": [{**HELLO, "created_at": "no"}]}, ["body", "messages", 0, "created_at"], "datetime_parsing", "Input should"),
        (
            {"messages": [{**HELLO, "created_at": "9000-01-01T00:00:00Z"}]},
            ["body", "messages", 0, "created_at"],
            "value_error",
            "Value error, created_at cannot be more than 300 seconds in the future. Received: 9000-01-01",
        ),
        (
            {"long_term_memory_strategy": {"strategy": "guess"}},
            ["body", "long_term_memory_strategy", "strategy"],
            "literal_error",
            "Input should be 'discrete', 'summary', 'preferences' or 'custom'",
        ),
        ({"ttl_seconds": 0}, ["body", "ttl_seconds"], "greater_than_equal", "Input should be greater than or equal to 1"),
        ({"tokens": 2**63}, ["body", "tokens"], "int_parsing_size", "Input should be a valid integer"),
        ({"memories": [{"text": " "}]}, ["body", "memories"], "value_error", "Value error, Memory at index 0 has empty text"),
        (
            {"memories": [{"text": "x", "id": ""}]},
            ["body", "memories"],
            "value_error",
            "Value error, Memory at index 0 has empty id",
        ),
        ({"data": {"k": {"\x00": 1}}}, ["body", "data", "k", "\x00"], "value_error", "Value error, NUL"),
        ({"namespace": "n" * 256}, ["body", "namespace"], "string_too_long", "String should have at most 255 bytes"),
        ([], ["body"], "model_attributes_type", "Input should be a valid dictionary"),
    ],
)
async def test_what_is_wrong_with_a_document_is_named_and_nothing_is_sent(
    http: AsyncClient, system: MemorySystem, body: object, loc: list[object], kind: str, message: str
) -> None:
    answer = await http.put("/v1/working-memory/s1", json=body)
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert (problem["loc"], problem["type"]) == (loc, kind)
    assert problem["msg"].startswith(message)
    assert "input" in problem
    assert system.sent == []


async def test_a_message_that_says_nothing_is_refused_by_its_id(http: AsyncClient, system: MemorySystem) -> None:
    answer = await http.put("/v1/working-memory/s1", json={"messages": [{**HELLO, "content": " \n"}]})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Message content cannot be empty (message ID: m1)"})
    assert system.sent == []


async def test_times_can_be_demanded(system: MemorySystem) -> None:
    app = create_app(Settings(require_message_timestamps=True), **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        answer = await http.put("/v1/working-memory/s1", json={"messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"].startswith("Value error, created_at is required for messages. Please provide")


async def test_a_repeated_request_is_done_once_and_answered_the_same(http: AsyncClient, system: MemorySystem) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "memories": [{"text": "x"}]}
    first, again = [await http.put("/v1/working-memory/s1", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert first.json() == again.json()
    assert len(system.sent) == 1


async def test_a_document_that_came_too_late_is_answered_with_the_newer_one(http: AsyncClient, system: MemorySystem) -> None:
    await http.put("/v1/working-memory/s1", json={"messages": [HELLO]})
    system.superseding = True
    answer = await http.put("/v1/working-memory/s1", json={"messages": []})
    assert [message["id"] for message in answer.json()["messages"]] == ["m1"]


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("limit=1000000000", ["query", "limit"]),
        ("limit=0", ["query", "limit"]),
        ("offset=-1", ["query", "offset"]),
        ("namespace=%00", ["query", "namespace"]),
        ("user_id=%ED%A0%80", ["query", "user_id"]),
        ("min_position=x", ["query", "min_position"]),
    ],
)
async def test_a_parameter_out_of_range_is_named(http: AsyncClient, query: str, loc: list[str]) -> None:
    answer = await http.get(f"/v1/working-memory?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


@pytest.mark.parametrize(
    ("path", "loc"),
    [
        ("a%00", ["path", "session_id"]),
        ("%FF", ["path", "session_id"]),
        ("%ED%A0%80", ["path", "session_id"]),
        ("s" * 256, ["path", "session_id"]),
        ("s?model_name=gpt-5", ["query", "model_name"]),
        ("s?context_window_max=wide", ["query", "context_window_max"]),
        ("s?unknown=%00&namespace=%00", ["query", "namespace"]),
    ],
)
async def test_a_path_or_query_that_cannot_be_is_named(http: AsyncClient, path: str, loc: list[str]) -> None:
    answer = await http.get(f"/v1/working-memory/{path}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


@pytest.mark.parametrize("field", ["messages", "memories"])
async def test_a_document_of_more_than_can_be_recorded_at_once_is_refused(
    http: AsyncClient, system: MemorySystem, field: str
) -> None:
    answer = await http.put("/v1/working-memory/s1", json={field: [{"role": "user", "content": "c", "text": "t"}] * 10_001})
    assert answer.status_code == 422
    assert [(problem["type"], problem["loc"]) for problem in answer.json()["detail"]] == [("too_long", ["body", field])]
    assert system.sent == []


async def test_methods_that_are_not_there_are_told_so(http: AsyncClient) -> None:
    for method, path in (("PATCH", "/v1/working-memory/s1"), ("POST", "/v1/working-memory/s1"), ("PUT", "/v1/working-memory")):
        answer = await http.request(method, path, json={})
        assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


async def test_a_session_has_a_tag_that_changes_with_it(http: AsyncClient) -> None:
    put = await http.put("/v1/working-memory/s1", json={"messages": [HELLO]})
    got = await http.get("/v1/working-memory/s1")
    assert put.headers["etag"] == got.headers["etag"] == '"1"'
    assert (await http.get("/v1/working-memory/s1?recent_messages_limit=1")).headers["etag"] == '"1"'
    appended = await http.post("/v1/working-memory/s1/messages", json={"messages": [{**HELLO, "id": "m2"}]})
    assert appended.headers["etag"] == (await http.get("/v1/working-memory/s1")).headers["etag"] == '"2"'


async def test_a_write_on_condition_takes_effect_only_if_nobody_was_faster(http: AsyncClient, system: MemorySystem) -> None:
    async def put(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await http.put("/v1/working-memory/s1", json={"messages": [HELLO]}, headers=named)).status_code

    assert await put(if_match="*") == 409
    assert await put(if_match='"1"') == 409
    assert await put(if_none_match="*") == 200
    assert await put(if_none_match="*") == 409
    assert await put(if_match='"1"') == 200
    assert await put(if_match='"1"') == 409
    assert await put(if_match='W/"2"') == 200
    assert await put(if_match="*") == 200
    assert await put() == 200
    replaced = [command.expected_version for _, command in system.sent if isinstance(command, ReplaceWorkingMemory)]
    assert replaced == [1, 0, 0, 1, 1, 2, 3, None]


async def test_messages_are_appended_and_a_session_is_forgotten_on_condition_as_well(http: AsyncClient) -> None:
    async def append(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await http.post("/v1/working-memory/s1/messages", json={"messages": [HELLO]}, headers=named)).status_code

    assert await append(if_match='"1"') == 409
    assert await append(if_none_match="*") == 200
    assert await append(if_match='"1"') == 200
    assert await append(if_match='"1"') == 409
    assert (await http.delete("/v1/working-memory/s1", headers={"If-Match": '"1"'})).status_code == 409
    assert (await http.get("/v1/working-memory/s1")).status_code == 200
    assert (await http.delete("/v1/working-memory/s1", headers={"If-Match": '"2"'})).json() == {"status": "ok"}
    assert (await http.delete("/v1/working-memory/s1", headers={"If-Match": "*"})).status_code == 409


@pytest.mark.parametrize("headers", [{"If-Match": "abc"}, {"If-None-Match": '"1"'}, {"If-None-Match": "*", "If-Match": '"1"'}])
async def test_a_condition_that_cannot_be_is_named(http: AsyncClient, system: MemorySystem, headers: dict[str, str]) -> None:
    answer = await http.put("/v1/working-memory/s1", json={}, headers=headers)
    assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "header")
    assert system.sent == []


async def test_a_missing_session_is_an_empty_one_where_older_clients_are_at_home(system: MemorySystem) -> None:
    app = create_app(Settings(missing_session_is_empty=True), **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        answer = await http.get("/v1/working-memory/none?namespace=n&context_window_max=16000")
        assert answer.status_code == 200
        found = answer.json()
        assert (found["unsaved"], found["new_session"], found["namespace"], found["messages"]) == (True, False, "n", [])
        assert sorted(set(found) - {"unsaved", "new_session"}) == sorted(FIELDS)
        assert found["context_percentage_total_used"] == 0.0
        await http.put("/v1/working-memory/none", json={"namespace": "n"})
        assert "unsaved" not in (await http.get("/v1/working-memory/none?namespace=n")).json()


async def test_memories_of_a_session_are_promoted_unless_settings_say_otherwise(system: MemorySystem) -> None:
    for settings in (Settings(), Settings(working_memory_promotion="none"), Settings(long_term_memory=False)):
        app = create_app(settings, **system.ports())
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
            await http.put("/v1/working-memory/s1", json={"memories": [{"id": "a", "text": "x"}]})
    assert [command.promote for _, command in system.sent if isinstance(command, ReplaceWorkingMemory)] == [True, False, False]


async def test_the_callers_window_goes_with_the_document(http: AsyncClient, system: MemorySystem) -> None:
    for query in ("", "?model_name=gpt-4", "?context_window_max=500", "?model_name=gpt-4&context_window_max=500"):
        await http.put(f"/v1/working-memory/s1{query}", json={})
    limits = [command.token_limit for _, command in system.sent if isinstance(command, ReplaceWorkingMemory)]
    assert limits == [None, 8_192, 500, 500]


async def test_what_became_of_memories_and_messages_is_answered(system: MemorySystem) -> None:
    class Promoting(MemorySystem):
        async def ask(self, scope: Scope, command: AnyCommand, **about: str) -> Answer:
            answer = await super().ask(scope, command, **about)
            memories = [Raw(b'{"id":"a","text":"x","persisted_at":"2026-01-01T00:00:00Z"}')]
            return replace(answer, reply=replace(answer.reply, memories=memories, extracted=["m1"]))

    app = create_app(Settings(), **Promoting().ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        body = {"messages": [HELLO, {**HELLO, "id": "m2"}], "memories": [{"id": "a", "text": "x"}]}
        document = (await http.put("/v1/working-memory/s1", json=body)).json()
    assert [memory["persisted_at"] for memory in document["memories"]] == ["2026-01-01T00:00:00Z"]
    assert [message["discrete_memory_extracted"] for message in document["messages"]] == ["t", "f"]


class Summarizer:
    """Has dealt with a session when it was asked three times; until then the document is as it was put."""

    def __init__(self, system: MemorySystem, *, ever: bool = True) -> None:
        self.system = system
        self.asked: list[tuple[str, int]] = []
        self.ever = ever

    async def pending(self, scope: Scope, session_id: str, position: int) -> bool:
        self.asked.append((session_id, position))
        if len(self.asked) < 3 or not self.ever:
            return True
        key = scope.path, session_id
        document = self.system.documents[key]
        meta = document.meta.replace(b'"context":null', b'"context":"They talked."')
        last = document.messages[document.messages.rindex(b'{"role"') :]
        self.system.documents[key] = replace(document, meta=meta, messages=last, version=document.version + 1)
        return False


LONG = {"messages": [{**HELLO, "id": f"m{n}", "content": "word " * 50} for n in range(10)]}


async def test_a_document_that_is_too_long_is_answered_as_the_summarizer_left_it(system: MemorySystem) -> None:
    summarizer = Summarizer(system)
    app = create_app(Settings(), **system.ports(), summaries=summarizer)
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        put = await http.put("/v1/working-memory/s1?context_window_max=600", json=LONG)
        document = put.json()
        assert (document["context"], [message["id"] for message in document["messages"]]) == ("They talked.", ["m9"])
        assert 0 < document["context_percentage_total_used"] < 10
        assert put.headers["etag"] == '"2"'
        assert summarizer.asked == [("s1", 1)] * 3
        await http.put("/v1/working-memory/s2?context_window_max=6000", json=LONG)
        assert len(summarizer.asked) == 3


async def test_a_summary_that_does_not_come_is_not_waited_for_for_ever(system: MemorySystem) -> None:
    summarizer = Summarizer(system, ever=False)
    for settings in (Settings(summarization_wait_seconds=0), Settings(enable_working_memory_summarization=False)):
        app = create_app(settings, **system.ports(), summaries=summarizer)
        async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
            document = (await http.put("/v1/working-memory/s1?context_window_max=600", json=LONG)).json()
            assert (document["context"], len(document["messages"])) == (None, 10)
    assert len(summarizer.asked) == 1
