"""What a search document says of the events before it: right whatever the order of arrival, and the same after a rebuild."""

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.queries import SearchTimeline
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import document_key, turns_prefix
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Delete, Upsert
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.projecting import Wanted, in_session
from agent_memory.readmodels.search import TimelineSearch
from agent_memory.readmodels.writes import apply
from support.small_system import SmallSystem

VECTOR = b"\0\0\x80?\0\0\0\0"
SCOPE = Scope(tenant="t", user_id="ann")
TEXTS = ["Where is the tea?", "In the kitchen", "?!", "über " * 150, "Thanks", "记忆 " * 90, "tea " * 400]


def said(number: int, at: int, session: str = "s") -> Wanted:
    text = TEXTS[number % len(TEXTS)]
    event = TimelineEvent(event_id=f"e{number}", session_id=session, timestamp_ms=at, text=text)
    return Wanted(text=text, scope=SCOPE, version=number + 1, event=event)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def live(redis: Redis) -> Generation:
    return await generations.ensure(redis, "timeline", "m", 2, "FLAT")


async def shown(redis: Redis, generation: Generation, events: Sequence[Wanted]) -> dict[str, dict[bytes, bytes]]:
    found: dict[str, dict[bytes, bytes]] = {}
    for one in events:
        assert one.event is not None
        found[one.event.event_id] = await redis.hgetall(document_key("timeline", generation.number, SCOPE.path, one.event.event_id))
    return found


def expected(events: Sequence[Wanted]) -> dict[str, dict[bytes, bytes]]:
    documents = [one.document(VECTOR) for one in in_session(events)]
    return {
        one.id: {
            name.encode(): value if isinstance(value, bytes) else str(value).encode()
            for name, value in {**one.fields, "version": one.version}.items()
        }
        for one in documents
    }


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.integers(-2, 4), min_size=1, max_size=9), st.randoms(), st.booleans())
async def test_any_order_of_arrival_gives_what_the_order_of_time_says(
    redis: Redis, live: Generation, times: list[int], random: object, twice: bool
) -> None:
    events = [said(number, at) for number, at in enumerate(times)]
    arriving = events * (2 if twice else 1)
    random.shuffle(arriving)  # type: ignore[attr-defined]
    for one in arriving:
        await apply(redis, [live], [one.document(VECTOR)], model="m")
    assert await shown(redis, live, events) == expected(events)
    await redis.delete(*await redis.keys("am:doc:*"), *await redis.keys("am:turns:*"))


async def test_sessions_do_not_mix(redis: Redis, live: Generation) -> None:
    one, other = [said(number, number, "one") for number in (0, 2, 4)], [said(number, number, "other") for number in (1, 3)]
    await apply(redis, [live], [each.document(VECTOR) for each in (*one, *other)], model="m")
    assert await shown(redis, live, one) == expected(one)
    assert await shown(redis, live, other) == expected(other)


async def test_nothing_of_an_event_that_was_removed_stays_with_those_after_it(redis: Redis, live: Generation) -> None:
    events = [said(number, number) for number in range(5)]
    await apply(redis, [live], [one.document(VECTOR) for one in events], model="m")
    for gone in (2, 0, 4):
        removed = Delete(kind="timeline", scope_path=SCOPE.path, id=f"e{gone}", version=50)
        assert (await apply(redis, [live], [removed], model="m")).changed == 1
        assert (await apply(redis, [live], [removed, events[gone].document(VECTOR)], model="m")).changed == 0
        events = [one for one in events if one.event and one.event.event_id != f"e{gone}"] + [
            one for one in events if one.event and one.event.event_id == f"e{gone}"
        ]
        there = [one for one in events if (await shown(redis, live, [one]))[one.event.event_id]]  # type: ignore[union-attr]
        assert await shown(redis, live, there) == expected(there)
        events = sorted(events, key=lambda one: one.version)


async def test_each_generation_keeps_an_order_of_its_own_and_takes_it_along(redis: Redis, live: Generation) -> None:
    events = [said(number, number) for number in range(3)]
    await apply(redis, [live], [events[0].document(VECTOR)], model="m")
    building = await generations.begin_build(redis, "timeline", "m", 2, "FLAT")
    await apply(redis, [live, building], [one.document(VECTOR) for one in events[1:]], model="m")
    assert await shown(redis, building, events[1:]) == expected(events[1:])
    await apply(redis, [building], [events[0].document(VECTOR)], model="m")
    assert await shown(redis, building, events) == await shown(redis, live, events) == expected(events)
    await generations.swap(redis, building)
    await generations.drop_old(redis, "timeline")
    assert await redis.keys(turns_prefix("timeline", live.number) + "*") == []
    assert len(await redis.keys(turns_prefix("timeline", building.number) + "*")) == 1


async def test_a_back_dated_event_is_told_to_those_after_it_and_doctor_agrees(database_url: str, redis_url: str) -> None:
    system = SmallSystem(database_url, redis_url)
    for number, at in enumerate((5, 1, 3, 3, 2)):
        event = TimelineEvent(event_id=f"e{number}", session_id="s", timestamp_ms=at, text=f"about {number}")
        await system.send(RecordEvents(events=[event]))
        await system.catch_up()
    found = await system.examined()
    assert {number: result.examples for number, result in found.items()} == {number: [] for number in range(1, 9)}
    live = (await generations.registry(system.redis, "timeline")).live
    assert live is not None
    before = await generations.digest(system.redis, live)
    async for _ in system.indexing("timeline").rebuild(system.log, "FLAT"):
        pass
    rebuilt = (await generations.registry(system.redis, "timeline")).live
    assert rebuilt is not None
    assert (rebuilt.number, await generations.digest(system.redis, rebuilt)) == (2, before)
    await system.redis.hset(document_key("timeline", 2, Scope().path, "e0"), "before", "_nothing")
    assert "e0" in str((await system.examined())[4].examples)
    await system.close()


def angled(number: int, text: str, session: str = "s") -> Upsert:
    event = TimelineEvent(event_id=f"e{number:03}", session_id=session, timestamp_ms=number, text=text)
    return Wanted(text=text, scope=SCOPE, version=number + 1, event=event).document(VECTOR)


async def found_by(redis: Redis, text: str, mode: str = "hybrid", limit: int = 100) -> list[str]:
    query = SearchTimeline(scope=SCOPE, text=text, mode=mode, limit=limit)  # type: ignore[arg-type]
    return [hit.id for hit in (await TimelineSearch(redis).search(query, VECTOR)).hits]


async def test_an_answer_is_found_by_the_words_of_its_question(redis: Redis, live: Generation) -> None:
    talk = ["Good morning", "Which painters do you admire?", "Kahlo, since always", "Nice weather", "Quite", "Indeed"]
    await apply(redis, [live], [angled(number, text) for number, text in enumerate(talk)], model="m")
    assert (await found_by(redis, "painter admired"))[:2] == ["e001", "e002"]
    assert await found_by(redis, "painter admired", "keyword") == ["e001"]
    assert await found_by(redis, '"which painter"', "keyword") == []
    assert await found_by(redis, '"painters do"', "keyword") == ["e001"]
    assert await found_by(redis, "the", "keyword") == []


async def test_pages_of_a_conversation_neither_overlap_nor_miss(redis: Redis, live: Generation) -> None:
    talk = [angled(number, "tea " * (number % 3) + "and cake", f"s{number // 40}") for number in range(270)]
    await apply(redis, [live], talk, model="m")
    search, query = TimelineSearch(redis), SearchTimeline(scope=SCOPE, text="tea cake", limit=37)
    found: list[str] = []
    for offset in range(0, 270, 37):
        page = await search.search(msgspec.structs.replace(query, offset=offset), VECTOR)
        found += [hit.id for hit in page.hits]
        assert page.total == 270
    assert sorted(found) == [f"e{number:03}" for number in range(270)]


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_sessions_are_found_with_their_best_events(redis: Redis, live: Generation, mode: str) -> None:
    talk = {"about": ["my garden", "roses in the garden", "garden gnomes"], "chance": ["a garden", "the train", "late again"]}
    pairs = [(session, text) for session, texts in talk.items() for text in texts]
    await apply(redis, [live], [angled(number, text, session) for number, (session, text) in enumerate(pairs)], model="m")
    query = SearchTimeline(scope=SCOPE, text="garden", mode=mode, limit=1, group_by="session")  # type: ignore[arg-type]
    first = await TimelineSearch(redis).search_sessions(query, VECTOR)
    second = await TimelineSearch(redis).search_sessions(msgspec.structs.replace(query, offset=1), VECTOR)
    assert (first.total, first.next_offset, second.next_offset) == (2, 1, None)
    found = [msgspec.json.decode(page.groups[0].hits[0].record)["session_id"] for page in (first, second)]
    assert sorted(found) == ["about", "chance"]
    assert mode == "semantic" or found == ["about", "chance"]
    assert mode == "semantic" or (first.groups[0].score, len(first.groups[0].hits)) == (1.0, 3)
    assert (await TimelineSearch(redis).search_sessions(msgspec.structs.replace(query, text=" "), None)).groups == []
    elsewhere = msgspec.structs.replace(query, scope=Scope(tenant="t", user_id="bob"))
    assert (await TimelineSearch(redis).search_sessions(elsewhere, VECTOR)).groups == []
