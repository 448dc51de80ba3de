"""The tools that the official client offers to models, and the calls of every provider that it resolves."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from agent_memory_client import MemoryAPIClient, ToolSchema, ToolSchemaCollection
from agent_memory_client import client as client_module
from agent_memory_client.models import ClientMemoryRecord, MemoryMessage, MemoryStrategyConfig, WorkingMemory

pytestmark = pytest.mark.filterwarnings("ignore:get_working_memory is deprecated:DeprecationWarning")

SCHEMAS: dict[str, tuple[Callable[[], ToolSchema], Callable[[], ToolSchema]]] = {
    "search_memory": (
        MemoryAPIClient.get_memory_search_tool_schema,
        MemoryAPIClient.get_memory_search_tool_schema_anthropic,
    ),
    "get_or_create_working_memory": (
        MemoryAPIClient.get_working_memory_tool_schema,
        MemoryAPIClient.get_working_memory_tool_schema_anthropic,
    ),
    "lazily_create_long_term_memory": (
        MemoryAPIClient.get_lazily_create_long_term_memory_tool_schema,
        MemoryAPIClient.get_lazily_create_long_term_memory_tool_schema_anthropic,
    ),
    "update_working_memory_data": (
        MemoryAPIClient.get_update_memory_data_tool_schema,
        MemoryAPIClient.get_update_memory_data_tool_schema_anthropic,
    ),
    "get_long_term_memory": (
        MemoryAPIClient.get_long_term_memory_tool_schema,
        MemoryAPIClient.get_long_term_memory_tool_schema_anthropic,
    ),
    "eagerly_create_long_term_memory": (
        MemoryAPIClient.get_eagerly_create_long_term_memory_tool_schema,
        MemoryAPIClient.get_eagerly_create_long_term_memory_tool_schema_anthropic,
    ),
    "edit_long_term_memory": (
        MemoryAPIClient.edit_long_term_memory_tool_schema,
        MemoryAPIClient.edit_long_term_memory_tool_schema_anthropic,
    ),
    "delete_long_term_memories": (
        MemoryAPIClient.delete_long_term_memories_tool_schema,
        MemoryAPIClient.delete_long_term_memories_tool_schema_anthropic,
    ),
    "get_current_datetime": (
        MemoryAPIClient.get_current_datetime_tool_schema,
        MemoryAPIClient.get_current_datetime_tool_schema_anthropic,
    ),
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "search_memory": {"query": "the harbour", "topics": ["sea"], "memory_type": "semantic", "max_results": 1},
    "get_or_create_working_memory": {},
    "get_working_memory": {},
    "lazily_create_long_term_memory": {"text": "Ana has a boat", "memory_type": "semantic", "topics": ["sea"], "entities": ["Ana"]},
    "add_memory_to_working_memory": {"text": "Ana has a boat", "memory_type": "semantic", "topics": ["sea"], "entities": ["Ana"]},
    "update_working_memory_data": {"data": {"trip": {"to": "Porto"}}, "merge_strategy": "deep_merge"},
    "get_long_term_memory": {"memory_id": "the harbour"},
    "eagerly_create_long_term_memory": {"memories": [{"text": "Ana has a boat", "memory_type": "episodic", "topics": ["sea"]}]},
    "create_long_term_memory": {"memories": [{"text": "Ana has a boat", "memory_type": "episodic", "topics": ["sea"]}]},
    "edit_long_term_memory": {"memory_id": "the harbour", "text": "the old harbour", "topics": ["sea", "old"]},
    "delete_long_term_memories": {"memory_ids": ["the harbour"]},
    "get_current_datetime": {},
}
"""What a model says to each tool, older names included. The one memory that there is stands for its id."""

SHAPES: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
    "openai": lambda name, given: {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}},
    "openai before tools": lambda name, given: {"name": name, "arguments": json.dumps(given)},
    "anthropic": lambda name, given: {"type": "tool_use", "id": "toolu_1", "name": name, "input": given},
    "langchain": lambda name, given: {"name": name, "args": given, "id": "call_1", "type": "tool_call"},
    "generic": lambda name, given: {"id": "1", "name": name, "arguments": given},
}


class Setting:
    """A session with a message, and one memory."""

    def __init__(self, client: MemoryAPIClient, namespace: str) -> None:
        self.client, self.namespace, self.harbour = client, namespace, f"{namespace}-harbour"

    def arguments(self, tool: str) -> dict[str, Any]:
        """What a model says to a tool, with the memory's own id."""
        said: dict[str, Any] = json.loads(json.dumps(ARGUMENTS[tool]).replace('"memory_id": "the harbour"', '"memory_id": "?"'))
        if said.get("memory_id"):
            said["memory_id"] = self.harbour
        return said | ({"memory_ids": [self.harbour]} if "memory_ids" in said else {})

    async def texts(self) -> list[str]:
        """Of all memories of the namespace, sorted."""
        return sorted(one.text for one in (await self.client.search_long_term_memory("", limit=100)).memories)

    async def happened(self, tool: str, result: Any) -> None:
        """Asserts that a tool did, and answered, what it is for."""
        await getattr(self, f"_{ALIASES.get(tool, tool)}")(result)

    async def _search_memory(self, result: Any) -> None:
        (found,) = result["memories"]
        assert (found["id"], found["text"], found["topics"], found["memory_type"]) == (
            self.harbour,
            "the harbour",
            ["sea"],
            "semantic",
        )
        assert found["relevance_score"] == pytest.approx(1, abs=1e-5)
        assert (result["total_found"], result["has_more"], result["next_offset"]) == (1, False, None)
        assert result["summary"] == "Found 1 relevant memories for: the harbour"

    async def _get_or_create_working_memory(self, result: Any) -> None:
        assert (result["session_id"], result["created"], result["message_count"]) == ("tools", False, 1)
        assert result["summary"] == "Retrieved existing session with 1 messages, 0 stored memories, and 1 data entries"

    async def _get_working_memory(self, result: Any) -> None:
        assert (result["message_count"], result["data"], result["context"]) == (1, {"trip": {"days": 3}}, "They have met.")
        assert result["summary"] == "Session has 1 messages, 0 stored memories, and 1 data entries"

    async def _lazily_create_long_term_memory(self, result: Any) -> None:
        assert result == {
            "success": True,
            "memory_type": "semantic",
            "text_preview": "Ana has a boat",
            "topics": ["sea"],
            "entities": ["Ana"],
            "summary": "Successfully stored semantic memory: Ana has a boat...",
        }
        assert await self.texts() == ["Ana has a boat", "the harbour"]
        session = await self.client.get_working_memory("tools")
        assert [(one.text, one.namespace) for one in session.memories] == [("Ana has a boat", self.namespace)]
        assert [one.content for one in session.messages] == ["Hello"]

    async def _update_working_memory_data(self, result: Any) -> None:
        assert (result["success"], result["updated_keys"], result["merge_strategy"]) == (True, ["trip"], "deep_merge")
        assert (await self.client.get_working_memory("tools")).data == {"trip": {"days": 3, "to": "Porto"}}

    async def _get_long_term_memory(self, result: Any) -> None:
        assert (result["memory"].id, result["memory"].text, result["memory"].topics) == (self.harbour, "the harbour", ["sea"])

    async def _eagerly_create_long_term_memory(self, result: Any) -> None:
        assert result == {"status": "ok", "message": "Created 1 memories successfully"}
        assert await self.texts() == ["Ana has a boat", "the harbour"]

    async def _edit_long_term_memory(self, result: Any) -> None:
        assert (result["memory"].text, result["memory"].topics) == ("the old harbour", ["sea", "old"])
        assert await self.texts() == ["the old harbour"]

    async def _delete_long_term_memories(self, result: Any) -> None:
        assert result == {"status": "ok, deleted 1 memories"}
        assert await self.texts() == []

    async def _get_current_datetime(self, result: Any) -> None:
        assert abs(result["unix_ts"] - time.time()) < 3_600
        assert result["iso_utc"].endswith("Z")


ALIASES = {
    "add_memory_to_working_memory": "lazily_create_long_term_memory",
    "create_long_term_memory": "eagerly_create_long_term_memory",
}


@pytest.fixture
async def setting(client: MemoryAPIClient, namespace: str) -> Setting:
    made = Setting(client, namespace)
    harbour = ClientMemoryRecord(id=made.harbour, text="the harbour", topics=["sea"], memory_type="semantic")
    await client.create_long_term_memory([harbour])
    session = WorkingMemory(
        session_id="tools",
        messages=[MemoryMessage(role="user", content="Hello")],
        data={"trip": {"days": 3}},
        context="They have met.",
    )
    await client.put_working_memory("tools", session)
    return made


def test_every_tool_and_every_older_name_has_a_case() -> None:
    offered = set(MemoryAPIClient.get_all_memory_tool_schemas().names())
    named = {value for name, value in vars(client_module).items() if name.startswith("TOOL_")}
    assert offered == set(MemoryAPIClient.get_all_memory_tool_schemas_anthropic().names()) == set(SCHEMAS)
    assert offered | named | {"get_working_memory"} == set(ARGUMENTS)


@pytest.mark.filterwarnings("ignore:Tool name:DeprecationWarning")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tool", ARGUMENTS)
async def test_a_tool_does_what_it_is_for_whoever_calls_it(setting: Setting, tool: str, shape: str) -> None:
    call = SHAPES[shape](tool, setting.arguments(tool))
    answer = await setting.client.resolve_tool_call(call, "tools")

    assert (answer["success"], answer["function_name"], answer["error"]) == (True, tool, None)
    await setting.happened(tool, answer["result"])
    spoken = answer["result"].get("summary") or str(answer["result"])
    assert answer["formatted_response"] == spoken


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_every_provider_are_read_alike(shape: str) -> None:
    call = SHAPES[shape]("search_memory", {"query": "x"})
    read = MemoryAPIClient.parse_tool_call(call)
    assert (read["name"], read["arguments"]) == ("search_memory", {"query": "x"})


def test_each_providers_own_reader_says_whose_call_it_was() -> None:
    def made(shape: str) -> dict[str, Any]:
        return SHAPES[shape]("search_memory", {"query": "x"})

    read = [
        MemoryAPIClient.parse_openai_tool_call(made("openai")),
        MemoryAPIClient.parse_openai_function_call(made("openai before tools")),
        MemoryAPIClient.parse_anthropic_tool_use(made("anthropic")),
    ]
    assert [(one["id"], one["provider"]) for one in read] == [("call_1", "openai"), (None, "openai"), ("toolu_1", "anthropic")]
    assert {json.dumps(one["arguments"]) for one in read} == {'{"query": "x"}'}


async def test_several_calls_are_resolved_in_their_order_and_one_that_fails_stops_none(setting: Setting) -> None:
    calls = [
        SHAPES["anthropic"]("edit_long_term_memory", {"memory_id": setting.harbour, "text": "the new harbour"}),
        SHAPES["openai"]("get_long_term_memory", {"memory_id": f"{setting.namespace}-nothing"}),
        SHAPES["generic"]("search_memory", {"query": "the new harbour"}),
        SHAPES["generic"]("fly", {}),
    ]
    answers = await setting.client.resolve_tool_calls(calls, "tools", namespace=setting.namespace, user_id="ana")

    assert [one["success"] for one in answers] == [True, False, True, False]
    assert [one["text"] for one in answers[2]["result"]["memories"]] == ["the new harbour"]
    assert answers[1]["error"].startswith("Resource not found")
    assert answers[3]["error"] == "Unknown function: fly"


async def test_functions_are_resolved_by_name_with_arguments_as_text_or_as_an_object(setting: Setting) -> None:
    one = await setting.client.resolve_function_call("search_memory", '{"query": "the harbour"}', "tools", user_id="ana")
    several = await setting.client.resolve_function_calls(
        [
            {"name": "search_memory", "arguments": {"query": "the harbour", "min_relevance": 0.99}},
            {"name": "update_working_memory_data", "arguments": '{"data": {"seen": true}}'},
            {"name": "search_memory", "arguments": "{"},
            {"name": "search_memory", "arguments": {}},
        ],
        "tools",
    )
    assert [found["text"] for found in one["result"]["memories"]] == ["the harbour"]
    assert [each["success"] for each in several] == [True, True, False, False]
    assert [found["text"] for found in several[0]["result"]["memories"]] == ["the harbour"]
    assert (await setting.client.get_working_memory("tools")).data == {"trip": {"days": 3}, "seen": True}


async def test_tools_can_be_called_by_hand(setting: Setting, namespace: str) -> None:
    client = setting.client
    fresh = await client.get_or_create_working_memory_tool(
        "fresh", namespace=namespace, user_id="ana", long_term_memory_strategy=MemoryStrategyConfig(strategy="summary")
    )
    state = await client.get_working_memory_tool("tools", namespace=namespace)
    added = await client.add_memory_tool("tools", "Bo has a bike", "episodic", topics=["land"], entities=["Bo"], user_id="bo")
    updated = await client.update_memory_data_tool("tools", {"a": 1}, merge_strategy="replace")
    refused = await client.add_memory_tool("tools", "x", "odd")
    found = await client.search_memory_tool("Bo has a bike", entities=["Bo"], user_id="bo", min_relevance=0.9, optimize_query=True)

    assert (fresh["created"], fresh["message_count"], fresh["data"]) == (True, 0, {})
    await setting.happened("get_working_memory", state)
    assert (added["success"], updated["success"], refused["success"]) == (True, True, False)
    assert [(one["text"], one["memory_type"]) for one in found["memories"]] == [("Bo has a bike", "episodic")]
    assert (await client.get_working_memory("tools")).data == {"a": 1}


async def test_a_model_is_told_that_there_is_more_and_where(client: MemoryAPIClient) -> None:
    await client.create_long_term_memory([ClientMemoryRecord(text=f"fact number {n}") for n in range(5)])
    first = await client.search_memory_tool("fact", max_results=3)
    second = await client.search_memory_tool("fact", max_results=3, offset=first["next_offset"])

    assert (first["total_found"], first["has_more"], first["next_offset"]) == (5, True, 3)
    assert (second["total_found"], second["has_more"], second["next_offset"]) == (5, False, None)
    assert sorted(one["text"] for page in (first, second) for one in page["memories"]) == [f"fact number {n}" for n in range(5)]


@pytest.mark.parametrize("tool", SCHEMAS)
def test_a_tool_is_described_alike_to_every_provider(tool: str) -> None:
    openai, anthropic = (make() for make in SCHEMAS[tool])
    described = openai.to_dict()["function"]

    assert (openai.format, anthropic.format) == ("openai", "anthropic")
    assert openai.get_name() == anthropic.get_name() == tool
    assert openai.get_description() == anthropic.get_description() != ""
    expected = {"name": tool, "description": described["description"], "input_schema": described["parameters"]}
    assert anthropic.to_dict() == expected
    assert set(described["parameters"]["required"]) <= set(described["parameters"]["properties"])
    for parameter in described["parameters"]["properties"]:
        assert openai.get_parameter_description(parameter) == anthropic.get_parameter_description(parameter)


@pytest.mark.parametrize("provider", [0, 1])
def test_what_models_are_told_of_a_tool_can_be_changed(provider: int) -> None:
    schema = SCHEMAS["search_memory"][provider]()
    changed = schema.copy().set_name("recall").set_description("Looks back").set_parameter_description("query", "What for")

    assert (changed.get_name(), changed.get_description()) == ("recall", "Looks back")
    assert changed.get_parameter_description("query") == "What for"
    assert changed.get_parameter_description("nothing") is None
    assert schema.get_name() == "search_memory"
    assert ("name" in changed, "input_schema" in changed) == ((False, False), (True, True))[provider]
    with pytest.raises(KeyError):
        changed.set_parameter_description("nothing", "x")


def test_tools_can_be_changed_together() -> None:
    tools: ToolSchemaCollection = MemoryAPIClient.get_all_memory_tool_schemas().copy()
    tools.set_description("search_memory", "Looks back").set_name("search_memory", "recall")
    found = tools.get_by_name("recall")

    assert found is not None
    assert (found.get_description(), tools.get_by_name("search_memory")) == ("Looks back", None)
    assert len(tools) == len(tools.to_list()) == len(list(tools)) == len(SCHEMAS)
    assert tools[0].to_dict() == tools.to_list()[0]
    with pytest.raises(KeyError):
        tools.set_description("nothing", "x")
