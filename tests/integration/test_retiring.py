"""Events that a search of the timeline does not reach back to: they leave Redis, never the log."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from agent_memory.cli.reach import Servers
from agent_memory.cli.rebuild_index import rebuild
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import document_prefix
from agent_memory.eventlog.counts import CountReader
from agent_memory.indexer.checking import CheckIndexes
from agent_memory.readmodels import retiring
from agent_memory.runtime.settings import Settings
from support.small_system import ALGORITHM, SmallSystem

ME, BRACED = Scope(), Scope(namespace="a}:{b", user_id="someone: else")
BEGUN, STEP = 1_767_225_600_000, 60_000
SETTINGS = Settings(embedding_model="hash", redisvl_vector_dimensions=8)


@pytest.fixture
async def system(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    system = SmallSystem(database_url, redis_url)
    yield system
    await system.close()


def said(number: int, session: str = "s") -> TimelineEvent:
    """An event of a session that goes on over the turn of a month: number 0 is the first that is found."""
    return TimelineEvent(
        event_id=f"{session}}}:{number}",
        session_id=session,
        timestamp_ms=BEGUN + number * STEP,
        event_type="user_message",
        role="user",
        text=f"They spoke of river {number} and of bridges",
    )


async def found(system: SmallSystem) -> int:
    index = await system.redis.execute_command("FT.SEARCH", "am:index:timeline", "*", "LIMIT", 0, 0)
    start = document_prefix("timeline", 1)
    assert int(index[0]) == sum([1 async for _ in system.redis.scan_iter(match=f"{start}*")])
    return int(index[0])


async def assert_sound(system: SmallSystem) -> None:
    assert {number: one.examples for number, one in (await system.examined()).items() if not one.ok} == {}


async def reach_back_to(system: SmallSystem, since: int | None) -> int:
    """As the indexer does when it sees that the month has turned, or that its settings are others."""
    system.since = since
    assert await retiring.tell(system.redis, since)
    return await retiring.retire(system.redis, since)


async def test_what_is_older_leaves_the_index_as_if_it_had_never_been_there_and_stays_in_the_log(system: SmallSystem) -> None:
    for scope in (ME, BRACED):
        await system.send(RecordEvents(events=[said(number) for number in range(-6, 3)]), scope=scope)
    await system.send(RecordEvents(events=[said(number, "older") for number in range(-900, -300)]))
    await system.catch_up()
    assert await found(system) == 618
    assert await reach_back_to(system, BEGUN) == 612
    assert await found(system) == 6
    assert await CountReader(system.connections).events() == 618
    await assert_sound(system)  # also what documents say of the events before them
    assert await retiring.retire(system.redis, BEGUN) == 0


async def test_what_comes_late_and_is_too_old_is_recorded_but_not_indexed(system: SmallSystem) -> None:
    assert await reach_back_to(system, BEGUN) == 0
    await system.send(RecordEvents(events=[said(-1), said(0), said(1)]))
    await system.catch_up()
    assert await found(system) == 2
    assert await CountReader(system.connections).events() == 3
    await assert_sound(system)


async def test_the_check_takes_out_what_is_left_and_counts_what_should_be_there(system: SmallSystem) -> None:
    await system.send(RecordEvents(events=[said(number) for number in range(-4, 3)] + [replace(said(-9), text=" ")]))
    await system.catch_up()
    system.since = BEGUN
    rebuilt: list[str] = []

    async def built_anew() -> None:
        rebuilt.append("timeline")
        indexing = system.indexing("timeline")
        async for _ in indexing.rebuild(system.log, ALGORITHM):
            pass

    check = CheckIndexes(system.redis, CountReader(system.connections), {"timeline": built_anew}, since=lambda: system.since)
    told = await check.check(0)
    assert told == {"timeline_retired": "4", "timeline_documents": "3", "timeline_expected": "3"}
    system.since = None
    again = await check.check(0)
    assert (again["timeline_rebuilt"], again["timeline_documents"], rebuilt) == ("yes", "7", ["timeline"])
    await assert_sound(system)


async def test_an_index_built_anew_reaches_as_far_back_as_its_indexer_said(system: SmallSystem) -> None:
    await system.send(RecordEvents(events=[said(number) for number in range(-4, 3)]))
    await system.catch_up()
    where = Servers(database_url=system.database_url, redis_url=system.redis_url)

    async def documents() -> tuple[int, int]:
        done = await rebuild("timeline", where, SETTINGS, lambda _: None)
        return done.documents, done.embedded

    assert await documents() == (7, 0)
    await reach_back_to(system, BEGUN)
    assert await documents() == (3, 0)
    await assert_sound(system)
    await reach_back_to(system, None)
    assert await documents() == (7, 0)
    await assert_sound(system)
