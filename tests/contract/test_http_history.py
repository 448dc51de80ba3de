"""The past of memories and sessions over HTTP: as they were, what happened to them, merges taken back, and compaction."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth.principal import Principal
from agent_memory.contracts.commands import (
    DeleteWorkingMemory,
    EditMemory,
    ForgetMemories,
    MergeMemories,
    ReplaceWorkingMemory,
    StoreMemories,
    UnmergeMemory,
)
from agent_memory.contracts.records import MemoryRecord, Message, Scope
from agent_memory.eventlog.memories import MemoryLog
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.past import LogPast
from agent_memory.runtime.settings import Settings
from support.small_system import SmallSystem

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)
MEMORIES = "/v1/long-term-memory"


class World:
    """A real log behind a gateway whose other ports are twins; each command is recorded a second after the one before."""

    def __init__(self, system: SmallSystem) -> None:
        self.system = system
        self.twin = MemorySystem()
        self.now = NOON
        system._ingest._clock_ms = lambda: int(self.now.timestamp() * 1000)

    def client(self, principal: Principal | None = None) -> AsyncClient:
        async def bound(headers: object) -> Principal:
            return principal or Principal()

        past = LogPast(MemoryLog(self.system.connections))
        ports = {**self.twin.ports(), "past": past, "log": self.system.log}
        app = create_app(Settings(), authenticate=bound, clock=lambda: self.now, **ports)
        return AsyncClient(transport=ASGITransport(app=app), base_url="http://memory")

    async def did(self, *commands: Any, scope: Scope | None = None) -> int:
        """Commands, each at its second; the position of the log after them."""
        for command in commands:
            self.now += timedelta(seconds=1)
            await self.system.send(command, scope=scope)
        return await self.system.log.head()


@pytest.fixture
async def world(database_url: str, redis_url: str) -> AsyncIterator[World]:
    system = SmallSystem(database_url, redis_url)
    yield World(system)
    await system.close()


@pytest.fixture
async def http(world: World) -> AsyncIterator[AsyncClient]:
    async with world.client() as client:
        yield client


def store(id_: str, text: str, **fields: Any) -> StoreMemories:
    at = fields.pop("at", NOON)
    record = MemoryRecord(id=id_, text=text, created_at=at, updated_at=at, last_accessed=at, **fields)
    return StoreMemories(memories=[record], deduplicate=False)


async def test_a_memory_is_shown_as_it_was_at_a_position_or_a_time(world: World, http: AsyncClient) -> None:
    first = await world.did(store("a/b", "likes tea"))
    then = world.now
    second = await world.did(EditMemory(memory_id="a/b", text="likes milk"))
    await world.did(ForgetMemories(memory_ids=["a/b"]))
    path = f"{MEMORIES}/a/b"
    assert (await http.get(path)).status_code == 404
    for as_of in (first, then.isoformat(), then.strftime("%Y-%m-%dT%H:%M:%SZ"), (then + timedelta(seconds=0.9)).isoformat()):
        found = await http.get(path, params={"as_of": as_of})
        assert (found.status_code, found.json()["text"]) == (200, "likes tea"), as_of
        assert found.headers["x-memory-position"] == str(first)
    assert (await http.get(f"{path}?as_of={then.isoformat()}")).json()["text"] == "likes tea"
    assert (await http.get(path, params={"as_of": second})).json()["text"] == "likes milk"
    for as_of in (0, second + 1, 2**62, NOON.isoformat(), "2999-01-01"):
        gone = await http.get(path, params={"as_of": as_of})
        assert (gone.status_code, gone.json()) == (404, {"detail": "Memory with ID a/b not found"})


@pytest.mark.parametrize("as_of", ["yesterday", "", str(2**63), "2026-13-01"])
async def test_a_moment_that_is_none_is_named(http: AsyncClient, as_of: str) -> None:
    for path in (f"{MEMORIES}/a", "/v1/working-memory/s"):
        answer = await http.get(path, params={"as_of": as_of})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "as_of"])


async def test_the_history_says_what_happened_when_and_by_which_command(world: World, http: AsyncClient) -> None:
    await world.did(store("a/b", "likes tea"), EditMemory(memory_id="a/b", text="likes milk", topics=["drinks"]))
    await world.did(store("a/b", "likes water"), ForgetMemories(memory_ids=["a/b"], reason="policy"))
    answer = await http.get(f"{MEMORIES}/a/b/history")
    assert answer.headers["x-memory-position"] == "4"
    history = answer.json()
    assert history["memory_id"] == "a/b"
    told = [(one["position"], one["version"], one["event"], one["reason"], one["changed"]) for one in history["events"]]
    assert told[0] == (1, 1, "stored", "requested", [])
    assert told[1] == (2, 2, "edited", "requested", ["text", "topics"])
    assert told[2][:4] == (3, 3, "stored", "requested")
    assert {"text", "topics"} <= set(told[2][4])
    assert told[3] == (4, 4, "forgotten", "policy", [])
    assert [one["at"] for one in history["events"]] == [f"2026-01-30T12:00:0{second}Z" for second in (1, 2, 3, 4)]
    assert [one["command_id"] for one in history["events"]] == ["c1001", "c1002", "c1003", "c1004"]
    assert [one["record"] and one["record"]["text"] for one in history["events"]] == [
        "likes tea",
        "likes milk",
        "likes water",
        None,
    ]


async def test_a_merge_is_in_the_history_of_all_it_was_made_of(world: World, http: AsyncClient) -> None:
    await world.did(store("a", "likes tea"), store("b", "likes tea and milk"))
    merged = MemoryRecord(id="a", text="likes tea and milk", created_at=NOON, updated_at=NOON, last_accessed=NOON)
    await world.did(MergeMemories(record=merged, source_ids=["b"], versions={"a": 1, "b": 1}))
    made = (await http.get(f"{MEMORIES}/a/history")).json()["events"][-1]
    assert (made["reason"], made["merge"]["before"]["text"], made["use"]) == ("merged", "likes tea", None)
    assert [source["id"] for source in made["merge"]["sources"]] == ["b"]
    assert (await http.get(f"{MEMORIES}/b/history")).json()["events"][-1]["merged_into"] == "a"
    await world.did(UnmergeMemory(memory_id="a"))
    assert [one["reason"] for one in (await http.get(f"{MEMORIES}/b/history")).json()["events"]] == [
        "requested",
        "merged",
        "unmerged",
    ]


async def test_what_never_was_has_no_history_and_a_memory_may_be_called_history(world: World, http: AsyncClient) -> None:
    missing = await http.get(f"{MEMORIES}/none/history")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Memory with ID none not found"})
    await world.did(store("x/history", "called so"))
    assert (await http.get(f"{MEMORIES}/x/history")).json()["text"] == "called so"
    assert (await http.get(f"{MEMORIES}/x%2Fhistory")).json()["text"] == "called so"
    assert (await http.get(f"{MEMORIES}/x/history/history")).json()["memory_id"] == "x/history"
    await world.did(store("x", "its namesake"))
    assert (await http.get(f"{MEMORIES}/x/history")).json()["memory_id"] == "x"


async def test_a_bound_caller_sees_the_past_of_its_own_alone(world: World) -> None:
    await world.did(store("a", "hers first", user_id="her"), EditMemory(memory_id="a", user_id="him", text="then his"))
    await world.did(store("b", "hers", user_id="her"))
    async with world.client(Principal(user_id="him")) as him, world.client(Principal(user_id="her")) as her:
        assert [one["record"]["text"] for one in (await him.get(f"{MEMORIES}/a/history")).json()["events"]] == ["then his"]
        assert (await him.get(f"{MEMORIES}/a", params={"as_of": 1})).status_code == 404
        assert (await him.get(f"{MEMORIES}/a", params={"as_of": 2})).json()["text"] == "then his"
        assert (await him.get(f"{MEMORIES}/b/history")).status_code == 404
        assert (await her.get(f"{MEMORIES}/a/history")).status_code == 404
        assert (await her.get(f"{MEMORIES}/a", params={"as_of": 1})).status_code == 404
        assert (await her.get(f"{MEMORIES}/b/history")).status_code == 200
        assert (await him.post(f"{MEMORIES}/compact?user_id=her")).status_code == 403
        assert (await him.post(f"{MEMORIES}/compact")).status_code == 200


async def test_a_merge_is_taken_back_through_its_memory(http: AsyncClient, world: World) -> None:
    assert (await http.post(f"{MEMORIES}/a/b/unmerge")).json() == {"detail": "Memory with ID a/b not found"}
    world.twin.records["a/b"] = store("a/b", "likes tea").memories[0]
    answer = await http.post(f"{MEMORIES}/a/b/unmerge/")
    assert (answer.status_code, answer.json()["text"]) == (200, "likes tea")
    assert world.twin.sent[-1] == (Scope(), UnmergeMemory(memory_id="a/b"))
    assert (await http.post(f"{MEMORIES}/a/b")).status_code == 405
    assert (await http.post(f"{MEMORIES}/unmerge")).status_code == 405


async def test_compaction_says_how_many_memories_remain(http: AsyncClient, world: World) -> None:
    world.twin.records["a"] = store("a", "likes tea", namespace="n").memories[0]
    for query, left in (("", 1), ("?namespace=n", 1), ("?namespace=other", 0), ("?namespace=n&user_id=u", 0)):
        answer = await http.post(f"{MEMORIES}/compact{query}")
        assert (answer.status_code, answer.json()["status"]) == (200, f"ok, {left} memories remaining after compaction")


def put(text: str, **fields: Any) -> ReplaceWorkingMemory:
    message = Message(id=text, role="user", content=text, created_at=NOON)
    return ReplaceWorkingMemory(session_id="s/1", messages=[message], **fields)


async def test_a_session_is_shown_as_it_was_also_after_it_is_gone(world: World, http: AsyncClient) -> None:
    mine = Scope(namespace="n", user_id="u")
    first = await world.did(put("one"), scope=mine)
    then = world.now
    second = await world.did(put("two", data={"k": 1}), scope=mine)
    await world.did(DeleteWorkingMemory(session_id="s/1"), scope=mine)
    path = "/v1/working-memory/s/1"
    for scope in ({"namespace": "n", "user_id": "u"}, {"namespace": "n"}, {}):
        for as_of in (first, second - 1, then.isoformat()):  # the second put is two events, and nobody saw it half done
            found = await http.get(path, params={**scope, "as_of": as_of})
            assert found.status_code == 200
            assert ([one["content"] for one in found.json()["messages"]], found.json()["namespace"]) == (["one"], "n")
        shown = (await http.get(path, params={**scope, "as_of": second})).json()
        assert ([one["content"] for one in shown["messages"]], shown["data"]) == (["two"], {"k": 1})
        for as_of in (0, second + 1, (then - timedelta(seconds=1)).isoformat(), world.now.isoformat()):
            assert (await http.get(path, params={**scope, "as_of": as_of})).status_code == 404
    for scope in ({"namespace": "other"}, {"user_id": "other"}):
        assert (await http.get(path, params={**scope, "as_of": second})).status_code == 404


async def test_a_session_that_had_expired_then_is_not_found_then(world: World, http: AsyncClient) -> None:
    position = await world.did(put("one", ttl_seconds=10))
    alive, dead = world.now + timedelta(seconds=9), world.now + timedelta(seconds=10)
    world.now += timedelta(seconds=30)
    await world.did(store("a", "later"))
    path = "/v1/working-memory/s/1"
    assert (await http.get(path, params={"as_of": position})).status_code == 200
    assert (await http.get(path, params={"as_of": alive.isoformat()})).status_code == 200
    assert (await http.get(path, params={"as_of": dead.isoformat()})).status_code == 404
    assert (await http.get(path, params={"as_of": position + 1})).status_code == 404
    limited = await http.get(path, params={"as_of": position, "context_window_max": "100"})
    assert limited.json()["context_percentage_total_used"] > 0
    assert json.loads(limited.text)["session_id"] == "s/1"
