"""Search of nodes, grips and events together: what is found, of which kind and time, in one order whose pages fit together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import get_args

import msgspec
import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import SearchMode, SearchTimeline, TimelineKind
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import index_alias
from agent_memory.readmodels.search import Match, MatchPage, TimelineSearch
from support.servers import Servers, flush, fresh_database
from support.toc_worker import EVENING, MINUTE, NOON, TEXTS, TOLD, Desk, a_desk

ME, SOMEBODY, ELSEWHERE = Scope(), Scope(user_id="somebody else"), Scope(tenant="another")
HOUR, DAY_MS = 60 * MINUTE, 24 * 60 * MINUTE
LATER = 3 * 24 * 60
"""Minutes after noon: three days later, in another week."""
MODES: tuple[SearchMode, ...] = get_args(SearchMode)
KINDS: tuple[tuple[TimelineKind, ...], ...] = ((), ("node", "grip"), ("event",))
PERIODS = {"toc:year:2026", "toc:month:2026-01", "toc:week:2026-W05", "toc:day:2026-01-30"}


@pytest.fixture(scope="module")
async def desk(servers: Servers) -> AsyncIterator[Desk]:
    """One for all: it is only read. No test of this file may empty its Redis."""
    flush(servers.redis_url)
    with fresh_database(servers) as database_url:
        async with filled(database_url, servers.redis_url) as made:
            yield made


@asynccontextmanager
async def filled(database_url: str, redis_url: str) -> AsyncIterator[Desk]:
    async with a_desk(database_url, redis_url) as made:
        await made.say(*TOLD)
        await made.say((EVENING, LATER), session="evening")
        await made.say((f"{TEXTS[0]} of somebody else", 0), session="talk", scope=SOMEBODY)
        await made.say((f"{TEXTS[0]} of another tenant", 0), session="talk", scope=ELSEWHERE)
        await made.replica().write()
        await made.assert_kept()
        yield made


def asked(
    text: str = "rehearsal", *kinds: TimelineKind, mode: SearchMode = "keyword", scope: Scope = ME, **more: int | str
) -> SearchTimeline:
    query = SearchTimeline(scope=scope, text=text, mode=mode, limit=50)
    return msgspec.structs.replace(query, **({"kinds": kinds} if kinds else {}), **more)


async def found(desk: Desk, query: SearchTimeline) -> MatchPage:
    vector = None if query.mode == "keyword" else desk.system.embedder.vectors([query.text])[0]
    return await TimelineSearch(desk.system.redis).search_all(query, vector)


async def ids(desk: Desk, query: SearchTimeline) -> set[str]:
    return {match.id for match in (await found(desk, query)).matches}


def of(kind: str, matches: list[Match]) -> list[str]:
    return [match.id for match in matches if match.kind == kind]


async def test_a_word_finds_the_events_the_grips_that_quote_them_and_the_nodes_about_them(desk: Desk) -> None:
    page = await found(desk, asked())
    segment = (await desk.path())[-1]
    quoted = {grip for bullet in segment.bullets if "rehearsal" in bullet.text for grip in bullet.grip_ids}
    assert set(of("event", page.matches)) == {"talk-1", "talk-2"}
    assert quoted
    assert set(of("grip", page.matches)) == quoted
    assert {segment.node_id, "toc:day:2026-01-30"} <= set(of("node", page.matches))
    assert page.total == len(page.matches)
    assert [match.score for match in page.matches] == sorted((match.score for match in page.matches), reverse=True)
    assert page.matches[0].score == 1.0


async def test_each_kind_alone_is_in_the_order_that_it_has_among_all(desk: Desk) -> None:
    for mode in MODES:
        everything = (await found(desk, asked("rehearsal of bookings", mode=mode))).matches
        written = (await found(desk, asked("rehearsal of bookings", "node", "grip", mode=mode))).matches
        said = (await found(desk, asked("rehearsal of bookings", "event", mode=mode))).matches
        assert [match.id for match in everything if match.kind != "event"] == [match.id for match in written]
        assert of("event", everything) == of("event", said)
        for kind in ("node", "grip"):
            alone = (await found(desk, asked("rehearsal of bookings", kind, mode=mode))).matches
            assert {match.kind for match in alone} == {kind}
            assert {match.id for match in alone} == set(of(kind, everything))


async def test_pages_neither_overlap_nor_miss(desk: Desk) -> None:
    for mode, kinds in product(MODES, KINDS):
        query = asked("a rehearsal of 37 bookings", *kinds, mode=mode)
        whole = await found(desk, query)
        pages: list[Match] = []
        offset: int | None = 0
        while offset is not None:
            page = await found(desk, msgspec.structs.replace(query, limit=3, offset=offset))
            assert page.total == whole.total
            pages += page.matches
            offset = page.next_offset
        assert pages == whole.matches
        assert len({(match.kind, match.id) for match in pages}) == len(pages) > 2


async def test_a_node_is_found_when_a_part_of_it_is_in_the_time(desk: Desk) -> None:
    ends = {"from_ms": NOON + HOUR, "to_ms": NOON + 2 * HOUR}
    assert await ids(desk, asked("rehearsal", **ends)) == PERIODS, "nothing was said then, but the day was that one"
    assert await ids(desk, asked("rehearsal", from_ms=NOON + 3 * DAY_MS - 11 * HOUR)) == {"toc:year:2026"}, "Monday, in February"
    inside = await found(desk, asked("rehearsal", from_ms=NOON + 2 * MINUTE, to_ms=NOON + 2 * MINUTE))
    segment = (await desk.path())[-1]
    assert of("event", inside.matches) == ["talk-2"], "both ends are included"
    assert segment.node_id in of("node", inside.matches)
    assert await ids(desk, asked("rehearsal", to_ms=NOON - 13 * HOUR)) == PERIODS - {"toc:day:2026-01-30"}


async def test_a_time_that_ends_before_it_begins_holds_nothing(desk: Desk) -> None:
    for mode in MODES:
        page = await found(desk, asked("rehearsal", mode=mode, from_ms=NOON + HOUR, to_ms=NOON))
        assert (page.matches, page.total, page.next_offset) == ([], 0, None)


async def test_within_a_session_its_segments_its_grips_and_its_events_are_found(desk: Desk) -> None:
    page = await found(desk, asked("quiet evening", mode="semantic", session_id="evening"))
    assert of("event", page.matches) == [f"evening-{LATER}"]
    nodes = of("node", page.matches)
    assert len(nodes) == 1
    assert nodes[0].startswith("toc:segment:")
    assert of("grip", page.matches)


async def test_nobody_finds_what_is_somebody_elses(desk: Desk) -> None:
    for mode in MODES:
        mine, theirs, others = [await found(desk, asked("bookings", mode=mode, scope=one)) for one in (ME, SOMEBODY, ELSEWHERE)]
        for page in (mine, theirs, others):
            assert {match.kind for match in page.matches} == {"node", "grip", "event"}
        assert not any(b"somebody" in match.record or b"another" in match.record for match in mine.matches)
        assert not any(b"another" in match.record for match in theirs.matches)
        assert (await found(desk, asked("bookings", mode=mode, scope=Scope(namespace="n")))).total == 0


async def test_no_text_and_no_kind_find_nothing(desk: Desk) -> None:
    for query in (asked(" "), msgspec.structs.replace(asked(), kinds=())):
        assert (await found(desk, query)).total == 0


async def test_a_missing_index_is_an_outage_and_not_an_empty_answer(desk: Desk) -> None:
    redis, alias = desk.system.redis, index_alias("contents")
    _, index, *_ = await redis.execute_command("FT.INFO", alias)
    await redis.execute_command("FT.ALIASDEL", alias)
    try:
        with pytest.raises(Unavailable):
            await found(desk, asked())
        assert (await found(desk, asked("rehearsal", "event"))).total == 2
    finally:
        await redis.execute_command("FT.ALIASADD", alias, index)
