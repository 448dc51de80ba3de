"""All configurations and what is measured in each."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench import months, old_server, searches, timeline_catalogue, writes
from bench.comparisons import Comparison
from bench.figures import Goal
from bench.floors import Floors
from bench.plan import Configuration, Measurement
from bench.positions import From, Positions
from bench.sites import stack_site
from bench.workloads import WIDE
from support.servers import started_servers

MODES = ("semantic", "keyword", "hybrid")
CORPUS_SIZE = 10_000
DIMENSIONS = (384, 1536)

_BATCH_GOAL, _SINGLE_GOAL = Goal(rate=30_000), Goal(rate=3_000, p50_ms=3)
_PUT_GOAL, _GET_GOAL = Goal(rate=1_200), Goal(rate=6_000)


@contextmanager
def _floors() -> Iterator[Floors]:
    with started_servers() as servers:
        yield Floors(servers)


@contextmanager
def _positions() -> Iterator[Positions]:
    with started_servers() as servers:
        yield Positions(servers)


def configurations() -> list[Configuration]:
    """In the order in which they are run."""
    return [
        Configuration(
            name="floors",
            title="Servers alone",
            open=_floors,
            measurements=[*_floor_measurements(), *timeline_catalogue.floors()],
        ),
        Configuration(
            name="positions",
            title="Postgres alone: where positions come from, by concurrent writers",
            open=_positions,
            measurements=_position_measurements(),
        ),
        Configuration(
            name="timeline-appends",
            title="Postgres alone: what the index by session and time costs",
            open=_positions,
            measurements=timeline_catalogue.appends(),
            in_turn=True,
        ),
        Configuration(
            name="months",
            title="Postgres alone: the log in one table, and in a partition for each of 24 months",
            open=months.logs,
            prepare=months.fill,
            measurements=_month_measurements(),
            in_turn=True,
        ),
        Configuration(
            name="local", title="Default: local embeddings", open=stack_site, measurements=_default("local", Goal(rate=350), 1_500)
        ),
        Configuration(
            name="stub",
            title="Embeddings of 1,536 floats from a stub provider",
            open=partial(stack_site, 1536),
            measurements=[*_default("stub", Goal(rate=2_000), 4_000), *_appends()],
        ),
        Configuration(
            name="corpus",
            title="10,000 memories, embeddings of 1,536 floats from a stub provider",
            open=partial(stack_site, 1536),
            prepare=partial(searches.corpus, count=CORPUS_SIZE),
            measurements=[*_visible(), *_searches(), _rebuild(1536)],
        ),
        Configuration(
            name="corpus-384",
            title="10,000 memories, embeddings of 384 floats from a stub provider",
            open=partial(stack_site, 384),
            prepare=partial(searches.corpus, count=CORPUS_SIZE),
            measurements=[_rebuild(384)],
        ),
        *timeline_catalogue.configurations(),
        *old_server.configurations(),
    ]


def _month_measurements() -> list[Measurement]:
    designs: dict[months.Design, str] = {"one": "one table", "months": "24 months"}
    return [
        Measurement(
            name=f"months-{name}-{design}",
            title=f"{title[0].upper()}{title[1:]}: {said}",
            unit=unit,
            comparison=None if design == "one" else Comparison(figure=f"months-{name}-one"),
            run=partial(months.Logs.run, design=design, work=work),
        )
        for name, (title, unit, work) in months.WORK.items()
        for design, said in designs.items()
    ]


def _floor_measurements() -> list[Measurement]:
    postgres = {1: ("one by one", 20_000), 21: ("21 at a time: a PUT", 60_000), 100: ("100 at a time", 100_000)}
    xadds = {1: "one by one", 32: "32 in a pipeline"}
    return [
        *(
            Measurement(
                name=f"postgres-{rows}",
                title=f"Postgres: insert events, {title}",
                unit="rows",
                run=partial(Floors.insert, count=count, rows_at_once=rows),
            )
            for rows, (title, count) in postgres.items()
        ),
        Measurement(
            name="postgres-copy-100",
            title="Postgres: COPY events, 100 at a time",
            unit="rows",
            run=partial(Floors.insert, count=100_000, rows_at_once=100, copy=True),
        ),
        *(
            Measurement(
                name=f"redis-xadd-{size}",
                title=f"Redis: XADD of the body of a PUT, {title}",
                unit="entries",
                run=partial(Floors.xadd, count=20_000, in_a_pipeline=size),
            )
            for size, title in xadds.items()
        ),
        Measurement(name="redis-get", title="Redis: GET of 5 KB, one by one", run=partial(Floors.get, count=30_000)),
        *(
            Measurement(
                name=f"litestar-{clients}",
                title="Litestar answering one GET of 5 KB from Redis",
                clients=clients,
                run=partial(Floors.litestar, count=count, clients=clients),
            )
            for clients, count in ((1, 5_000), (32, 30_000))
        ),
        *(
            Measurement(
                name=f"redis-hset-{dimensions}",
                title=f"Redis Search: HSET of {dimensions}-float memories, 100 in a pipeline",
                unit="memories",
                run=partial(Floors.hset, count=CORPUS_SIZE, dimensions=dimensions),
            )
            for dimensions in DIMENSIONS
        ),
        *(
            Measurement(
                name=f"redis-knn-{k}",
                title=f"Redis Search: the {k} nearest of 10,000, 1,536 floats, namespace and topics",
                run=partial(Floors.knn, count=2_000, dimensions=1536, documents=CORPUS_SIZE, k=k),
            )
            for k in (10, 101)
        ),
    ]


def _position_measurements() -> list[Measurement]:
    sizes = {1: ("one by one", 6_000), 100: ("100 at a time", 60_000)}
    titles: dict[From, str] = {"row": "positions from the row", "sequence": "positions from a sequence"}
    return [
        Measurement(
            name=f"positions-{where}-{writers}-{rows}",
            title=f"Postgres: append events, {title}, {titles[where]}",
            unit="rows",
            clients=writers,
            run=partial(Positions.append, count=count, writers=writers, rows=rows, where=where),
        )
        for rows, (title, count) in sizes.items()
        for writers in (1, 2, 4, 8)
        for where in titles
    ]


def _default(where: str, goal: Goal, memories: int) -> list[Measurement]:
    drain = where == "stub"
    return [
        Measurement(
            name=f"searchable-{where}",
            title="Memories made searchable, POSTs of 100",
            unit="memories",
            clients=4,
            goal=goal,
            floor="redis-hset-384" if where == "local" else "redis-hset-1536",
            run=partial(searches.searchable, count=memories),
        ),
        Measurement(
            name=f"get-{where}",
            title="Working memory: GET of 20 messages",
            clients=32,
            goal=_GET_GOAL,
            floor="litestar-32",
            run=partial(writes.get, count=24_000, clients=32),
        ),
        *(
            Measurement(
                name=f"events-{clients}-{where}",
                title="Durable events, one by one",
                unit="events",
                clients=clients,
                goal=_SINGLE_GOAL if clients == 8 else None,
                floor="postgres-1",
                run=partial(writes.events, count=count, clients=clients, drain=drain),
            )
            for clients, count in ((1, 4_000), (8, 12_000))
        ),
        Measurement(
            name=f"events-batch-{where}",
            title="Durable events, POSTs of 100",
            unit="events",
            clients=8,
            goal=_BATCH_GOAL,
            floor="postgres-100",
            run=partial(writes.event_batches, count=800, clients=8, drain=drain),
        ),
        Measurement(
            name=f"put-{where}",
            title="Working memory: PUT of 20 messages, new sessions",
            clients=32,
            goal=_PUT_GOAL,
            floor="redis-xadd-32",
            run=partial(writes.put, count=4_000, clients=32, drain=drain),
        ),
    ]


def _appends() -> list[Measurement]:
    return [
        Measurement(
            name=f"append-{length}",
            title=f"Working memory: append one message to {length:,}",
            run=partial(writes.append, count=400, length=length),
        )
        for length in (10, 1_000, 10_000)
    ]


def _searches() -> list[Measurement]:
    titles = {mode: f"Search by {mode}, namespace and topics" for mode in MODES} | {
        WIDE: "Search by semantic, topics that most have"
    }
    goals = {1: Goal(p50_ms=3), 32: Goal(rate=1_000)}
    return [
        Measurement(
            name=f"search-{mode}-{clients}",
            title=title,
            clients=clients,
            goal=None if mode == WIDE else goals[clients],
            floor="" if mode == WIDE else "redis-knn-10",
            run=partial(searches.search, count=count, clients=clients, mode=mode),
        )
        for mode, title in titles.items()
        for clients, count in ((1, 1_000), (32, 4_000))
    ]


def _visible() -> list[Measurement]:
    ways = {"polling": "searched again and again", "position": "one search with min_position"}
    return [
        Measurement(
            name=f"visible-{how}",
            title=f"Write to visible in search, {title}",
            unit="memories",
            goal=Goal(p50_ms=15, p95_ms=50),
            run=partial(searches.visible, count=300, how=how),
        )
        for how, title in ways.items()
    ]


def _rebuild(dimensions: int) -> Measurement:
    return Measurement(
        name=f"rebuild-{dimensions}",
        title=f"Memory index rebuilt from the log, {dimensions:,} floats",
        unit="memories",
        goal=Goal(rate=5_000),
        floor=f"redis-hset-{dimensions}",
        run=searches.rebuild,
    )
