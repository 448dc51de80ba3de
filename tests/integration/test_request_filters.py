"""Filters as clients send them, through every kind of search, mean what a plain model of their operators says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import numpy as np
import pytest
from httpx import ASGITransport, AsyncClient
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.auth.principal import Principal
from agent_memory.contracts.records import MemoryRecord
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import memory_document
from agent_memory.readmodels.search import MemorySearch
from agent_memory.readmodels.writes import apply
from agent_memory.runtime.settings import Settings

VECTOR = np.array([1, 0], "<f4").tobytes()
START = datetime(2026, 1, 31, tzinfo=UTC)
TENANTS = (f"tenant-{number}" for number in count())

TAGS = ("session_id", "namespace", "user_id", "topics", "entities", "extraction_strategy", "memory_type")
DATES = ("created_at", "last_accessed", "event_date")
TYPES = st.sampled_from(["episodic", "semantic", "message"])
VALUES = st.sampled_from(["a", "A", "a-b", "a,b", "a|b", " a", "", 'q"q', "b\\", "{x}", "é", "*", "x} | @tenant:{vother", "a b"])
# Few moments, a microsecond or a day apart, so that equal ones and neighbours meet; the first is before 1970.
MOMENTS = [
    datetime(1969, 12, 31, tzinfo=UTC),
    *(START + timedelta(days=day, microseconds=tick) for day in (0, 1) for tick in (0, 1, 2)),
]


def spelled(moment: datetime) -> st.SearchStrategy[object]:
    """A time in any of the ways that clients write it."""
    east = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    unix: list[object] = [micros / 1_000_000, repr(micros / 1_000_000)]
    if micros % 1_000_000 == 0:
        unix += [micros // 1_000_000, str(micros // 1_000_000)]
    naive = moment.replace(tzinfo=None).isoformat()
    return st.sampled_from([moment.isoformat(), moment.isoformat().replace("+00:00", "Z"), east.isoformat(), naive, *unix])


def tag_filters(values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(values, max_size=3)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("eq", "ne", "not_eq"), values),
        **dict.fromkeys(("any", "all", "in_", "not_in"), several),
        "startswith": st.sampled_from(["a", "a-", " ", "q", "v", "{", "", "é", "epi"]),
        "none": st.booleans() | st.sampled_from(["true", 0]),
    }
    return st.one_of(
        *(st.fixed_dictionaries({name: kind}) for name, kind in kinds.items()),
        st.fixed_dictionaries({}, optional={name: st.none() | kind for name, kind in kinds.items() if name != "startswith"}),
        st.fixed_dictionaries({"startswith": kinds["startswith"]}, optional={"eq": values, "field": st.just("topics")}),
    )


MOMENT = st.sampled_from(MOMENTS).flatmap(lambda moment: st.tuples(st.just(moment), spelled(moment)))
ONE_OPERATOR = st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"])
INCLUSIVE = st.sampled_from(["both", "neither", "left", "right", None])
DATE_FILTERS = st.one_of(
    st.dictionaries(ONE_OPERATOR, MOMENT, max_size=3),
    st.fixed_dictionaries({"between": st.lists(MOMENT, min_size=2, max_size=2)}, optional={"inclusive": INCLUSIVE, "lte": MOMENT}),
    st.fixed_dictionaries({"between": st.lists(MOMENT, max_size=3)}, optional={"gt": MOMENT}),
)
FILTERS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(TAGS[:6]), tag_filters(VALUES)),
        st.tuples(st.just("memory_type"), tag_filters(TYPES)),
        st.tuples(st.sampled_from(DATES), DATE_FILTERS),
    ),
    min_size=1,
    max_size=3,
).map(dict)
ABSENT_OR = st.none() | VALUES
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "session_id": ABSENT_OR,
            "namespace": ABSENT_OR,
            "user_id": ABSENT_OR,
            "topics": st.lists(VALUES, max_size=3),
            "entities": st.lists(VALUES, max_size=2),
            "memory_type": TYPES,
            "extraction_strategy": VALUES,
            "created_at": st.sampled_from(MOMENTS),
            "last_accessed": st.sampled_from(MOMENTS),
            "event_date": st.none() | st.sampled_from(MOMENTS),
        }
    ),
    max_size=6,
)


def is_right(field: str, given: dict[str, Any]) -> bool:
    """Whether a filter is one that the contract allows."""
    named = {operator for operator, operand in given.items() if operand is not None and operator not in ("field", "inclusive")}
    if field in DATES:
        return "between" not in named or (len(given["between"]) == 2 and not named & {"eq", "ne", "gt", "gte", "lt"})
    if {"eq", "ne"} <= named or {"any", "all"} <= named or given.get("any") == [] or given.get("all") == []:
        return False
    return "startswith" not in named or (given["startswith"] != "" and len(named) == 1)


def passes(field: str, given: dict[str, Any], record: dict[str, Any]) -> bool:
    """What a filter means: all of its operators hold. What is absent is equal to nothing."""
    value = record[field]
    if field in DATES:
        return all(date_holds(operator, operand, value, given.get("inclusive")) for operator, operand in given.items())
    values = value if isinstance(value, list) else [] if value is None else [value]
    return all(tag_holds(operator, operand, values) for operator, operand in given.items() if operand is not None)


def passes_all(asked: dict[str, dict[str, Any]], record: dict[str, Any]) -> bool:
    return all(passes(field, given, record) for field, given in asked.items())


def tag_holds(operator: str, operand: Any, values: list[str]) -> bool:
    match operator:
        case "eq":
            return operand in values
        case "ne" | "not_eq":
            return operand not in values
        case "any" | "in_":
            return bool(set(operand) & set(values))
        case "all":
            return set(operand) <= set(values)
        case "not_in":
            return not set(operand) & set(values)
        case "startswith":
            return any(value.startswith(operand) for value in values)
        case "none":
            return (not values) == (operand in (True, "true"))
    return True


def date_holds(operator: str, operand: Any, value: datetime | None, inclusive: str | None) -> bool:
    if operator == "inclusive":
        return True
    if value is None:
        return operator == "ne"
    if operator == "between":
        (low, _), (high, _) = operand
        after = low <= value if inclusive in (None, "both", "left") else low < value
        return after and (value <= high if inclusive in (None, "both", "right") else value < high)
    wanted = operand[0]
    return {
        "eq": value == wanted,
        "ne": value != wanted,
        "gt": value > wanted,
        "gte": value >= wanted,
        "lt": value < wanted,
        "lte": value <= wanted,
    }[operator]


def as_sent(given: dict[str, Any]) -> dict[str, Any]:
    """The filter as it goes over the wire: of each moment its spelling."""
    return {
        operator: [one[1] if isinstance(one, tuple) else one for one in operand]
        if isinstance(operand, list)
        else operand[1]
        if isinstance(operand, tuple)
        else operand
        for operator, operand in given.items()
    }


SEARCHES: list[dict[str, object]] = [
    {},
    {"text": "tea", "search_mode": "semantic"},
    {"text": "tea", "search_mode": "semantic", "recency_boost": False},
    {"text": "tea", "search_mode": "semantic", "distance_threshold": 0.5},
    {"text": "tea", "search_mode": "keyword"},
    {"text": "tea", "search_mode": "hybrid", "recency_boost": False},
    {"text": "tea", "search_mode": "hybrid", "hybrid_fusion": "rank"},
]


class Pointing(MemorySystem):
    """Every text points the same way."""

    async def embed(self, texts: Any) -> list[bytes]:
        return [VECTOR for _ in texts]


class Door:
    """The HTTP door over a real index; the tenant may be changed."""

    def __init__(self, redis: Redis) -> None:
        self.tenant = ""
        app = create_app(Settings(), **{**Pointing().ports(), "memories": MemorySearch(redis)}, authenticate=self.who)
        self.http = AsyncClient(transport=ASGITransport(app=app), base_url="http://memory")
        self.redis = redis

    async def who(self, headers: object) -> Principal:
        return Principal(tenant=self.tenant)

    async def store(self, records: list[dict[str, Any]]) -> None:
        """As another tenant has them too."""
        active = (await generations.registry(self.redis, "memory")).active
        for tenant in (self.tenant, "other"):
            made = [MemoryRecord(id=f"m{at}", text="green tea", updated_at=START, **one) for at, one in enumerate(records)]
            writes = [memory_document(one, tenant, at, VECTOR) for at, one in enumerate(made, start=1)]
            await apply(self.redis, active, writes, model="m")


@pytest.fixture
async def door(redis_url: str) -> AsyncIterator[Door]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        await generations.ensure(client, "memory", "m", 2, "FLAT")
        door = Door(client)
        async with door.http:
            yield door


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RECORDS, st.lists(FILTERS, min_size=1, max_size=3))
@example([], [{"topics": {"startswith": "a", "eq": "a"}}, {"created_at": {"between": []}}])
async def test_every_search_finds_what_the_filters_say(
    door: Door, records: list[dict[str, Any]], filters: list[dict[str, dict[str, Any]]]
) -> None:
    door.tenant = next(TENANTS)
    await door.store(records)
    for asked in filters:
        sent = {field: as_sent(given) for field, given in asked.items()}
        right = all(is_right(field, given) for field, given in asked.items())
        wanted = {f"m{at}" for at, record in enumerate(records) if right and passes_all(asked, record)}
        event("refused" if not right else "found" if wanted else "nothing")
        for search in SEARCHES:
            answer = await door.http.post("/v1/long-term-memory/search", json={**search, **sent, "limit": 100})
            assert answer.status_code == (200 if right else 422), answer.json()
            if right:
                found = answer.json()
                assert {one["id"] for one in found["memories"]} == wanted, (search, sent)
                assert found["total"] == len(wanted)
        prompt = {"query": "tea", "long_term_search": {**sent, "limit": 100}}
        answer = await door.http.post("/v1/memory/prompt", json=prompt)
        assert answer.status_code == (200 if right else 422)
        if right:
            assert {one["id"] for one in answer.json()["long_term_memories"]} == wanted


@pytest.mark.parametrize("value", ["a", "a-b", "a|b", " a", 'q"q', "{x}", "*", "x} | @tenant:{vother", "é", "a b", "%", "\\"])
async def test_forgetting_looks_at_the_owner_alone_whatever_he_is_called(door: Door, value: str) -> None:
    door.tenant = next(TENANTS)
    plain: dict[str, Any] = {
        "created_at": MOMENTS[0],
        "last_accessed": MOMENTS[0],
        "namespace": "n",
        "user_id": "u",
        "session_id": "s",
    }
    await door.store([{**plain, field: value} for field in ("namespace", "user_id", "session_id")] + [plain])
    for at, field in enumerate(("namespace", "user_id", "session_id")):
        path = "/v1/long-term-memory/forget"
        answer = await door.http.post(path, params={field: value}, json={"policy": {"max_age_days": 1}})
        assert answer.json() == {"scanned": 1, "deleted": 1, "deleted_ids": [f"m{at}"], "dry_run": True}


@pytest.mark.parametrize("scorer", ["BM25STD", "BM25", "TFIDF", "TFIDF.DOCNORM", "DISMAX", "BM25STD.NORM"])
async def test_every_scorer_is_understood(door: Door, scorer: str) -> None:
    door.tenant = next(TENANTS)
    await door.store([{"created_at": START, "last_accessed": START}])
    for mode in ("keyword", "hybrid"):
        body = {"text": "tea", "search_mode": mode, "text_scorer": scorer}
        found = (await door.http.post("/v1/long-term-memory/search", json=body)).json()
        assert [(one["id"], one["score"]) for one in found["memories"]] == [("m0", 1.0)]
    answer = await door.http.post("/v1/long-term-memory/search", json={"text": "x", "text_scorer": "GUESS"})
    assert answer.json()["detail"][0]["loc"] == ["body", "text_scorer"]
