"""The table of contents anew from the log: the same, without a failed read, whatever happens meanwhile."""

from collections.abc import AsyncIterator, Sequence
from datetime import date

import pytest
from redis.asyncio import Redis

from agent_memory.cli.invariants.system import opened
from agent_memory.cli.reach import Servers
from agent_memory.cli.rebuild_toc import rebuilt
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import NodeRevised
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import Revision
from agent_memory.readmodels import contents, contents_rebuild, due
from agent_memory.readmodels.contents import UTC_ALWAYS, zones_held, zones_of
from agent_memory.readmodels.contents_keeping import Keeping
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.contents_rebuild import compare, rebuild, replay
from agent_memory.rollup.app import agree_on_zones, say
from agent_memory.rollup.domain import Delays
from agent_memory.rollup.handlers import KeepContents
from support.controls import wait_until
from support.logged import MadeUpLog
from support.small_system import SmallSystem

HOUR = 3_600_000
JANUARY_30 = 1_769_731_200_000


class Log:
    """A made-up log, read as the real one is."""

    def __init__(self, made_up: MadeUpLog) -> None:
        self.made_up = made_up

    async def head(self) -> int:
        return len(self.made_up.envelopes)

    async def after(
        self, position: int, *, up_to: int | None = None, limit: int = 500, types: Sequence[str] | None = None
    ) -> list[EventEnvelope]:
        return [one for one in self.made_up.envelopes if position < one.position <= (up_to or 2**62)][:limit]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def log() -> Log:
    made_up = MadeUpLog()
    for number in range(120):
        made_up.said(JANUARY_30 + number * HOUR // 2, f"session-{number % 5}")
    about = Revision(node_id="toc:day:2026-01-30", level="day", title="t", summary="tea", start_ms=0, end_ms=1, fingerprint="f")
    made_up.append(node_stream(Scope(), about.node_id), NodeRevised(revision=about), Scope())
    return Log(made_up)


async def test_a_rebuild_gives_what_was_there_and_readers_notice_nothing(redis: Redis, log: Log) -> None:
    await Keeping(redis, UTC_ALWAYS).take(1, log.made_up.envelopes)
    before, toc = await contents.digest(redis), TableOfContents(redis)
    seen = [(await toc.node(Scope(), "toc:day:2026-01-30")) async for _ in rebuild(redis, log, UTC_ALWAYS)]
    assert [day.summary for day in seen if day is not None] == ["tea"] * len(seen)
    assert (await contents.generations(redis)).all == (2,)
    assert await contents.digest(redis) == before
    assert [entry async for entry in contents.entries(redis, 1)] == []


async def test_what_is_said_during_a_rebuild_is_in_both(redis: Redis, log: Log) -> None:
    keeper = KeepContents(redis, zones=UTC_ALWAYS, delays=Delays())
    await keeper.apply(log.made_up.envelopes)
    async for step in rebuild(redis, log, UTC_ALWAYS, batch=50):
        if step.position:
            await keeper.apply([log.made_up.said(JANUARY_30 + step.position * HOUR, "meanwhile")])
    live = await contents.digest(redis)
    await contents.clear(redis)
    await keeper.apply(log.made_up.envelopes)
    assert live == await contents.digest(redis)


async def test_a_dry_run_tells_whether_it_would_be_another_and_changes_nothing(redis: Redis, log: Log) -> None:
    await Keeping(redis, UTC_ALWAYS).take(1, log.made_up.envelopes[:-1])
    before = await contents.digest(redis)
    *_, (live, made) = [step async for step in compare(redis, log, UTC_ALWAYS)]  # type: ignore[misc]
    assert live == before == await contents.digest(redis) != made
    assert (await contents.generations(redis)).all == (1,)


async def test_a_replay_from_a_day_on_mends_what_is_missing(redis: Redis, log: Log) -> None:
    keeping = Keeping(redis, UTC_ALWAYS)
    await keeping.take(1, [one for one in log.made_up.envelopes if one.position % 3])
    done = [step async for step in replay(redis, log, UTC_ALWAYS, since_ms=JANUARY_30 + 24 * HOUR)]
    assert done[-1].events == 120 - 48
    mended = await TableOfContents(redis).node(Scope(), "toc:day:2026-01-31")
    assert mended is not None
    assert mended.events == 48


async def test_of_two_rebuilds_at_a_time_one_is_refused_and_a_broken_one_leaves_nothing(redis: Redis, log: Log) -> None:
    await Keeping(redis, UTC_ALWAYS).take(1, log.made_up.envelopes)
    first = rebuild(redis, log, UTC_ALWAYS)
    await anext(first)
    with pytest.raises(Conflict, match="already"):
        await anext(rebuild(redis, log, UTC_ALWAYS))
    await first.aclose()
    assert (await contents.generations(redis)).all == (1,)
    assert [entry async for entry in contents.entries(redis, 2)] == []
    async for _ in rebuild(redis, log, UTC_ALWAYS):
        pass
    assert (await contents.generations(redis)).live == 3


async def test_a_rebuild_that_a_flush_came_between_is_refused_and_the_live_one_is_filled_again(redis: Redis, log: Log) -> None:
    keeping = Keeping(redis, UTC_ALWAYS)
    await keeping.take(1, log.made_up.envelopes)
    before = await contents.digest(redis)
    steps = rebuild(redis, log, UTC_ALWAYS, batch=50)
    await anext(steps)
    await anext(steps)
    await redis.flushall()
    await keeping.take(1, log.made_up.envelopes)
    with pytest.raises(Conflict, match="lost on the way"):
        async for _ in steps:
            pass
    assert (await contents.generations(redis)).all == (1,)
    assert await contents.digest(redis) == before


async def test_a_rebuild_is_alone_however_long_a_step_of_it_takes(redis: Redis, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_rebuild, "LEASE_MS", 1_500)
    slow = rebuild(redis, log, UTC_ALWAYS)
    await anext(slow)
    await redis.pexpire(contents_rebuild.LEASE, 1_400)

    async def renewed() -> bool:
        return int(await redis.pttl(contents_rebuild.LEASE)) > 1_400

    await wait_until(renewed, "the lease is renewed in the middle of a step")
    await redis.set(contents_rebuild.LEASE, "another, who came when it had run out all the same")
    await slow.aclose()
    assert await redis.exists(contents_rebuild.LEASE)


async def test_days_begin_elsewhere_after_a_rebuild_in_another_zone(redis: Redis, log: Log) -> None:
    await Keeping(redis, UTC_ALWAYS).take(1, log.made_up.envelopes)
    zones = zones_of("Pacific/Auckland", {})
    async for _ in rebuild(redis, log, zones):
        pass
    assert (await contents.generations(redis)).zones == zones.name
    assert await zones_held(redis) == zones
    day = await TableOfContents(redis, zones).node(Scope(), "toc:day:2026-01-30")
    assert day is not None
    assert (day.events, day.start_time_ms) == (22, JANUARY_30 - 13 * HOUR)


async def test_the_command_has_the_zones_of_the_live_one_whatever_is_set_where_it_is_typed(
    database_url: str, redis_url: str
) -> None:
    zones = zones_of("UTC", {"acme": "Pacific/Auckland"})
    system, acme = SmallSystem(database_url, redis_url, zones=zones), Scope(tenant="acme")
    late = TimelineEvent(event_id="e", session_id="s", timestamp_ms=JANUARY_30 + 20 * HOUR, text="It is tomorrow there.")
    await system.send(RecordEvents(events=[late]), scope=acme)
    await system.catch_up()
    await agree_on_zones(system.redis, system.log, zones)
    where = Servers(database_url=database_url, redis_url=redis_url)
    preview = await rebuilt(where, UTC_ALWAYS, since=None, dry_run=True)
    read = [(await rebuilt(where, UTC_ALWAYS, since=since, dry_run=False)).events for since in (None, date(2026, 1, 30))]
    nodes = [await TableOfContents(system.redis, zones).node(acme, f"toc:day:2026-01-{day}") for day in (30, 31)]
    async with opened(database_url, redis_url) as seen:
        assert seen.zones == zones
    await system.redis.flushall()
    assert [await say(system.redis, one) for one in (zones, UTC_ALWAYS)] == [True, False]
    assert await zones_held(system.redis) == zones
    await system.close()
    assert (preview.same, read, nodes[0], nodes[1] and nodes[1].events) == (True, [1, 1], None, 1)


async def test_after_a_rebuild_every_node_is_looked_at_for_it_may_be_another(redis: Redis, log: Log) -> None:
    keeping, day = Keeping(redis, UTC_ALWAYS), node_stream(Scope(), "toc:day:2026-01-30")
    await keeping.take(1, log.made_up.envelopes)
    async for _ in rebuild(redis, log, zones_of("Pacific/Auckland", {})):
        pass
    waiting = await due.streams(redis)
    nodes = [key async for key in redis.scan_iter("am:toc:2:*:segment:*")]
    assert {day, node_stream(Scope(), "toc:year:2026")} <= waiting
    assert (await due.waiting(redis))["segments"] == len(nodes) > 0
    await redis.delete(due.AT)
    async for _ in replay(redis, log, zones_of("Pacific/Auckland", {}), since_ms=0):
        pass
    assert await due.streams(redis) == waiting
