"""The configurations of the timeline and what is measured in each."""

from functools import partial

from bench import timeline, timeline_floors
from bench.comparisons import Comparison
from bench.figures import Goal
from bench.floors import Floors
from bench.plan import Configuration, Measurement
from bench.positions import Positions
from bench.sites import stack_site

SESSION_TIME = "events_by_session_time"
_READ_GOAL = Goal(p50_ms=2, p99_ms=10)


def floors() -> list[Measurement]:
    """What is measured of the servers alone; the log's own floors are measured where the log is."""
    return [
        Measurement(
            name="timeline-floor-rpc-16",
            title="grpc.aio answering IngestEvent, nothing behind it, 16 in flight",
            clients=16,
            run=partial(timeline_floors.rpc, workload="ingest", count=20_000, clients=16),
        ),
        Measurement(
            name="timeline-floor-rpc-1",
            title="grpc.aio answering GetNode with one GET of Redis",
            run=partial(timeline_floors.rpc, workload="toc-node", count=5_000, clients=1),
        ),
        Measurement(
            name="timeline-floor-postgres",
            title="Postgres: insert events, 500 at a time",
            unit="rows",
            run=partial(Floors.insert, count=100_000, rows_at_once=500),
        ),
        Measurement(
            name="timeline-floor-drafts",
            title="Segments put into words, one process, nothing read or kept",
            unit="events",
            run=partial(timeline_floors.drafts, events=10_000),
        ),
    ]


def appends() -> list[Measurement]:
    """What the index by session and time costs an append."""
    sizes = {1: 6_000, 21: 42_000, 100: 60_000, 500: 100_000}
    return [
        Measurement(
            name=f"timeline-append-{rows}-{kind}",
            title=f"Postgres: append events, {rows} a commit, {kind} the index by session and time",
            unit="rows",
            comparison=None if kind == "without" else Comparison(figure=f"timeline-append-{rows}-without"),
            run=partial(
                Positions.append, count=count, writers=1, rows=rows, where="row", without="" if kind == "with" else SESSION_TIME
            ),
        )
        for rows, count in sizes.items()
        for kind in ("without", "with")
    ]


def configurations() -> list[Configuration]:
    """In the order in which they are run."""
    return [
        Configuration(
            name="timeline-writes",
            title="The timeline while it is written: embeddings of 384 floats from a stub provider",
            open=partial(stack_site, timeline.DIMENSIONS, contents=True),
            measurements=_writes(),
        ),
        Configuration(
            name="timeline-streams",
            title="The timeline under a flood: the same embeddings, and nodes are written about an hour later",
            open=partial(stack_site, timeline.DIMENSIONS, TIMELINE_SETTLE_SECONDS="3600"),
            measurements=_streams(),
        ),
        Configuration(
            name="timeline-reads",
            title="The timeline of a year: 100,000 events, some 5,000 nodes",
            open=timeline.library,
            prepare=partial(timeline.fill, events=100_000),
            measurements=[*_reads(), *_searches(), *_rebuild()],
        ),
        Configuration(
            name="timeline-million",
            title="1,000,000 events in one timeline; a gateway over Postgres and Redis, nothing else",
            open=timeline.large_library,
            prepare=partial(timeline.fill_log, events=1_000_000),
            measurements=_million(),
        ),
    ]


def _writes() -> list[Measurement]:
    return [
        Measurement(
            name="timeline-ingest-16",
            title="IngestEvent, one by one, 16 in flight",
            unit="events",
            clients=16,
            goal=Goal(rate=2_500, p50_ms=6),
            floor="timeline-floor-rpc-16",
            run=partial(timeline.ingest, count=4_000),
        ),
        Measurement(
            name="timeline-live",
            title="Event to visible node, one at a time",
            unit="events",
            goal=Goal(p99_ms=1_000),
            run=partial(timeline.live, count=200),
        ),
        Measurement(
            name="timeline-live-busy",
            title="The same while nodes of 10,000 events are written about",
            unit="events",
            goal=Goal(p99_ms=1_000),
            run=partial(timeline.live, count=200, meanwhile=10_000),
        ),
        Measurement(
            name="timeline-contents",
            title="Events over a year until all nodes are written about, without a model",
            unit="events",
            goal=Goal(rate=500),
            floor="timeline-floor-drafts",
            run=partial(timeline.written, count=10_000),
        ),
    ]


def _streams() -> list[Measurement]:
    return [
        Measurement(
            name=f"timeline-stream-{clients}",
            title=f"IngestEvents, {'one stream' if clients == 1 else f'{clients} streams'}, 500 events a message",
            unit="events",
            clients=clients,
            goal=Goal(rate=20_000),
            floor="timeline-floor-postgres",
            run=partial(timeline.ingest_stream, count=20_000, clients=clients),
        )
        for clients in (1, 4)
    ]


def _reads() -> list[Measurement]:
    return [
        Measurement(
            name=f"timeline-{name}",
            title=title,
            goal=_READ_GOAL,
            floor="timeline-floor-rpc-1",
            run=partial(timeline.read, call=call, count=3_000),
        )
        for name, call, title in (
            ("root", "GetTocRoot", "GetTocRoot"),
            ("node", "GetNode", "GetNode, any node"),
            ("browse", "BrowseToc", "BrowseToc, any period, up to 20 nodes"),
            ("expand", "ExpandGrip", "ExpandGrip, 3 events before and after"),
        )
    ]


def _searches() -> list[Measurement]:
    """No goal was set for these."""
    return [
        Measurement(
            name=f"timeline-search-{mode}-{clients}",
            title=f"SearchTimeline, {mode}, ten of nodes, grips and events",
            clients=clients,
            floor="timeline-floor-rpc-1" if clients == 1 else "",
            run=partial(timeline.read, call=f"search-{mode}", count=1_000, clients=clients),
        )
        for clients in (1, 16)
        for mode in ("keyword", "semantic", "hybrid")
    ]


def _rebuild() -> list[Measurement]:
    return [
        Measurement(
            name="timeline-floor-scan",
            title="Postgres: the log by position, 1,000 at a time",
            unit="rows",
            run=timeline.scan,
        ),
        Measurement(
            name="timeline-rebuild",
            title="rebuild-toc of the whole log, no model",
            unit="events",
            goal=Goal(rate=1_667),
            floor="timeline-floor-scan",
            run=timeline.rebuild,
        ),
    ]


def _million() -> list[Measurement]:
    return [
        Measurement(
            name="timeline-floor-range",
            title="Postgres: 100 events of two days, one query",
            unit="pages",
            run=partial(timeline.ranges, count=2_000),
        ),
        Measurement(
            name="timeline-events",
            title="GetEvents, 100 of two days",
            unit="pages",
            goal=Goal(p50_ms=5),
            floor="timeline-floor-range",
            run=partial(timeline.read, call="GetEvents", count=2_000),
        ),
    ]
