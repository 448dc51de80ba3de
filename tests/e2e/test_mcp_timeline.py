"""The tools, resources and prompts that are new, on a real conversation: from the year to the words, and looking after memories."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from fastmcp.exceptions import McpError

from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until
from support.mcp_doors import PATHS, Connection, Make, Transport, connected, in_process
from support.servers import Servers
from support.stacks import running_stack

TALK = [
    ("user", "We should move the booking database from MySQL to Postgres before the summer season begins."),
    ("assistant", "The migration of the booking database needs a rehearsal: copy everything to a staging server first."),
    ("user", "The rehearsal found 37 double bookings of the same seat."),
    ("assistant", "Double bookings come from two sailings that share one seat map; a constraint would refuse them."),
]
WEEK = "toc:week:2026-W05"
BOTH: list[tuple[Make, Transport]] = [("official", "streamable-http"), ("fastmcp", "sse")]


@pytest.fixture(scope="module")
def stack(servers: Servers) -> Iterator[Stack]:
    with running_stack(servers, TIMELINE_SETTLE_SECONDS="0.1") as started:
        yield started


@asynccontextmanager
async def client_of(stack: Stack, make: Make, transport: Transport, namespace: str) -> AsyncIterator[Connection]:
    """A client in a namespace of its own."""
    async with (
        in_process(transport, stack.http_urls[0]) as at,
        connected(make, transport, f"{at}/{namespace}{PATHS[transport]}") as client,
    ):
        yield client


async def talk(client: Connection) -> None:
    """A conversation of Friday, 30 January 2026."""
    for number, (role, text) in enumerate(TALK):
        recorded = await client.ask(
            "record_event",
            event_id=f"e{number}",
            session_id="s/1",
            timestamp=f"2026-01-30T10:0{number}:00Z",
            event_type=f"{role}_message",
            role=role,
            text=text,
        )
        assert recorded == {"event_id": f"e{number}", "created": True}


async def written_about(client: Connection) -> dict[str, Any]:
    """The first segment, once something is written about it."""
    found: dict[str, Any] = {}

    async def bulleted() -> bool:
        node: str | None = None
        while children := (await client.ask("browse_timeline", **({"node_id": node} if node else {})))["children"]:
            found.update(children[0])
            node = children[0]["node_id"]
        return bool(found.get("level") == "segment" and found["bullets"])

    await wait_until(bulleted, "something is written about the segment", 30)
    return found


async def finds_what_is_written(client: Connection, segment: dict[str, Any]) -> None:
    """Nodes and grips are found, and lead on to where they stand."""

    async def searched() -> bool:
        everything = (await client.ask("search_timeline", text="double bookings", mode="semantic", kinds=[], limit=100))["matches"]
        return {"node", "grip", "event"} == {one["kind"] for one in everything}

    await wait_until(searched, "what is written is found", 30)
    found = await client.ask("search_timeline", text="double bookings", mode="semantic", kinds=["node", "grip"], session_id="s/1")
    assert (found["events"], found["note"], found["total"]) == ([], None, len(found["matches"]))
    node = next(one for one in found["matches"] if one["kind"] == "node")
    assert (node["id"], node["node"]["level"]) == (segment["node_id"], "segment")
    assert (await client.ask("browse_timeline", node_id=node["id"]))["node"]["node_id"] == node["id"]
    grip = next(one for one in found["matches"] if one["kind"] == "grip")
    assert (await client.ask("expand_grip", grip_id=grip["id"]))["grip"]["excerpt"] == grip["text"]
    assert "kinds" in await client.refused("search_timeline", text="x", kinds=["year"])


@pytest.mark.parametrize(("make", "transport"), BOTH)
async def test_a_model_goes_from_the_year_to_the_words(stack: Stack, make: Make, transport: Transport) -> None:
    async with client_of(stack, make, transport, f"walk-{make}") as client:
        await talk(client)
        again = await client.ask("record_event", event_id="e0", session_id="s/1", timestamp="2026-01-30T10:00:00Z", text=TALK[0][1])
        assert again == {"event_id": "e0", "created": False}
        years = await client.ask("browse_timeline")
        assert [(year["node_id"], year["level"], year["event_count"]) for year in years["children"]] == [
            ("toc:year:2026", "year", 4)
        ]
        assert (years["node"], years["has_more"]) == (None, False)
        week = await client.ask("browse_timeline", node_id=WEEK)
        assert week["node"]["title"] == "Week 5, 2026"
        assert [day["node_id"] for day in week["children"]] == ["toc:day:2026-01-30"]

        segment = await written_about(client)
        bullet = segment["bullets"][0]
        words = await client.ask("expand_grip", grip_id=bullet["grip_ids"][0], events_before=1, events_after=4)
        assert words["grip"]["excerpt"] in " ".join(text for _, text in TALK)
        assert words["grip"]["session_id"] == "s/1"
        shown = [event["text"] for event in words["events_before"] + words["excerpt_events"] + words["events_after"]]
        assert shown == [text for _, text in TALK][-len(shown) :]

        found = await client.ask("search_timeline", text="seat", mode="keyword", to="2026-01-30T10:02:00Z")
        assert [(event["event_id"], event["role"]) for event in found["events"]] == [("e2", "user")]
        assert (found["total"], found["note"]) == (1, None)
        both = await client.ask("search_timeline", text="seat", mode="keyword", **{"from": 1_769_767_200_000})
        assert {event["event_id"] for event in both["events"]} == {"e2", "e3"}
        assert (await client.ask("search_timeline", text="double bookings", session_id="other"))["events"] == []
        await finds_what_is_written(client, segment)
        backwards = await client.refused("search_timeline", text="seat", **{"from": "2026-02-01", "to": "2026-01-01"})
        assert "to is before from" in backwards
        assert "exchange them" in backwards
        assert "there is no node toc:year:1999" in await client.refused("browse_timeline", node_id="toc:year:1999")
        assert "there is no grip" in await client.refused("expand_grip", grip_id="grip:none")


@pytest.mark.parametrize(("make", "transport"), BOTH)
async def test_resources_and_prompts_begin_with_what_is_remembered(stack: Stack, make: Make, transport: Transport) -> None:
    async with client_of(stack, make, transport, f"choose-{make}") as client:
        assert await client.shown() == {
            "resources": ["memory://timeline/root"],
            "templates": ["memory://session/{id}", "memory://timeline/{node}"],
            "prompts": ["recall", "summarise-week"],
        }
        await talk(client)
        await client.ask("create_long_term_memories", memories=[{"text": "The season begins in May"}])
        assert [year["title"] for year in (await client.read("memory://timeline/root"))["children"]] == ["2026"]
        assert (await client.read(f"memory://timeline/{WEEK}"))["node"]["event_count"] == 4
        session = await client.read("memory://session/s%2F1")
        assert [message["content"] for message in session["messages"]] == [text for _, text in TALK]
        with pytest.raises(McpError, match="there is no node toc:week:1999-W01"):
            await client.read("memory://timeline/toc:week:1999-W01")
        with pytest.raises(McpError, match="there is no session nobody here"):
            await client.read("memory://session/nobody")

        recalled = await client.prompt("recall", query="When does the season begin?", session_id="s/1")
        assert recalled[:2] == TALK[:2]
        assert recalled[-1] == ("user", "When does the season begin?")
        assert "The season begins in May" in recalled[-2][1]

        segment = await written_about(client)
        ((role, text),) = await client.prompt("summarise-week", week="2026-W05")
        assert role == "user"
        assert f"# Week 5, 2026 ({WEEK})" in text
        assert "## January 30, 2026 (toc:day:2026-01-30, 4 events)" in text
        assert f"- {segment['bullets'][0]['text']} [{segment['bullets'][0]['grip_ids'][0]}" in text
        with pytest.raises(McpError, match="say 2026-W05"):
            await client.prompt("summarise-week", week="last")
        with pytest.raises(McpError, match="nothing is recorded of the week 1999-W01 here"):
            await client.prompt("summarise-week", week="1999-W01")


@pytest.mark.parametrize(("make", "transport"), BOTH)
async def test_messages_are_added_once_each(stack: Stack, make: Make, transport: Transport) -> None:
    async with client_of(stack, make, transport, f"append-{make}") as client:
        messages = [{"id": "m1", "role": "user", "content": "Hello"}, {"id": "m2", "role": "assistant", "content": "Hi"}]
        first = await client.ask("append_messages", session_id="s", messages=messages)
        more = await client.ask("append_messages", session_id="s", messages=[messages[1], {"role": "user", "content": "Bye"}])
        seen = await client.ask("get_working_memory", session_id="s")
        assert (first["created"], more["created"]) == ([True, True], [False, True])
        assert [message["content"] for message in seen["messages"]] == ["Hello", "Hi", "Bye"]
        assert "give at least one message" in await client.refused("append_messages", session_id="s", messages=[])


@pytest.mark.parametrize(("make", "transport"), BOTH)
async def test_what_became_of_a_memory_can_be_told_also_when_it_is_gone(stack: Stack, make: Make, transport: Transport) -> None:
    async with (
        client_of(stack, make, transport, f"past-{make}") as client,
        client_of(stack, make, transport, f"elsewhere-{make}") as stranger,
    ):
        (memory_id,) = (await client.ask("create_long_term_memories", memories=[{"text": "Ferries leave at nine"}]))["memory_ids"]
        await client.ask("edit_long_term_memory", memory_id=memory_id, text="Ferries leave at ten")
        await client.ask("delete_long_term_memories", memory_ids=[memory_id])
        told = await client.ask("memory_history", memory_id=memory_id)
        assert told["memory_id"] == memory_id
        assert [event["event"] for event in told["events"]] == ["stored", "edited", "forgotten"]
        assert [event["record"]["text"] for event in told["events"][:2]] == ["Ferries leave at nine", "Ferries leave at ten"]
        assert told["events"][1]["changed"] == ["text"]
        assert all(datetime.fromisoformat(event["at"]) for event in told["events"])
        for client_or_stranger, which in ((stranger, memory_id), (client, "nothing")):
            assert "not found" in await client_or_stranger.refused("memory_history", memory_id=which)


@pytest.mark.parametrize(("make", "transport"), BOTH)
async def test_a_policy_is_shown_before_it_is_carried_out(stack: Stack, make: Make, transport: Transport) -> None:
    async with client_of(stack, make, transport, f"forget-{make}") as client:
        old = {"created_at": "2020-01-01T00:00:00Z", "last_accessed": "2020-01-01T00:00:00Z"}
        texts = {"tides": "Tides are listed in the harbour office", "pilots": "Pilots speak on channel twelve"}
        memories = [{"id": f"{name}-{make}", "text": text, **old} for name, text in texts.items()]
        await client.ask("create_long_term_memories", memories=[*memories, {"id": f"new-{make}", "text": "Buoys were painted"}])
        told = await client.ask("forget", policy={"max_age_days": 365}, pinned_ids=[f"tides-{make}"])
        assert told["deleted_ids"] == [f"pilots-{make}"]
        assert (told["scanned"], told["deleted"], told["dry_run"]) == (3, 1, True)
        assert (await client.ask("get_long_term_memory", memory_id=f"pilots-{make}"))["text"] == texts["pilots"]
        done = await client.ask("forget", policy={"max_age_days": 365}, pinned_ids=[f"tides-{make}"], dry_run=False)
        assert (done["deleted_ids"], done["dry_run"]) == ([f"pilots-{make}"], False)
        assert "not found" in await client.refused("get_long_term_memory", memory_id=f"pilots-{make}")
        assert "say what may go" in await client.refused("forget", policy={})


async def test_background_jobs_are_told(stack: Stack) -> None:
    async with client_of(stack, "official", "streamable-http", "jobs") as client:
        told = await client.ask("scheduler_status")
    assert told["scheduler_running"] is True
    assert {"compaction", "hourly-rollup"} <= {job["job_name"] for job in told["jobs"]}
    assert all(job["next_run_ms"] > 0 and job["cron_expr"] and job["meaning"] for job in told["jobs"])
