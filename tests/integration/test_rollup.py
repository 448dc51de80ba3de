"""The table of contents in Redis: the same whatever way the events come."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import EventRecorded, NodeRevised
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import Bullet, Grip, Revision, Span
from agent_memory.readmodels import contents, due
from agent_memory.readmodels.contents import UTC_ALWAYS
from agent_memory.readmodels.contents_keeping import Keeping
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.contents_twin import ContentsTwin
from agent_memory.readmodels.digests import digest_of
from agent_memory.rollup.domain import Delays
from agent_memory.rollup.handlers import KeepContents
from support.logged import MadeUpLog

HOUR = 3_600_000
JANUARY_30 = 1_769_731_200_000
SOMEBODY = Scope(tenant="acme", namespace="n", user_id="u")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


def keeping(redis: Redis) -> KeepContents:
    return KeepContents(redis, zones=UTC_ALWAYS, delays=Delays())


def a_winter() -> MadeUpLog:
    log, choice = MadeUpLog(), random.Random(7)
    for number in range(300):
        scope = choice.choice([Scope(), SOMEBODY])
        log.said(JANUARY_30 + choice.randrange(-40 * 24 * 4, 40 * 24 * 4) * HOUR // 4, f"session-{number % 9}", scope=scope)
    return log


def revision(node_id: str = "toc:day:2026-01-30", **changed: object) -> Revision:
    known = {"level": "day", "title": "t", "start_ms": JANUARY_30, "end_ms": JANUARY_30 + 24 * HOUR - 1, "fingerprint": "f"}
    return Revision(node_id=node_id, **(known | changed))  # type: ignore[arg-type]


async def test_a_node_says_how_much_was_said_and_in_how_many_sessions(redis: Redis) -> None:
    log, toc = MadeUpLog(), TableOfContents(redis)
    log.said(JANUARY_30 + HOUR, "a")
    log.said(JANUARY_30, "b")
    log.said(JANUARY_30 + 2 * 24 * HOUR, "a")
    await keeping(redis).apply(log.envelopes)
    week = await toc.node(Scope(), "toc:week:2026-W05")
    assert week is not None
    assert (week.events, week.sessions, week.version, week.title) == (3, 2, 1, "Week 5, 2026")
    assert week.child_node_ids == ("toc:day:2026-01-30", "toc:day:2026-02-01")
    segments, more = await toc.children(Scope(), "toc:day:2026-01-30", offset=0, limit=1)
    assert ([one.session_id for one in segments], more) == (["b"], True)
    assert (segments[0].title, segments[0].parent_node_id) == ("January 30, 2026 at 00:00", "toc:day:2026-01-30")
    assert await toc.node(Scope(), segments[0].node_id.replace("toc:segment:", "toc:segment:2026-01-30:")) == segments[0]
    month = await toc.node(Scope(), "toc:month:2026:01")
    assert month is not None
    assert month.node_id == "toc:month:2026-01"
    assert [one.node_id for one in await toc.years(Scope())] == ["toc:year:2026"]


async def test_any_order_and_any_repetition_give_the_same_contents(redis: Redis) -> None:
    log, choice = a_winter(), random.Random(1)
    await keeping(redis).apply(log.envelopes)
    live = await contents.digest(redis)
    await contents.clear(redis)
    assert await contents.digest(redis) != live
    shuffled = [*log.envelopes, *choice.sample(log.envelopes, 150)]
    choice.shuffle(shuffled)
    batches = [shuffled[start : start + 17] for start in range(0, len(shuffled), 17)]

    async def replica(mine: list[list[EventEnvelope]]) -> None:
        keeper = keeping(redis)
        for batch in mine:
            await keeper.apply(batch)

    await asyncio.gather(*(replica(batches[number::3]) for number in range(3)))
    assert await contents.digest(redis) == live
    toc = TableOfContents(redis)
    years = [*await toc.years(Scope()), *await toc.years(SOMEBODY)]
    assert sum(year.events for year in years) == 300


async def test_what_is_shown_is_what_the_log_says(redis: Redis) -> None:
    log, twin = a_winter(), ContentsTwin(UTC_ALWAYS)
    log.append("toc/1", NodeRevised(revision=revision(summary="first")), Scope())
    await keeping(redis).apply(log.envelopes)
    sessions = {(one.scope, one.stream.rpartition("/")[2]) for one in log.envelopes if one.type == "EventRecorded"}
    told = [(one, event.event) for one in log.envelopes if isinstance(event := decode_event(one.type, one.data), EventRecorded)]
    for scope, session_id in sessions:
        events = [(one.version, event) for one, event in told if one.scope == scope and event.session_id == session_id]
        twin.session(scope, session_id, events)
    twin.write(contents.Written(scope=Scope(), version=1, revision=revision(summary="first")))
    assert digest_of([*twin.entries().items()]) == await contents.digest(redis)


async def test_the_contents_of_one_scope_are_not_seen_from_another(redis: Redis) -> None:
    log, toc = MadeUpLog(), TableOfContents(redis)
    log.said(JANUARY_30, scope=SOMEBODY)
    await keeping(redis).apply(log.envelopes)
    assert await toc.node(Scope(tenant="acme", namespace="n"), "toc:year:2026") is None
    assert await toc.years(Scope(tenant="acme", namespace="n/u")) == []
    assert len(await toc.years(SOMEBODY)) == 1


async def test_years_at_the_ends_of_the_calendar_are_kept_exactly(redis: Redis) -> None:
    log, toc = MadeUpLog(), TableOfContents(redis)
    log.said(MAX_TIMESTAMP_MS, "a")
    log.said(MIN_TIMESTAMP_MS, "b")
    await keeping(redis).apply(log.envelopes)
    path = [year.node_id for year in await toc.years(Scope())]
    for _ in range(4):
        path = [one for parent in path for one in (await toc.node(Scope(), parent)).child_node_ids]  # type: ignore[union-attr]
    segments = await toc.nodes(Scope(), path)
    assert [one.start_time_ms for one in segments] == [MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS]


async def test_of_what_was_written_about_a_node_the_newest_stays(redis: Redis) -> None:
    log, toc = MadeUpLog(), TableOfContents(redis)
    log.said(JANUARY_30)
    stream = node_stream(Scope(), "toc:day:2026-01-30")
    grip = Grip(
        grip_id="grip:1", session_id="s", node_id="x", excerpt="he", spans=(Span(event_id="s-1", start=0, end=2),), timestamp_ms=1
    )
    bullets = (Bullet(text="he", grip_ids=("grip:1",)),)
    for summary in ("first", "second"):
        about = revision(summary=summary, bullets=bullets, keywords={"b": 1.0, "a": 2.0}, grips=(grip,))
        log.append(stream, NodeRevised(revision=about), Scope())
    await keeping(redis).apply(log.envelopes[::-1])
    day = await toc.node(Scope(), "toc:day:2026-01-30")
    assert day is not None
    assert (day.summary, day.version, day.title, day.keywords) == ("second", 3, "January 30, 2026", ("a", "b"))
    assert await toc.grip(Scope(), "grip:1") == await toc.grip(Scope(), "grip:1769731200000:1") == grip
    assert await toc.grip(SOMEBODY, "grip:1") is None


async def test_a_change_is_noticed_while_a_node_is_seen_to(redis: Redis) -> None:
    day, segment = "toc/a/b/c/toc:day:1", "toc/a/b/c/toc:segment:2"
    await due.mark(redis, [(day, 10), (segment, 20)])
    assert await due.take(redis, 5, until_ms=100, most=9) == []
    (taken,) = await due.take(redis, 15, until_ms=100, most=9)
    assert taken[0] == day
    assert await due.take(redis, 15, until_ms=100, most=9) == []
    await due.mark(redis, [(day, 50)])
    (again,) = await due.take(redis, 60, until_ms=100, most=9)
    assert again[0] == segment, "a day that somebody holds is left to him"
    assert not await due.settle(redis, *taken, again_ms=150)
    assert await due.settle(redis, *again, again_ms=50)
    assert await due.waiting(redis) == {"segments": 0, "periods": 1}
    assert await due.hasten(redis, "periods", 40, until_ms=200) == 1
    ((name, token),) = await due.take(redis, 40, until_ms=100, most=1)
    assert (name, token != taken[1]) == (day, True)


async def test_a_change_after_a_flush_is_not_taken_for_the_one_before(redis: Redis) -> None:
    await due.mark(redis, [("toc/a/b/c/toc:day:1", 10)])
    (taken,) = await due.take(redis, 15, until_ms=100, most=9)
    await redis.flushall()
    await due.mark(redis, [("toc/a/b/c/toc:day:1", 10)])
    assert not await due.settle(redis, *taken, again_ms=50)


async def test_who_holds_a_node_keeps_it_as_long_as_he_is_heard_of(redis: Redis) -> None:
    await due.mark(redis, [("toc/a/b/c/toc:day:1", 10), ("toc/a/b/c/toc:day:2", 10)])
    (first, second) = await due.take(redis, 15, until_ms=100, most=9)
    await due.settle(redis, *second, again_ms=50)
    await due.hold(redis, [first[0], second[0]], until_ms=300)
    assert await due.hasten(redis, "periods", 1, until_ms=1_000) == 0
    assert await due.take(redis, 200, until_ms=400, most=9) == []
    assert await due.take(redis, 300, until_ms=400, most=9) == [first], "whoever does not come back is followed by another"
    await due.put_off(redis, first[0], 500)
    assert await due.hasten(redis, "periods", 1, until_ms=1_000) == 1


async def test_what_a_step_ended_is_written_about_though_who_took_it_died_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, toc = MadeUpLog(), TableOfContents(redis)
    log.said(JANUARY_30)
    log.said(JANUARY_30 + 50 * HOUR // 60)
    await keeping(redis).apply(log.envelopes)
    day = await toc.node(Scope(), "toc:day:2026-01-30")
    assert day is not None
    await redis.delete(due.AT)
    log.said(JANUARY_30 + 25 * HOUR // 60)

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(contents, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            await keeping(redis).apply(log.envelopes[2:])
    await keeping(redis).apply(log.envelopes[2:])
    expected = {*day.child_node_ids, day.node_id}
    assert await due.streams(redis) == {node_stream(Scope(), node_id) for node_id in expected}


async def test_new_events_go_to_a_generation_that_is_being_built_as_well(redis: Redis) -> None:
    log = a_winter()
    keeper = keeping(redis)
    await keeper.apply(log.envelopes[:150])
    await redis.hset(contents.GENERATIONS, mapping={"live": "1", "building": "2"})
    await keeper.apply(log.envelopes[150:])
    await Keeping(redis, UTC_ALWAYS).take(2, log.envelopes[:200])
    assert await contents.digest(redis, 2) == await contents.digest(redis, 1)
