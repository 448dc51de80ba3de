"""The tools' names, parameters and answers, against those of the server whose saved calls must go on working."""

import logging
from typing import Any

import pytest
from fastmcp.exceptions import PromptError

from agent_memory.mcp.app import create_server
from agent_memory.mcp.catalogue import TOOLS
from agent_memory.mcp.domain import Misused
from agent_memory.mcp.tools import arguments_of, schema_of, tool_of

RECENCY = {f"recency_{name}_weight": None for name in ("semantic", "recency", "freshness", "novelty")}
RECENCY |= {"recency_half_life_last_access_days": None, "recency_half_life_created_days": None, "recency_boost": None}
FILTERS = dict.fromkeys(
    ("session_id", "namespace", "topics", "entities", "created_at", "last_accessed", "user_id", "memory_type", "event_date")
)
SEARCH: dict[str, Any] = {
    **FILTERS,
    **RECENCY,
    "search_mode": "semantic",
    "distance_threshold": None,
    "limit": 10,
    "offset": 0,
    "optimize_query": False,
    "server_side_recency": None,
}
OWNER = {"namespace": None, "user_id": None}
_RECORD = """
id text session_id user_id namespace last_accessed created_at updated_at pinned access_count topics entities memory_hash
discrete_memory_extracted memory_type persisted_at extracted_from event_date extraction_strategy extraction_strategy_config
metadata
"""
RECORD = frozenset(_RECORD.split())
_SESSION = """
messages memories data context user_id tokens session_id namespace long_term_memory_strategy ttl_seconds last_accessed
created_at updated_at
"""
SESSION = frozenset(_SESSION.split())
PERCENTAGES = frozenset({"context_percentage_total_used", "context_percentage_until_summarization"})
KEPT: dict[str, tuple[list[str], dict[str, Any], frozenset[str]]] = {
    "get_current_datetime": ([], {}, frozenset({"iso_utc", "unix_ts"})),
    "create_long_term_memories": (["memories"], {}, frozenset({"status"})),
    "search_long_term_memory": (["text"], {**SEARCH, "extraction_strategy": None}, frozenset({"memories", "total", "next_offset"})),
    "memory_prompt": (
        ["query"],
        {**SEARCH, "model_name": None, "context_window_max": None, "include_long_term_search": True},
        frozenset({"messages", "long_term_memories"}),
    ),
    "set_working_memory": (
        ["session_id"],
        {
            **OWNER,
            **dict.fromkeys(("memories", "messages", "context", "data", "long_term_memory_strategy")),
            "ttl_seconds": 3600,
        },
        SESSION | PERCENTAGES,
    ),
    "get_working_memory": (["session_id"], {**OWNER, "recent_messages_limit": None}, SESSION),
    "get_long_term_memory": (["memory_id"], {}, RECORD),
    "edit_long_term_memory": (
        ["memory_id"],
        {**OWNER, **dict.fromkeys(("text", "topics", "entities", "memory_type", "session_id", "event_date", "pinned"))},
        RECORD,
    ),
    "delete_long_term_memories": (["memory_ids"], {}, frozenset({"status"})),
    "compact_long_term_memories": ([], {**OWNER, "session_id": None}, frozenset({"status"})),
}
"""By tool: what must be given, what may be with its default, what is answered."""
SPECS = {spec.name: spec for spec in TOOLS}


@pytest.mark.parametrize("name", KEPT)
def test_a_tool_that_was_there_takes_and_answers_what_it_did(name: str) -> None:
    required, optional, answered = KEPT[name]
    tool = tool_of(SPECS[name], lambda: pytest.fail("not called"), "")
    taken = tool.parameters["properties"]
    assert tool.parameters["required"] == required
    assert {field: taken[field].get("default") for field in optional} == optional
    assert tool.output_schema is not None
    assert answered <= set(tool.output_schema["required"])


def test_a_memory_to_store_has_the_fields_and_defaults_that_it_had() -> None:
    new = schema_of(SPECS["create_long_term_memories"].takes)["$defs"]["NewMemory"]
    assert set(new["properties"]) == RECORD
    assert new["required"] == ["text"]
    assert (new["properties"]["memory_type"]["default"], new["properties"]["discrete_memory_extracted"]["default"]) == (
        "semantic",
        "t",
    )
    found = schema_of(SPECS["search_long_term_memory"].gives)["$defs"]["MemoryHit"]
    assert set(found["properties"]) >= RECORD | {"dist", "score", "score_type"}


@pytest.mark.parametrize("spec", TOOLS, ids=lambda spec: spec.name)
def test_every_tool_tells_a_model_what_it_is_for_and_a_client_what_it_may_break(spec: Any) -> None:
    tool = tool_of(spec, lambda: pytest.fail("not called"), "")
    assert tool.description is not None
    assert 40 < len(tool.description) < 800
    assert "\n" not in tool.description
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is (spec.needs == "read")
    assert not (tool.annotations.read_only_hint and tool.annotations.destructive_hint)
    assert tool.parameters["additionalProperties"] is False


def test_numbers_and_truth_in_text_are_understood() -> None:
    given = arguments_of(SPECS["search_long_term_memory"].takes, {"text": "x", "limit": "7", "optimize_query": "true"})
    assert (given.limit, given.optimize_query) == (7, True)


@pytest.mark.parametrize(
    ("name", "arguments", "told", "would"),
    [
        ("search_long_term_memory", {}, "missing required field `text`", "Arguments are: created_at, distance_threshold"),
        ("scheduler_status", {"x": 1}, "unknown field `x`", "Arguments are: none"),
        (
            "search_long_term_memory",
            {"text": "x", "search_mode": "fuzzy"},
            "at `$.search_mode`",
            "One of: hybrid, keyword, semantic.",
        ),
        (
            "edit_long_term_memory",
            {"memory_id": "x", "memory_type": "y"},
            "at `$.memory_type`",
            "One of: episodic, message, semantic.",
        ),
        ("search_timeline", {"text": "x", "kinds": ["words"]}, "at `$.kinds[0]`", "One of: event, grip, node."),
        (
            "search_long_term_memory",
            {"text": "x", "created_at": {"after": 1}},
            "field `after` - at `$.created_at`",
            "It has: between, eq",
        ),
        ("search_long_term_memory", {"text": "x", "filters": "{not json"}, "at `$.filters`", "It has: created_at, entities"),
        ("search_long_term_memory", {"text": "x", "filters": {"topics": {"like": 1}}}, "at `$.filters.topics`", "It has: all, any"),
        ("create_long_term_memories", {"memories": "x"}, "at `$.memories`", 'What to remember: [{"text": '),
        ("create_long_term_memories", {"memories": [{"txt": "x"}]}, "at `$.memories[0]`", "It has: access_count, created_at"),
        (
            "create_long_term_memories",
            {"memories": [{"text": "x", "topics": "y"}]},
            "[0].topics`",
            "Tags to find it by, without commas.",
        ),
        ("record_event", {"session_id": "s", "text": "x", "metadata": {"a": 1}}, "at `$.metadata[...]`", "as texts: {"),
        (
            "append_messages",
            {"session_id": "s", "messages": "hello"},
            "at `$.messages`",
            'What was said, the oldest first: [{"role"',
        ),
        ("delete_long_term_memories", {"memory_ids": "a"}, "at `$.memory_ids`", 'also where it is one: ["id"]'),
        ("get_long_term_memory", {"memory_id": ""}, "length >= 1 - at `$.memory_id`", "Id of a memory, as searches"),
        ("delete_long_term_memories", {"memory_ids": ["a", ""]}, "length >= 1 - at `$.memory_ids[1]`", "Id of a memory"),
        ("set_working_memory", {"session_id": ""}, "length >= 1 - at `$.session_id`", "Id of the conversation."),
        ("browse_timeline", {"node_id": ""}, "length >= 1 - at `$.node_id`", "Node to look into, such as toc:week:2026-W05"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_what_would(
    name: str, arguments: dict[str, Any], told: str, would: str
) -> None:
    with pytest.raises(Misused) as refusal:
        arguments_of(SPECS[name].takes, arguments)
    assert told in str(refusal.value)
    assert would in str(refusal.value)


async def test_prompts_take_texts_as_they_stand_and_tell_what_is_missing() -> None:
    server = create_server(lambda: pytest.fail("not called"), "")
    recall = await server.get_prompt("recall")
    assert recall is not None
    assert [(one.name, one.description, one.required) for one in recall.arguments or ()] == [
        ("query", "What to answer.", True),
        ("session_id", "A conversation to put in as well.", False),
    ]
    for given in ({}, {"query": ""}):
        with pytest.raises(PromptError, match="`query` is missing: What to answer") as refusal:
            await recall.render(given)
        assert refusal.value.log_level == logging.INFO, "what a client did wrong is no error of this program"
