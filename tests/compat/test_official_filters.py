"""Every operator of every filter class of the official client finds exactly what it says, however it is sent."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from agent_memory_client import MemoryAPIClient, filters
from agent_memory_client.filters import (
    BaseFilter,
    CreatedAt,
    Entities,
    EventDate,
    LastAccessed,
    MemoryType,
    Namespace,
    SessionId,
    Topics,
    UserId,
)
from agent_memory_client.models import ClientMemoryRecord, RecencyConfig

from support.official import official_client

RUN = token_hex(6)
HERE, THERE = f"compat-{RUN}-here", f"compat-{RUN}, there|'{{x}}"
DAY = timedelta(days=1)
SPRING, SUMMER, AUTUMN = (datetime(2025, month, 1, 12, 0, 0, 123_456, tzinfo=UTC) for month in (4, 7, 10))
NASTY = 'a-b, c|d "e" {f} @g:* (h) \\i ünï'
COMMALESS = NASTY.replace(",", "")

MEMORIES: dict[str, dict[str, Any]] = {
    "tea": {
        "namespace": HERE,
        "session_id": "s-1",
        "user_id": f"{RUN}-ana",
        "topics": ["drinks", "home"],
        "entities": ["Ana"],
        "memory_type": "semantic",
        "created_at": SPRING,
        "last_accessed": SUMMER,
        "event_date": SPRING,
    },
    "ferry": {
        "namespace": HERE,
        "session_id": "s-2",
        "user_id": f"{RUN}-bo",
        "topics": ["home", COMMALESS],
        "entities": ["Ana", "Bo-Bo"],
        "memory_type": "episodic",
        "created_at": SUMMER,
        "last_accessed": AUTUMN,
        "event_date": SUMMER,
    },
    "rain": {
        "namespace": THERE,
        "session_id": NASTY,
        "user_id": f"{RUN}-ana",
        "topics": ["weather"],
        "entities": ["Bo-Bo"],
        "memory_type": "message",
        "created_at": AUTUMN,
        "last_accessed": AUTUMN,
        "event_date": AUTUMN,
    },
    "nothing": {"namespace": HERE, "memory_type": "semantic", "created_at": SUMMER, "last_accessed": SUMMER},
}
"""By text. The last one has nothing that it need not have."""

TAGS: dict[str, tuple[Any, set[str]]] = {
    "eq": ("s-1", {"tea"}),
    "in_": (["s-1", NASTY], {"tea", "rain"}),
    "not_eq": ("s-1", {"ferry", "rain", "nothing"}),
    "not_in": (["s-1", NASTY], {"ferry", "nothing"}),
}
CASES: dict[tuple[type[BaseFilter], str], tuple[Any, set[str]]] = {
    **{(SessionId, operator): case for operator, case in TAGS.items()},
    (Namespace, "eq"): (THERE, {"rain"}),
    (Namespace, "in_"): ([HERE, THERE], {"tea", "ferry", "rain", "nothing"}),
    (Namespace, "not_eq"): (HERE, {"rain"}),
    (Namespace, "not_in"): ([THERE, "elsewhere"], {"tea", "ferry", "nothing"}),
    (UserId, "eq"): (f"{RUN}-bo", {"ferry"}),
    (UserId, "in_"): ([f"{RUN}-bo", f"{RUN}-ana"], {"tea", "ferry", "rain"}),
    (UserId, "not_eq"): (f"{RUN}-bo", {"tea", "rain", "nothing"}),
    (UserId, "not_in"): ([f"{RUN}-ana", "cy"], {"ferry", "nothing"}),
    (Topics, "any"): (["drinks", COMMALESS], {"tea", "ferry"}),
    (Topics, "all"): (["home", "drinks"], {"tea"}),
    (Topics, "none"): (["home", "snow"], {"rain", "nothing"}),
    (Entities, "any"): (["Bo-Bo"], {"ferry", "rain"}),
    (Entities, "all"): (["Ana", "Bo-Bo"], {"ferry"}),
    (Entities, "none"): (["Ana"], {"rain", "nothing"}),
    (CreatedAt, "gte"): (SUMMER, {"ferry", "rain", "nothing"}),
    (CreatedAt, "lte"): (SUMMER - timedelta(microseconds=1), {"tea"}),
    (CreatedAt, "eq"): (AUTUMN, {"rain"}),
    (LastAccessed, "gte"): (SUMMER + DAY, {"ferry", "rain"}),
    (LastAccessed, "lte"): (SUMMER, {"tea", "nothing"}),
    (LastAccessed, "eq"): (SUMMER, {"tea", "nothing"}),
    (EventDate, "gte"): (SUMMER, {"ferry", "rain"}),
    (EventDate, "lte"): (SUMMER, {"tea", "ferry"}),
    (EventDate, "eq"): (SPRING, {"tea"}),
    (MemoryType, "eq"): ("semantic", {"tea", "nothing"}),
    (MemoryType, "in_"): (["episodic", "message"], {"ferry", "rain"}),
    (MemoryType, "not_eq"): ("semantic", {"ferry", "rain"}),
    (MemoryType, "not_in"): (["semantic", "message"], {"ferry"}),
}
ALL = set(MEMORIES)
ARGUMENTS: dict[type[BaseFilter], str] = {
    SessionId: "session_id",
    Namespace: "namespace",
    UserId: "user_id",
    Topics: "topics",
    Entities: "entities",
    CreatedAt: "created_at",
    LastAccessed: "last_accessed",
    EventDate: "event_date",
    MemoryType: "memory_type",
}
SCOPE = {"in_": [HERE, THERE]}
AS_IT_IS = RecencyConfig(recency_boost=False)


@pytest.fixture(scope="module")
async def client(gateway_url: str) -> AsyncIterator[MemoryAPIClient]:
    """A client that has stored the memories; nothing in this file changes them."""
    async with official_client(gateway_url) as made:
        records = [ClientMemoryRecord(id=f"{RUN}-{text}", text=text, **fields) for text, fields in MEMORIES.items()]
        await made.create_long_term_memory(records)
        yield made


def case_names(case: tuple[type[BaseFilter], str]) -> str:
    return f"{case[0].__name__}-{case[1]}"


def scoped(given: dict[str, Any]) -> dict[str, Any]:
    """The filters, held to the memories of this file: by their namespaces or, where those are asked for, by their times."""
    times = {"gte": SPRING.isoformat(), "lte": AUTUMN.isoformat()}
    return {"created_at": times, **given} if "namespace" in given else {"namespace": SCOPE, **given}


def told(found: list[Any]) -> list[str]:
    """The texts of records or of their JSON, sorted."""
    return sorted(one["text"] if isinstance(one, dict) else one.text for one in found)


def test_every_operator_of_every_filter_class_has_a_case() -> None:
    classes = [kind for _, kind in inspect.getmembers(filters, inspect.isclass) if issubclass(kind, BaseFilter)]
    operators = {(kind, operator) for kind in classes for operator in kind.model_fields}
    assert operators == set(CASES)
    assert set(ARGUMENTS) == {kind for kind, _ in operators}


def sent_as_objects(kind: type[BaseFilter], operator: str, value: object) -> object:
    return kind(**{operator: value})


def sent_as_dicts(kind: type[BaseFilter], operator: str, value: object) -> object:
    return {operator: value}


@pytest.mark.parametrize("sent", [sent_as_objects, sent_as_dicts])
@pytest.mark.parametrize("case", [case for case in CASES if case[0] is not EventDate], ids=case_names)
async def test_an_operator_finds_what_it_says(
    client: MemoryAPIClient, case: tuple[type[BaseFilter], str], sent: Callable[..., Any]
) -> None:
    value, expected = CASES[case]
    given = scoped({ARGUMENTS[case[0]]: sent(*case, value)})
    listed, near = await asyncio.gather(
        client.search_long_term_memory("", limit=100, **given),
        client.search_long_term_memory("tea", limit=100, recency=AS_IT_IS, **given),
    )
    met = [one async for one in client.search_all_long_term_memories("", batch_size=2, **given)]

    assert told(listed.memories) == told(near.memories) == told(met) == sorted(expected)
    assert listed.total == len(listed.memories)


@pytest.mark.parametrize("case", CASES, ids=case_names)
async def test_an_operator_means_the_same_for_a_prompt_in_every_mode(
    client: MemoryAPIClient, case: tuple[type[BaseFilter], str]
) -> None:
    value, expected = CASES[case]
    given = scoped({ARGUMENTS[case[0]]: case[0](**{case[1]: value}).model_dump(mode="json", exclude_none=True)})
    search = {"limit": 100, "recency_boost": False, **given}
    words = " ".join(MEMORIES)
    prompts = await asyncio.gather(
        client.memory_prompt("tea", long_term_search=search),
        client.memory_prompt(words, long_term_search={**search, "search_mode": "keyword"}),
        client.memory_prompt(words, long_term_search={**search, "search_mode": "hybrid"}),
    )
    for prompt in prompts:
        assert told(prompt["long_term_memories"]) == sorted(expected)


@pytest.mark.parametrize("kind", [kind for kind in ARGUMENTS if kind is not EventDate], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("nothing", ["an empty object", "a dict whose operator the client does not know"])
async def test_a_filter_that_says_nothing_filters_nothing(client: MemoryAPIClient, kind: type[BaseFilter], nothing: str) -> None:
    """The client drops operators that it does not know, and sends `{}`."""
    empty: Any = kind() if nothing == "an empty object" or kind is UserId else {"sounds_like": "x"}
    given = {"namespace": SCOPE, ARGUMENTS[kind]: empty}
    if kind is Namespace:
        given["user_id"] = UserId(eq=f"{RUN}-ana")
    found = await client.search_long_term_memory("", limit=100, **given)
    assert told(found.memories) == (["rain", "tea"] if kind is Namespace else sorted(ALL))


async def test_operators_of_one_filter_and_filters_of_several_fields_all_hold(client: MemoryAPIClient) -> None:
    found = await client.search_long_term_memory(
        "",
        namespace=Namespace(in_=[HERE, THERE], not_eq=THERE),
        user_id=UserId(not_in=["cy"], in_=[f"{RUN}-ana", f"{RUN}-bo"]),
        topics=Topics(any=["home", "weather"], none=["drinks"]),
        entities=Entities(all=["Ana"]),
        created_at=CreatedAt(gte=SPRING, lte=SUMMER),
        last_accessed=LastAccessed(gte=SUMMER),
        memory_type=MemoryType(not_eq="message"),
        session_id=SessionId(not_eq="s-1"),
    )
    assert [one.text for one in found.memories] == ["ferry"]


async def test_a_user_id_dict_is_sent_as_it_is(client: MemoryAPIClient) -> None:
    found = await client.search_long_term_memory(
        "",
        namespace=SCOPE,
        user_id={
            "startswith": f"{RUN}-a",
        },
    )
    other = await client.search_long_term_memory("", namespace=SCOPE, user_id={"ne": f"{RUN}-ana"})
    assert (told(found.memories), told(other.memories)) == (["rain", "tea"], ["ferry", "nothing"])


async def test_times_may_come_without_a_zone(client: MemoryAPIClient) -> None:
    found = await client.search_long_term_memory("", namespace=SCOPE, created_at=CreatedAt(lte=SPRING.replace(tzinfo=None)))
    assert told(found.memories) == ["tea"]


@pytest.mark.parametrize(
    "attempt",
    ["*", "x} | @tenant:{other", "-@tenant:{default}", "') OR 1=1 --", "\\", "", "a|b", "{}", "s-*", "ismissing(@session_id)"],
)
async def test_a_value_is_never_more_than_a_value(client: MemoryAPIClient, attempt: str) -> None:
    found = await client.search_long_term_memory("", namespace=SCOPE, session_id=SessionId(in_=[attempt, "s-1"]))
    tagged = await client.search_long_term_memory("", namespace=SCOPE, topics=Topics(any=[attempt]))
    assert (told(found.memories), told(tagged.memories)) == (["tea"], [])
