"""Calls of the MCP tools as clients have saved them, with what each must answer."""

from datetime import datetime

from support.mcp_doors import Connection


async def ten_tools(client: Connection, namespace: str, user_id: str = "ana") -> None:
    """Every tool that the server before had, on a namespace that is empty."""
    await tells_the_time(client)
    hazelnuts = await stores_and_finds(client, namespace, user_id)
    await keeps_a_session(client, namespace, user_id)
    await changes_and_deletes(client, namespace, user_id, hazelnuts)


async def tells_the_time(client: Connection) -> None:
    now = await client.ask("get_current_datetime")
    assert now["iso_utc"].endswith("Z")
    assert datetime.fromisoformat(now["iso_utc"]).timestamp() == now["unix_ts"]


async def stores_and_finds(client: Connection, namespace: str, user_id: str) -> str:
    """The id of a memory that was stored."""
    owner = {"namespace": namespace, "user_id": user_id}
    stored = await client.ask(
        "create_long_term_memories",
        memories=[
            {"text": "Ana is allergic to hazelnuts", "topics": ["food", "health"], "entities": ["Ana"], **owner},
            {
                "id": f"{namespace}-trip",
                "text": "Ana sailed to Gotland",
                "memory_type": "episodic",
                "event_date": "2025-06-25T00:00:00",
            }
            | owner,
        ],
    )
    hazelnuts, trip = stored["memory_ids"]
    assert (stored["status"], trip) == ("ok", f"{namespace}-trip")

    known = await client.ask("create_long_term_memories", memories=[{"text": "Ana is allergic to hazelnuts", **owner}])
    assert known["memory_ids"] == [hazelnuts]
    of_class = {"field": "namespace", "eq": namespace, "ne": None, "any": None, "all": None, "startswith": None}
    found = await client.ask("search_long_term_memory", text="hazelnuts", search_mode="keyword", namespace=of_class)
    assert [(hit["id"], hit["text"], hit["score_type"]) for hit in found["memories"]] == [
        (hazelnuts, "Ana is allergic to hazelnuts", "keyword")
    ]
    assert (found["total"], found["next_offset"], found["note"]) == (1, None, None)
    assert (found["memories"][0]["memory_type"], found["memories"][0]["topics"]) == ("semantic", ["food", "health"])

    flat = {"namespace": {"eq": namespace}, "memory_type": {"eq": "episodic"}, "event_date": {"gte": "2025-06-01T00:00:00Z"}}
    one_by_one = await client.ask("search_long_term_memory", text="Gotland", limit="5", **flat)
    together = await client.ask("search_long_term_memory", text="Gotland", filters=flat, recency_boost=False)
    assert [[hit["id"] for hit in one["memories"]] for one in (one_by_one, together)] == [[trip], [trip]]
    assert one_by_one["memories"][0]["event_date"] == "2025-06-25T00:00:00Z"
    listed = await client.ask("search_long_term_memory", text=None, topics=["food"], namespace=namespace)
    assert [hit["id"] for hit in listed["memories"]] == [hazelnuts]
    return str(hazelnuts)


async def keeps_a_session(client: Connection, namespace: str, user_id: str) -> None:
    missing = await client.ask("get_working_memory", session_id="none", namespace=namespace)
    assert (missing["messages"], missing["unsaved"], missing["namespace"]) == ([], True, namespace)
    assert all(datetime.fromisoformat(missing[field]) for field in ("created_at", "updated_at", "last_accessed"))
    stored = await client.ask(
        "set_working_memory",
        session_id="s1",
        namespace=namespace,
        user_id=user_id,
        messages=[{"role": "user", "content": "What may I eat?"}, {"role": "assistant", "content": "No hazelnuts."}],
        memories=[{"text": "Ana asked what she may eat"}],
        data={"step": 1},
        context="Lunch was discussed.",
    )
    assert (stored["session_id"], stored["ttl_seconds"], stored["data"]) == ("s1", 3600, {"step": 1})
    assert stored["long_term_memory_strategy"] == {"strategy": "discrete", "config": {}}
    assert [(record["text"], record["memory_type"]) for record in stored["memories"]] == [
        ("Ana asked what she may eat", "semantic")
    ]
    seen = await client.ask("get_working_memory", session_id="s1", namespace=namespace, user_id=user_id, recent_messages_limit=1)
    assert [message["content"] for message in seen["messages"]] == ["No hazelnuts."]
    assert (seen["context"], seen["unsaved"]) == ("Lunch was discussed.", False)

    prompt = await client.ask(
        "memory_prompt",
        query="hazelnuts?",
        session_id={"eq": "s1"},
        namespace={"eq": namespace},
        user_id={"eq": user_id},
        search_mode="keyword",
        topics={"any": ["food"]},
    )
    said = [(message["role"], message["content"]["text"]) for message in prompt["messages"]]
    assert said[0] == ("system", "## A summary of the conversation so far:\nLunch was discussed.")
    assert said[1:3] == [("user", "What may I eat?"), ("assistant", "No hazelnuts.")]
    assert said[3][0] == "system"
    assert "Ana is allergic to hazelnuts" in said[3][1]
    assert said[4] == ("user", "hazelnuts?")
    assert [hit["topics"] for hit in prompt["long_term_memories"]] == [["food", "health"]]
    alone = await client.ask(
        "memory_prompt", query="?", session_id="s1", namespace=namespace, user_id=user_id, include_long_term_search=False
    )
    assert (len(alone["messages"]), alone["long_term_memories"]) == (4, None)


async def changes_and_deletes(client: Connection, namespace: str, user_id: str, hazelnuts: str) -> None:
    edited = await client.ask("edit_long_term_memory", memory_id=hazelnuts, text="Ana is allergic to all nuts", pinned=True)
    assert (edited["id"], edited["text"], edited["pinned"]) == (hazelnuts, "Ana is allergic to all nuts", True)
    assert await client.ask("get_long_term_memory", memory_id=hazelnuts) == edited
    found = await client.ask("search_long_term_memory", text="nuts", search_mode="keyword", namespace=namespace)
    assert [hit["text"] for hit in found["memories"]] == ["Ana is allergic to all nuts"]

    compacted = await client.ask("compact_long_term_memories", namespace=namespace, user_id=user_id, session_id="s1")
    assert compacted == {"status": "ok, 3 memories remaining after compaction"}
    deleted = await client.ask("delete_long_term_memories", memory_ids=[hazelnuts, "nothing"])
    assert deleted == {"status": "ok, deleted 1 memories"}
    assert "not found" in await client.refused("get_long_term_memory", memory_id=hazelnuts)
    gone = await client.ask("search_long_term_memory", text="nuts", search_mode="keyword", namespace=namespace)
    assert gone["memories"] == []
