"""The timeline: events over gRPC, the table of contents that follows them, reading it, and making it anew."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg import sql
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from agent_memory.cli.reach import Servers as Reach
from agent_memory.cli.rebuild_toc import rebuilt
from agent_memory.contracts.streams import CONTENTS, checkpoint_key
from agent_memory.eventlog.reader import ENVELOPE_COLUMNS
from agent_memory.readmodels import contents, due
from agent_memory.readmodels.contents import UTC_ALWAYS
from bench import processes
from bench.calls import EVENTS_A_MESSAGE, MESSAGES_A_STREAM, PAGE, RANGE_MS
from bench.figures import Run, percentiles
from bench.floors import timed
from bench.gateways import gateway
from bench.history import Seeded, Year, seed
from bench.load import Outcome
from bench.measuring import measure
from bench.plan import Turn
from bench.sites import LOOK_SECONDS, Site, stack_site
from bench.workloads import YEAR_MS, YEAR_START_MS, Job
from support.servers import fresh_database, stack_environment, started_servers

DRAIN_SECONDS = 300.0
DIMENSIONS = 384
NAMES = 5_000
"""Ids that are asked for in turn, at most."""
IN_FLIGHT = 16


class Library:
    """A year in the log and what is served from it. `names` are of what was read of it, by what they are names of."""

    def __init__(self, site: Site, database_url: str) -> None:
        self.site = site
        self.database_url = database_url
        self.year = Year(seed=0, namespace="year", events=0)
        self.seeded = Seeded(position=0, events=0)
        self.names: dict[str, list[str]] = {}


@contextmanager
def library() -> Iterator[Library]:
    """A whole stack."""
    with stack_site(DIMENSIONS, contents=True) as site:
        assert site.stack is not None
        yield Library(site, site.stack.database_url)


@contextmanager
def large_library() -> Iterator[Library]:
    """A gateway over Postgres and Redis alone: nobody else reads what is put into the log."""
    with started_servers() as servers, fresh_database(servers) as url:
        environment = stack_environment(DATABASE_URL=url, REDIS_URL=servers.redis_url, EMBEDDING_MODEL="hash")
        with gateway(environment, AUTH_MODE="disabled") as site:
            yield Library(site, url)


def ingest(site: Site, turn: Turn, *, count: int) -> Run:
    """One event a call."""
    return measure(site, _over_grpc(site, turn, "ingest", turn.count(count), IN_FLIGHT), drain_seconds=DRAIN_SECONDS)


def ingest_stream(site: Site, turn: Turn, *, count: int, clients: int) -> Run:
    """Streams of 5,000 events; units are events."""
    per_call = EVENTS_A_MESSAGE * MESSAGES_A_STREAM
    job = _over_grpc(site, turn, "ingest-stream", max(clients, turn.count(count) // per_call), clients)
    return measure(site, msgspec.structs.replace(job, warm=clients), per_request=per_call, drain_seconds=DRAIN_SECONDS)


def written(site: Site, turn: Turn, *, count: int) -> Run:
    """A stream of events over a year, until every node is written about. A note says how soon all of them were there."""
    job = _year(site, turn, count)
    live: list[float] = []

    def until(_: Outcome) -> None:
        live.append(_all_live(site))
        assert site.drained(DRAIN_SECONDS), f"{site.unwritten()} nodes are not written about after {DRAIN_SECONDS:.0f} s"

    run = measure(site, job, until=until)
    run.units = job.count * EVENTS_A_MESSAGE
    run.cpu_us = {name: spent / run.units for name, spent in run.cpu_us.items()}
    run.notes.append(
        f"all nodes were there {live[0]:.2f} s after the answer, which came after {run.latency_ms['p50'] / 1000:.2f} s"
    )
    return run


def live(site: Site, turn: Turn, *, count: int, meanwhile: int = 0) -> Run:
    """One event at a time until its day is there; with `meanwhile`, while the nodes of so many events are written about."""
    if meanwhile:
        measure(site, _year(site, turn, meanwhile))
        _all_live(site)
    waiting = site.unwritten()
    run = measure(site, turn.job(site, "node-by-polling", count=turn.count(count)))
    if meanwhile:
        run.notes.append(f"{waiting} nodes waited to be written about before, {site.unwritten()} after")
    site.drained(DRAIN_SECONDS)
    return run


def fill(place: Library, turn: Turn, *, events: int) -> None:
    """A year with what is written about it, shown by every view. Raises AssertionError when that does not come about."""
    place.year = Year(seed=turn.seed, namespace=place.year.namespace, events=turn.count(events))
    place.seeded = asyncio.run(seed(place.database_url, place.year, written=True))
    assert place.site.drained(DRAIN_SECONDS), f"{place.site.lag()}, {place.site.unwritten()} nodes after {DRAIN_SECONDS:.0f} s"
    nodes = asyncio.run(_nodes(place))
    periods = sorted(nodes.difference(place.seeded.segments))
    place.names = {"GetNode": sorted(nodes), "BrowseToc": periods, "ExpandGrip": place.seeded.grips}


def fill_log(place: Library, turn: Turn, *, events: int) -> None:
    """Events alone, and the statistics that Postgres would gather by itself some time later."""
    place.year = Year(seed=turn.seed, namespace=place.year.namespace, events=turn.count(events))
    place.seeded = asyncio.run(seed(place.database_url, place.year, written=False))
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) events")


def read(place: Library, turn: Turn, *, call: str, count: int, clients: int = 1) -> Run:
    """So many calls at a time as there are clients, each of something else as long as there is. A search is named with its mode."""
    names = place.names.get(call, [])
    names = names[:: len(names) // NAMES + 1]
    workloads = {
        "GetTocRoot": "toc-root",
        "GetNode": "toc-node",
        "BrowseToc": "toc-browse",
        "ExpandGrip": "toc-expand",
        "GetEvents": "toc-events",
    }
    job = _over_grpc(place.site, turn, workloads.get(call, f"toc-{call}"), turn.count(count), clients)
    return measure(place.site, msgspec.structs.replace(job, mode=place.year.namespace, names=names))


def rebuild(place: Library, turn: Turn) -> Run:
    """`agent-memory rebuild-toc`, in this process. It has to come to what was there."""
    assert place.site.stack is not None
    site, where = place.site, Reach(database_url=place.database_url, redis_url=place.site.stack.redis_url)
    cpu, own, busy = site.cpu(), time.process_time(), processes.busy_seconds()
    done = asyncio.run(rebuilt(where, UTC_ALWAYS, since=None, dry_run=False))
    spent = {name: one - cpu[name] for name, one in site.cpu().items()} | {"(rebuild)": time.process_time() - own}
    run = Run(
        seconds=done.seconds,
        requests=1,
        units=done.events,
        latency_ms=percentiles([done.seconds]),
        cpu_us={name: one * 1e6 / done.events for name, one in spent.items() if one > 0},
        others_percent=round(100 * max(0.0, processes.busy_seconds() - busy - sum(spent.values())) / done.seconds, 1),
    )
    run.notes.append(
        f"{done.events:,} events and {done.revisions:,} revisions in {done.seconds:.1f} s; the percentiles are of the whole"
    )
    if not done.same or done.events != place.seeded.events:
        run.errors, run.first_error = 1, f"{done.events} of {place.seeded.events} events; the same as before: {done.same}"
    site.drained(DRAIN_SECONDS)
    return run


def scan(place: Library, turn: Turn) -> Run:
    """Reading the log by position, 1,000 at a time, and nothing else."""
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        query = f"SELECT {ENVELOPE_COLUMNS} FROM events WHERE position > %s ORDER BY position LIMIT 1000"
        batches = [range(first, first + 1_000) for first in range(0, place.seeded.position, 1_000)]
        return timed(lambda batch: connection.execute(query, [batch[0]]).fetchall(), batches)


def ranges(place: Library, turn: Turn, *, count: int) -> Run:
    """The very pages that GetEvents is asked for, as one query each."""
    job = _over_grpc(place.site, turn, "toc-events", turn.count(count), 1)
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        query = (
            "SELECT position, type, data::text FROM events WHERE scope = %s AND event_id IS NOT NULL AND timestamp_ms >= %s"
            " AND timestamp_ms <= %s ORDER BY timestamp_ms, event_id LIMIT %s"
        )
        step = (YEAR_MS - RANGE_MS) // job.count
        asked = [[YEAR_START_MS + step * (number * 7919 % job.count)] for number in range(job.count)]
        scope = place.year.scope.path
        return timed(lambda one: connection.execute(query, [scope, one[0], one[0] + RANGE_MS, PAGE + 1]).fetchall(), asked)


def _over_grpc(site: Site, turn: Turn, workload: str, count: int, clients: int) -> Job:
    return msgspec.structs.replace(turn.job(site, workload, count=count, clients=clients), port=site.grpc_port)


def _year(site: Site, turn: Turn, events: int) -> Job:
    count = max(1, turn.count(events) // EVENTS_A_MESSAGE)
    return msgspec.structs.replace(_over_grpc(site, turn, "ingest-year", count, 1), warm=0)


def _all_live(site: Site) -> float:
    """Seconds until the table of contents shows all of the log. Raises AssertionError when it does not in time."""
    assert site.stack is not None
    started = time.monotonic()
    with psycopg.connect(site.stack.database_url) as connection, Redis.from_url(site.stack.redis_url) as redis:
        row = connection.execute(sql.SQL("SELECT position FROM log_head")).fetchone()
        assert row is not None
        while int(redis.get(checkpoint_key(CONTENTS)) or 0) < row[0]:
            if time.monotonic() - started > DRAIN_SECONDS:
                raise AssertionError(f"not all nodes were there after {DRAIN_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS / 10)
    return time.monotonic() - started


async def _nodes(place: Library) -> set[str]:
    assert place.site.stack is not None
    async with AsyncRedis.from_url(place.site.stack.redis_url, protocol=2) as redis:
        live = (await contents.generations(redis)).live
        return {
            node_id
            for scope, node_id in [due.node_of(one) async for one in contents.streams(redis, live)]
            if scope == place.year.scope
        }
