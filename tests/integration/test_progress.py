"""Checkpoints over positions that replicas account for in any order, more than once."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.readmodels.progress import Ledger, Progress, holes

RANGES = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])), min_size=1, max_size=12
)
NAMES = (f"p{number}" for number in range(1_000_000))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


async def test_the_checkpoint_waits_at_a_hole_and_jumps_when_it_is_filled(redis: Redis) -> None:
    ledger = Ledger(redis, "memory-index")
    assert await ledger.advance([(1, 3)], applied=3) == 3
    assert await ledger.advance([(6, 8), (10, 10)], applied=4) == 3
    assert await ledger.read() == Progress(
        checkpoint=3, ahead=((6, 8), (10, 10)), counters={"applied": 7, "skipped": 0, "dead_lettered": 0}
    )
    assert await ledger.holes(12) == [(4, 5), (9, 9), (11, 12)]
    assert [await ledger.covers(position) for position in (3, 4, 7, 9, 10, 11)] == [True, False, True, False, True, False]
    assert await ledger.advance([(4, 5)], applied=2) == 8


async def test_positions_that_come_again_are_not_counted_again(redis: Redis) -> None:
    ledger = Ledger(redis, "p")
    for _ in range(3):
        await ledger.advance([(1, 2), (5, 6)], applied=2, skipped=1, dead_lettered=1)
    await ledger.advance([(2, 5)], skipped=4)
    progress = await ledger.read()
    assert progress == Progress(checkpoint=6, counters={"applied": 2, "skipped": 3, "dead_lettered": 1})


async def test_a_projection_that_never_ran_has_everything_before_it(redis: Redis) -> None:
    ledger = Ledger(redis, "new")
    assert await ledger.checkpoint() == 0
    assert await ledger.holes(5) == [(1, 5)]
    assert await ledger.holes(0) == []


async def test_positions_near_the_largest_exact_number_stay_exact(redis: Redis) -> None:
    ledger = Ledger(redis, "p")
    large = 2**53 - 10
    await ledger.advance([(large, large + 1)], applied=2)
    assert (await ledger.read()).ahead == ((large, large + 1),)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RANGES, st.randoms())
async def test_any_interleaving_of_overlapping_ranges_ends_at_the_same_place(redis: Redis, ranges: list, random: object) -> None:
    shuffled = list(ranges)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Ledger(redis, next(NAMES)), Ledger(redis, next(NAMES))
    for first, last in ranges:
        await one.advance([(first, last)], applied=last - first + 1)
    await other.advance(shuffled, applied=sum(last - first + 1 for first, last in ranges))
    progress = await one.read()
    assert progress == await other.read()
    known = {position for first, last in ranges for position in range(first, last + 1)}
    assert progress.accounted == sum(progress.counters.values()) == len(known)
    missing = {position for first, last in holes(progress, 60) for position in range(first, last + 1)}
    assert missing == set(range(1, 61)) - known
    assert all(progress.covers(position) == (position in known) for position in range(1, 61))
