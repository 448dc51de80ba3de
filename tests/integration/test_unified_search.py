"""Long-term and working memory searched together, on the log and the index themselves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AppendMessages, DeleteWorkingMemory, ReplaceWorkingMemory, StoreMemories
from agent_memory.contracts.queries import MemoryFilters, TagFilter
from agent_memory.contracts.records import MemoryRecord, Message, Scope
from agent_memory.gateway.app import create_app
from agent_memory.gateway.gateway import utc_now
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.working_search import WorkingSearch
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime.settings import Settings
from support.small_system import SmallSystem

AT = datetime(2026, 1, 1, tzinfo=UTC)
SEARCH = "/v1/memory/search"


class Counting:
    """The system's embedder, and how many texts it was asked for."""

    def __init__(self, system: SmallSystem) -> None:
        self.inner = system.embedder
        self.model, self.dimensions = self.inner.model, self.inner.dimensions
        self.texts: list[str] = []

    async def embed(self, texts: Any) -> list[bytes]:
        self.texts += texts
        return await self.inner.embed(texts)

    async def close(self) -> None:
        """Nothing."""


class Both:
    """The system behind the HTTP door."""

    def __init__(self, system: SmallSystem) -> None:
        self.system = system
        self.embedder = Counting(system)
        working = WorkingSearch(system.log, system.sessions, system.vectors, self.embedder, utc_now)
        ports = {
            **MemorySystem().ports(),
            "memories": MemorySearch(system.redis),
            "working": working,
            "embedder": self.embedder,
        }
        self.http = AsyncClient(transport=ASGITransport(app=create_app(Settings(), **ports)), base_url="http://memory")

    async def found(self, **body: object) -> list[tuple[str, str]]:
        """Ids and sources."""
        answer = await self.http.post(SEARCH, json={"recency_boost": False, **body})
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] >= len(answer.json()["memories"])
        return [(one["id"], one["source"][0]) for one in answer.json()["memories"]]


@pytest.fixture
async def both(database_url: str, redis_url: str) -> AsyncIterator[Both]:
    system = SmallSystem(database_url, redis_url)
    both = Both(system)
    async with both.http:
        yield both
    await system.close()


def message(id_: str, content: str, day: int = 0) -> Message:
    return Message(id=id_, role="user", content=content, created_at=AT + timedelta(days=day))


def record(id_: str, text: str, **fields: Any) -> MemoryRecord:
    return MemoryRecord(id=id_, text=text, last_accessed=AT, created_at=AT, updated_at=AT, **fields)


async def filled(system: SmallSystem) -> None:
    mine, yours = Scope(namespace="n", user_id="me"), Scope(namespace="n", user_id="you")
    await system.send(
        StoreMemories(memories=[record("l1", "green tea", namespace="n", user_id="me"), record("l2", "black coffee")])
    )
    await system.send(AppendMessages(session_id="s", messages=[message("m1", "green tea please", 1)]), scope=mine)
    await system.send(AppendMessages(session_id="s", messages=[message("m2", "tea")]), scope=yours)
    await system.send(AppendMessages(session_id="t", messages=[message("m3", "black coffee", 2)]), scope=mine)
    await system.send(AppendMessages(session_id="gone", messages=[message("m4", "tea")]), scope=mine)
    await system.send(DeleteWorkingMemory(session_id="gone"), scope=mine)
    await system.send(AppendMessages(session_id="s", messages=[message("m5", "tea")]), scope=Scope(tenant="other"))
    await system.catch_up()


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_what_is_said_and_what_is_known_are_found_by_one_query(both: Both, mode: str) -> None:
    await filled(both.system)
    found = await both.found(text="green tea", search_mode=mode)
    assert found[0] == ("l1", "l")
    assert found[1] == ("m1", "w")
    assert ("m2", "w") in found
    assert {id_ for id_, _ in found} <= {"l1", "l2", "m1", "m2", "m3"}
    mine = {"namespace": {"eq": "n"}, "user_id": {"eq": "me"}}
    assert {id_ for id_, _ in await both.found(text="green tea", search_mode=mode, **mine)} & {"l2", "m2", "m4", "m5"} == set()


async def test_no_search_widens_its_scope_when_it_finds_nothing(both: Both) -> None:
    await filled(both.system)
    for mode in ("semantic", "keyword", "hybrid"):
        for scope in ({"namespace": {"eq": "m"}}, {"user_id": {"eq": "they"}}, {"session_id": {"eq": "u"}}):
            assert await both.found(text="green tea", search_mode=mode, **scope) == []


async def test_a_message_is_found_as_soon_as_it_is_written_and_embedded_once(both: Both) -> None:
    await both.system.catch_up()
    await both.system.send(AppendMessages(session_id="s", messages=[message("m1", "green tea")]))
    assert await both.found(text="tea") == [("m1", "w")]
    assert await both.found(text="tea") == [("m1", "w")]
    assert both.embedder.texts.count("green tea") == 1


async def test_memories_of_a_document_are_found_in_one_place(both: Both) -> None:
    first, second = (msgspec.Raw(encode(record(id_, "green tea"))) for id_ in ("k", "j"))
    await both.system.send(
        ReplaceWorkingMemory(session_id="s", memories=[first]),
        ReplaceWorkingMemory(session_id="t", memories=[second], promote=True),
        scope=Scope(namespace="n"),
    )
    await both.system.catch_up()
    assert await both.found(text="green tea", namespace={"eq": "n"}) == [("j", "l"), ("k", "w")]


async def test_pages_of_both_neither_overlap_nor_miss_in_any_mode(both: Both) -> None:
    await both.system.send(
        StoreMemories(memories=[record(f"l{n}", f"tea {'cup ' * (n % 5)}") for n in range(20)], deduplicate=False)
    )
    messages = [message(f"m{n}", f"tea {'pot ' * (n % 4)}", n) for n in range(20)]
    await both.system.send(AppendMessages(session_id="s", messages=messages))
    await both.system.catch_up()
    everything = {f"{kind}{n}" for kind in "lm" for n in range(20)}
    for body in (
        {},
        {"text": "tea"},
        {"text": "tea", "recency_boost": True},
        {"text": "tea", "search_mode": "keyword"},
        {"text": "tea", "search_mode": "hybrid", "recency_boost": True},
    ):
        whole = [id_ for id_, _ in await both.found(**body, limit=100)]
        pages = [await both.found(**body, limit=7, offset=offset) for offset in range(0, 42, 7)]
        assert [id_ for page in pages for id_, _ in page] == whole
        assert sorted(whole) == sorted(everything)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TagFilter(eq="a"), {"a"}),
        (TagFilter(ne="a"), {"a-b", ""}),
        (TagFilter(any=["a", "x"]), {"a"}),
        (TagFilter(any=[]), set()),
        (TagFilter(not_in=["a", "x"]), {"a-b", ""}),
        (TagFilter(startswith="a"), {"a", "a-b"}),
        (TagFilter(none=True), {""}),
        (TagFilter(none=False), {"a", "a-b"}),
        (TagFilter(none=False, ne="a"), {"a-b"}),
    ],
)
async def test_sessions_are_chosen_by_every_operator(both: Both, given: TagFilter, expected: set[str]) -> None:
    for namespace in ("a", "a-b", ""):
        await both.system.send(AppendMessages(session_id="s", messages=[message("m", "x")]), scope=Scope(namespace=namespace))
    rows, total = await both.system.log.living_sessions("default", MemoryFilters(namespace=given), limit=10)
    assert ({row.scope.namespace for row in rows}, total) == (expected, len(expected))
    rows, total = await both.system.log.living_sessions("default", MemoryFilters(), limit=1)
    assert (len(rows), total) == (1, 3)
