"""The runner of projections and the relay, on real Postgres and Redis: nothing missed or counted twice, one bad event alone."""

import asyncio

import pytest

from agent_memory.contracts.codec import encode
from agent_memory.contracts.streams import DEAD_LETTERS, EVENTS, PROJECTIONS, checkpoint_key
from agent_memory.eventlog import relay
from agent_memory.eventlog.relay import Relay
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime import projection
from agent_memory.runtime.broker import Entry, ensure_group
from agent_memory.runtime.projection import as_ranges
from support.controls import wait_until
from support.projecting import NAME, Bench

NEVER = 3_600_000


@pytest.fixture
async def bench(database_url, redis_url):
    bench = Bench(database_url, redis_url)
    yield bench
    await bench.close()


async def test_every_event_is_applied_and_accounted_for(bench):
    async with bench.relaying(), bench.consuming(bench.runner()):
        await bench.append(25)
        await bench.append(5, kind="JobPaused")
        await bench.reached(30)
    # A sweep that comes before the relay applies from the log what the bus then brings too: applied again, counted once.
    assert set(bench.applied) == set(range(1, 26))
    counters = (await Ledger(bench.redis, NAME).read()).counters
    assert counters == {"applied": 25, "skipped": 5, "dead_lettered": 0}


async def test_the_bus_id_is_the_log_position(bench):
    async with bench.relaying():
        await bench.append(3)

        async def published():
            return await bench.redis.xlen(EVENTS) == 3

        await wait_until(published, "three entries on the bus")
    assert [entry[0] for entry in await bench.redis.xrange(EVENTS)] == [b"1-0", b"2-0", b"3-0"]


async def test_two_relays_publish_once_and_one_takes_over_from_the_other(bench):
    async with bench.relaying() as first:

        async def leads(relay):
            return relay.leading

        await wait_until(lambda: leads(first), "the first relay leads")
        async with bench.relaying() as second:
            await bench.append(5)
            assert not second.leading

    async with bench.relaying():
        await bench.append(5)

        async def published():
            return await bench.redis.xlen(EVENTS) == 10

        await wait_until(published, "ten entries on the bus")


async def test_a_relay_that_stands_still_leads_no_more(bench, monkeypatch):
    class Frozen(Relay):
        async def _publish_all(self, *, look):
            await asyncio.Event().wait()

    monkeypatch.setattr(relay, "SILENT_MS", 100)
    frozen = Frozen(bench.database_url, bench.reader, bench.redis)
    standing = asyncio.create_task(frozen.run())
    await wait_until(lambda: frozen.leading, "the first relay leads")
    monkeypatch.setattr(relay, "SILENT_MS", 30_000)
    async with bench.relaying():
        await bench.append(5)

        async def published():
            return await bench.redis.xlen(EVENTS) == 5

        await wait_until(published, "another publishes")
    standing.cancel()
    await asyncio.gather(standing, return_exceptions=True)


async def test_what_was_published_before_the_first_start_is_not_skipped(bench):
    async with bench.relaying():
        await bench.append(4)

        async def published():
            return await bench.redis.xlen(EVENTS) == 4

        await wait_until(published, "four entries on the bus")
        async with bench.consuming(bench.runner()):
            await bench.reached(4)
    assert set(bench.applied) == {1, 2, 3, 4}


async def test_without_a_bus_everything_comes_from_the_log(bench):
    await bench.append(700)
    async with bench.consuming(bench.runner()):
        await bench.reached(700)
    assert set(bench.applied) == set(range(1, 701))


async def test_a_flushed_redis_is_filled_again_while_running(bench):
    async with bench.relaying(), bench.consuming(bench.runner()):
        await bench.append(10)
        await bench.reached(10)
        await bench.redis.flushall()
        await bench.append(5)
        await bench.reached(15)
    assert set(bench.applied[10:]) == set(range(1, 16))


async def test_one_bad_event_is_buried_alone_and_nothing_waits_behind_it(bench):
    bench.fails[3] = ValueError("cannot be understood")
    async with bench.relaying(), bench.consuming(bench.runner()):
        await bench.append(6)
        await bench.reached(6)
    assert set(bench.applied) == {1, 2, 4, 5, 6}
    [(_, letter)] = await bench.redis.xrange(DEAD_LETTERS)
    assert (letter[b"position"], letter[b"error_name"], letter[b"group"]) == (b"3", b"ValueError", NAME.encode())
    assert (await Ledger(bench.redis, NAME).read()).counters["dead_lettered"] == 1


async def test_a_buried_event_is_applied_when_it_is_replayed(bench):
    bench.fails[1] = ValueError("cannot be understood")
    runner = bench.runner()
    async with bench.relaying(), bench.consuming(runner):
        await bench.append(1)
        await bench.reached(1)
        del bench.fails[1]
        await bench.redis.rpush(f"am:replay:{NAME}", 1)

        async def applied():
            return set(bench.applied) == {1}

        await wait_until(applied, "the event is applied")


async def test_a_provider_that_is_away_means_lag_and_not_loss(bench):
    bench.away = True
    async with bench.relaying(), bench.consuming(bench.runner()):
        await bench.append(5)

        async def pending():
            groups = await bench.redis.xinfo_groups(EVENTS) if await bench.redis.exists(EVENTS) else []
            return any(group["pending"] for group in groups)

        await wait_until(pending, "the events are with the consumer")
        assert await Ledger(bench.redis, NAME).checkpoint() == 0
        bench.away = False
        await bench.reached(5)
    assert set(bench.applied) == {1, 2, 3, 4, 5}
    assert await bench.redis.xlen(DEAD_LETTERS) == 0


async def test_events_of_a_replica_that_died_are_taken_over(bench):
    await ensure_group(bench.redis, EVENTS, NAME)
    async with bench.relaying():
        await bench.append(3)

        async def taken():
            return bool(await bench.redis.xreadgroup(NAME, "dead", {EVENTS: ">"}, count=10))

        await wait_until(taken, "a consumer that will never acknowledge has them")
        async with bench.consuming(bench.runner()):
            await bench.reached(3)

            async def nothing_pending():
                return (await bench.redis.xpending(EVENTS, NAME))["pending"] == 0

            await wait_until(nothing_pending, "nobody holds anything")


async def published(bench, count):
    """Events on the bus, before anybody reads it: a sweep that found it empty would read the log."""
    await bench.append(count)

    async def there():
        return await bench.redis.xlen(EVENTS) == count

    await wait_until(there, "they are on the bus")


async def test_what_a_replica_that_lives_has_in_hand_is_not_done_beside_it(bench, monkeypatch):
    async def looks():
        return int((await bench.redis.info("commandstats")).get("cmdstat_xinfo|consumers", {"calls": 0})["calls"])

    bench.gate.clear()
    async with bench.relaying():
        await published(bench, 1)
        async with (
            bench.consuming(bench.runner(), claim_after_ms=NEVER),
            bench.consuming(bench.runner(), "two", claim_after_ms=NEVER),
        ):
            await wait_until(lambda: bench.begun, "the event is in hand")
            monkeypatch.setattr(projection, "SWEEP_SECONDS", 0.05)
            monkeypatch.setattr(projection, "PATIENCE_SECONDS", 0.1)
            before = await looks()

            async def looked():
                return await looks() > before + 10

            await wait_until(looked, "it was looked at again and again")
            assert bench.begun == [1]
            bench.gate.set()
            await bench.reached(1)


async def test_what_a_replica_has_in_hand_for_too_long_is_done_by_another(bench, monkeypatch):
    bench.gate.clear()
    async with bench.relaying():
        await published(bench, 1)
        async with bench.consuming(bench.runner(), claim_after_ms=NEVER):
            await wait_until(lambda: bench.begun, "the event is in hand")
            monkeypatch.setattr(projection, "LONGEST_IN_HAND_SECONDS", 0.2)
            monkeypatch.setattr(projection, "PATIENCE_SECONDS", 0.1)
            await wait_until(lambda: bench.begun == [1, 1], "somebody does it, too")
            bench.gate.set()
            await bench.reached(1)


async def test_catching_up_is_done_by_one_replica_however_long_it_takes(bench, monkeypatch):
    monkeypatch.setattr(projection, "SWEEP_LEASE_MS", 1_500)
    monkeypatch.setattr(projection, "SWEEP_SECONDS", 0.05)
    lease = f"am:lease:sweep:{{{NAME}}}:holder"
    bench.gate.clear()
    await bench.append(1)
    sweeps = [asyncio.create_task(bench.runner().sweep()) for _ in range(2)]
    await wait_until(lambda: bench.begun, "one catches up")
    await bench.redis.pexpire(lease, 1_400)

    async def renewed():
        return await bench.redis.pttl(lease) > 1_400

    await wait_until(renewed, "the lease is renewed in the middle of it")
    assert bench.begun == [1]
    bench.gate.set()
    await bench.reached(1)
    for sweep in sweeps:
        sweep.cancel()
    await asyncio.gather(*sweeps, return_exceptions=True)


async def test_a_message_that_nobody_survives_is_given_up(bench):
    await bench.append(1)
    [event] = await bench.reader.after(0)
    await bench.runner().handle([Entry(b"1-0", {b"__data__": encode(event), b"type": b"JobDue"}, deliveries=6)])
    assert bench.applied == []
    assert await bench.redis.xlen(DEAD_LETTERS) == 1
    assert await Ledger(bench.redis, NAME).checkpoint() == 1


async def test_the_bus_is_trimmed_by_the_slowest_projection(bench):
    async with bench.relaying() as relay:
        await bench.append(300)

        async def published():
            return await bench.redis.xlen(EVENTS) == 300

        await wait_until(published, "all on the bus")
        assert await relay.trim() == 0
        await bench.redis.mset({checkpoint_key(name): 300 for name in PROJECTIONS})
        await bench.redis.set(checkpoint_key(NAME), 250)
        await relay.trim()
        assert 50 <= await bench.redis.xlen(EVENTS) <= 150


async def test_a_projection_that_does_not_run_does_not_fill_the_bus_and_reads_the_rest_from_the_log(bench, monkeypatch):
    monkeypatch.setattr(relay, "MOST_ON_BUS", 100)
    async with bench.relaying() as leading:
        await published(bench, 400)
        await leading.trim()
        assert 100 <= await bench.redis.xlen(EVENTS) <= 200
        async with bench.consuming(bench.runner()):
            await bench.reached(400)
    assert set(bench.applied) == set(range(1, 401))


def test_positions_become_ranges():
    assert as_ranges([3, 1, 2, 7, 9, 8, 8]) == [(1, 3), (7, 9)]
    assert as_ranges([]) == []
