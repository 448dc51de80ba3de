"""Filters on the real index mean what the plain predicate says, whatever characters values hold."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.contracts.queries import DateFilter, MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import memory_document
from agent_memory.readmodels.filters import matches
from agent_memory.readmodels.search import MemorySearch
from agent_memory.readmodels.writes import apply

VECTOR = np.array([1, 0], "<f4").tobytes()
START = datetime(2026, 1, 31, tzinfo=UTC)
TENANTS = (f"tenant {number}" for number in count())

NASTY = (
    "a",
    "A",
    "a-b",
    "a,b",
    "a|b",
    " a",
    "a ",
    "",
    'q"q',
    "b\\",
    "{x}",
    "é",
    "🎉",
    "*",
    "x} | @tenant:{vother",
    "\x1f",
    "a_b",
)
VALUES = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
SEVERAL = st.lists(VALUES, min_size=1, max_size=3)
# Few moments, a microsecond or a day apart, so that equal ones and neighbours meet; the first is before 1970.
MOMENTS = st.sampled_from(
    [datetime(1969, 12, 31, tzinfo=UTC), *(START + timedelta(days=day, microseconds=tick) for day in (0, 1) for tick in (0, 1, 2))]
)


def given_or_none(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


TAGS = st.builds(
    TagFilter,
    eq=given_or_none(VALUES),
    ne=given_or_none(VALUES),
    any=given_or_none(SEVERAL),
    all=given_or_none(SEVERAL),
    not_in=given_or_none(SEVERAL),
    startswith=given_or_none(VALUES),
    none=given_or_none(st.booleans()),
)
# One operator alone finds something more often than seven at once.
ONE_TAG = st.one_of(
    st.builds(TagFilter, eq=VALUES),
    st.builds(TagFilter, ne=VALUES),
    st.builds(TagFilter, any=SEVERAL),
    st.builds(TagFilter, all=SEVERAL),
    st.builds(TagFilter, not_in=SEVERAL),
    st.builds(TagFilter, startswith=VALUES),
    st.builds(TagFilter, none=st.booleans()),
    TAGS,
)
DATES = st.builds(
    DateFilter,
    eq=given_or_none(MOMENTS),
    ne=given_or_none(MOMENTS),
    gt=given_or_none(MOMENTS),
    gte=given_or_none(MOMENTS),
    lt=given_or_none(MOMENTS),
    lte=given_or_none(MOMENTS),
    between=given_or_none(st.tuples(MOMENTS, MOMENTS)),
    inclusive=st.sampled_from(["both", "neither", "left", "right"]),
)
ONE_DATE = st.one_of(
    st.builds(DateFilter, ne=MOMENTS),
    st.builds(DateFilter, gte=MOMENTS, lt=MOMENTS),
    st.builds(DateFilter, between=st.tuples(MOMENTS, MOMENTS), inclusive=st.sampled_from(["both", "neither", "left", "right"])),
    DATES,
)
FILTERS = st.one_of(
    *(st.builds(MemoryFilters, **{name: ONE_TAG}) for name in ("session_id", "namespace", "user_id", "topics", "entities")),
    *(st.builds(MemoryFilters, **{name: ONE_DATE}) for name in ("created_at", "last_accessed", "event_date")),
    st.builds(
        MemoryFilters,
        topics=given_or_none(ONE_TAG),
        namespace=given_or_none(ONE_TAG),
        memory_type=given_or_none(st.builds(TagFilter, any=st.just(["episodic", "message"]))),
        extraction_strategy=given_or_none(ONE_TAG),
        event_date=given_or_none(ONE_DATE),
    ),
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "session_id": given_or_none(VALUES),
            "namespace": given_or_none(VALUES),
            "user_id": given_or_none(VALUES),
            "topics": st.lists(VALUES, max_size=3),
            "entities": st.lists(VALUES, max_size=2),
            "memory_type": st.sampled_from(["episodic", "semantic", "message"]),
            "extraction_strategy": VALUES,
            "created_at": MOMENTS,
            "last_accessed": MOMENTS,
            "event_date": given_or_none(MOMENTS),
        }
    ),
    max_size=8,
)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        await generations.ensure(client, "memory", "m", 2, "FLAT")
        yield client


def record(number: int, fields: dict) -> MemoryRecord:
    plain = MemoryRecord(id=f"m{number}", text="x", last_accessed=START, created_at=START, updated_at=START)
    return msgspec.structs.replace(plain, **fields)


async def stored(redis: Redis, tenant: str, records: list[MemoryRecord]) -> None:
    active = (await generations.registry(redis, "memory")).active
    writes = [memory_document(one, tenant, at, VECTOR) for at, one in enumerate(records, start=1)]
    await apply(redis, active, writes, model="m")


async def found(redis: Redis, tenant: str, filters: MemoryFilters) -> set[str]:
    page = await MemorySearch(redis).search(SearchMemories(tenant=tenant, filters=filters, limit=100), None)
    assert page.total == len(page.hits)
    return {hit.id for hit in page.hits}


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RECORDS, st.lists(FILTERS, min_size=1, max_size=5))
@example([{"topics": ["a b", "a"]}, {"topics": []}], [MemoryFilters(topics=TagFilter(all=["a b", "a"], ne="c"))])
async def test_the_index_finds_what_the_predicate_accepts(redis: Redis, fields: list[dict], filters: list[MemoryFilters]) -> None:
    tenant = next(TENANTS)
    records = [record(number, one) for number, one in enumerate(fields)]
    await stored(redis, tenant, records)
    for one in filters:
        assert await found(redis, tenant, one) == {each.id for each in records if matches(one, each)}


@pytest.mark.parametrize("value", [*NASTY, "x" * 3000, "@", "$vector", "-", "(", ")", "'", "%", "\n", "w'*'", "vector", "v_"])
async def test_a_value_finds_itself_and_nothing_of_another_tenant(redis: Redis, value: str) -> None:
    another = f"{value}!"
    records = [record(1, {"topics": [value, "other"], "namespace": value}), record(2, {"topics": ["other"]})]
    await stored(redis, "mine", records)
    await stored(redis, another, records)
    for one in (TagFilter(eq=value), TagFilter(any=[value, "?"]), TagFilter(all=[value]), TagFilter(startswith=value or "\0")):
        if one.startswith != "\0":
            assert await found(redis, "mine", MemoryFilters(topics=one, namespace=TagFilter(eq=value))) == {"m1"}
    assert await found(redis, "mine", MemoryFilters(topics=TagFilter(ne=value))) == {"m2"}
    assert await found(redis, another, MemoryFilters()) == {"m1", "m2"}
    assert await found(redis, "nobody", MemoryFilters(topics=TagFilter(eq=value))) == set()


async def test_a_prefix_finds_more_than_two_hundred_values(redis: Redis) -> None:
    await redis.execute_command("FT.CONFIG", "SET", "MAXPREFIXEXPANSIONS", 200)
    await stored(redis, "t", [record(number, {"session_id": f"s-{number}"}) for number in range(600)])
    filters = MemoryFilters(session_id=TagFilter(startswith="s"))
    page = await MemorySearch(redis).search(SearchMemories(tenant="t", filters=filters), None)
    assert page.total == 600
