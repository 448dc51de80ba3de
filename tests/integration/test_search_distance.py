"""How far a search goes that is bounded by distance: as far as every document says, not as far as a walk through a graph came."""

import random
from datetime import UTC, datetime

import msgspec
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.queries import MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels import generations, statements
from agent_memory.readmodels.documents import memory_document
from agent_memory.readmodels.search import MemorySearch
from agent_memory.readmodels.writes import apply
from agent_memory.runtime.embed_hash import HashEmbedder

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = """
the harbour at night|invoices of last year|the harbour|a mill|tea|milk|rain|nothing|Ana has a boat|a mill on the hill|x|a|b|c
the harbour of Porto|old|new|middle|older|the ferry is late|the ferry is blue|the mill is closed|Ana moved to Lisbon|first|second
said twice|kept twice|nameless|Ana likes tea|Ana likes coffee|notes|fact number 0|fact number 1|fact number 2|fact number 3|0-0|0-1
"""
KNOWN = TEXTS.strip().replace("\n", "|").split("|")
"""Texts that share words or nothing at all: a graph of them has islands."""


@pytest.mark.parametrize("exact_up_to", [statements.EXACT_UP_TO, 20], ids=["compared", "counted by the graph"])
async def test_a_document_that_is_there_is_within_any_distance_of_itself(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    monkeypatch.setattr(statements, "EXACT_UP_TO", exact_up_to)
    embedder = HashEmbedder(384)
    vectors = dict(zip(KNOWN, await embedder.embed(KNOWN), strict=True))
    chance = random.Random(0)
    many = [text for text in KNOWN for _ in range(chance.choice([1, 2, 4, 8, 30]))]
    chance.shuffle(many)
    records = [
        MemoryRecord(id=f"{at}", text=text, namespace=f"{at}", last_accessed=NOW, created_at=NOW, updated_at=NOW)
        for at, text in enumerate(many)
    ]
    async with Redis.from_url(redis_url, protocol=2) as redis:
        live = await generations.ensure(redis, "memory", "m", 384, "HNSW")
        documents = [memory_document(one, "t", at, vectors[one.text]) for at, one in enumerate(records, start=1)]
        await apply(redis, [live], documents, model="m")
        search = MemorySearch(redis)
        for one in records:
            alone = SearchMemories(tenant="t", text="x", filters=MemoryFilters(namespace=TagFilter(eq=one.id)))
            near = await search.search(msgspec.structs.replace(alone, distance_threshold=0.01), vectors[one.text])
            assert ([hit.id for hit in near.hits], near.total, near.next_offset) == ([one.id], 1, None)
        everywhere = SearchMemories(tenant="t", text="x", distance_threshold=0.01, limit=3)
        for text, vector in vectors.items():
            page = await search.search(everywhere, vector)
            assert len(page.hits) == min(3, many.count(text))
            assert page.total == many.count(text) or (exact_up_to == 20 and page.total >= len(page.hits))
