"""The log as one table, as it is, against a log in partitions by range of positions, one for each month: two years of it.

A unique index of a partitioned table has to hold the key of the partitions, so that of two halves of the log neither would refuse
what stands in the other: in the partitioned design here every index is of its own partition, and what has to be looked for without
its position is looked for in each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import psycopg
from psycopg import Connection, sql

from agent_memory.contracts.streams import session_stream
from agent_memory.eventlog.store import APPEND, LATEST
from bench.figures import Run
from bench.floors import timed
from bench.plan import Turn
from bench.positions import SCOPE, START_MS, batches
from support.servers import fresh_database, started_servers

Design = Literal["one", "months"]
MONTHS, A_MONTH = 24, 20_000
SESSIONS, ROWS = 200, 500
LAST = 10**15
TAKEN = (
    "SELECT e.scope, e.event_id, e.stream FROM unnest(%s::text[], %s::text[]) AS wanted(scope, event_id)"
    " JOIN events e ON e.scope = wanted.scope AND e.event_id = wanted.event_id"
)
PAGE = (
    "SELECT position, type, data::text FROM events WHERE scope = %s AND event_id IS NOT NULL AND timestamp_ms >= %s"
    " AND timestamp_ms <= %s ORDER BY timestamp_ms, event_id LIMIT 101"
)
SCAN = "SELECT position, stream, data::text, metadata::text FROM events WHERE position > %s ORDER BY position LIMIT 1000"
INDEXES = (
    "ALTER TABLE {} ADD PRIMARY KEY (position)",
    "CREATE UNIQUE INDEX ON {} (stream, version)",
    "CREATE UNIQUE INDEX ON {} (scope, event_id) WHERE event_id IS NOT NULL",
    "CREATE INDEX ON {} (scope, timestamp_ms, event_id) WHERE event_id IS NOT NULL",
    "CREATE INDEX ON {} (stream, timestamp_ms, event_id) WHERE event_id IS NOT NULL",
)

Work = tuple[Callable[[Any], object], Sequence[Sequence[Any]]]
"""What is done with each batch, and the batches."""


class Logs:
    """A log of each design, with the same events in the same order."""

    def __init__(self, connections: Mapping[Design, Connection]) -> None:
        self.connections = connections

    def run(self, turn: Turn, *, design: Design, work: Callable[[Connection, Turn], Work]) -> Run:
        """One kind of work on one of them."""
        return timed(*work(self.connections[design], turn))


@contextmanager
def logs() -> Iterator[Logs]:
    """Both on one server, empty."""
    with (
        started_servers() as servers,
        fresh_database(servers) as one,
        fresh_database(servers) as months,
        psycopg.connect(one, autocommit=True) as plain,
        psycopg.connect(months, autocommit=True) as parted,
    ):
        for connection in (plain, parted):
            connection.prepare_threshold = 0
        _part(parted)
        yield Logs({"one": plain, "months": parted})


def fill(place: Logs, turn: Turn) -> None:
    """Two years of 200 sessions that go on all the time, and the statistics that Postgres would gather by itself."""
    rounds = max(1, turn.count(MONTHS * A_MONTH) // (SESSIONS * ROWS))
    for connection in place.connections.values():
        told = [list(batches(turn.seed + number, _session(number), rounds, ROWS)) for number in range(SESSIONS)]
        for at in range(rounds):
            for session in told:
                connection.execute(APPEND, session[at])
        connection.execute("VACUUM (ANALYZE) events")


def append(connection: Connection, turn: Turn, *, count: int, rows: int) -> Work:
    """Into the newest month, a new session each turn."""
    session = f"{turn.name}-{turn.number}"
    made = list(batches(turn.seed, session, max(10, turn.count(count) // rows), rows))
    return lambda batch: connection.execute(APPEND, batch[0]), [[one] * rows for one in made]


def known(connection: Connection, turn: Turn, *, count: int, ids: int) -> Work:
    """Whether ids are recorded already, which none of them is: asked before every append."""
    made = [[f"{turn.number}-{number}-{one}" for one in range(ids)] for number in range(max(10, turn.count(count) // ids))]
    return lambda asked: connection.execute(TAKEN, ([SCOPE.path] * len(asked), asked)).fetchall(), made


def newest(connection: Connection, turn: Turn, *, count: int) -> Work:
    """The newest event of a stream: what a memory is now."""
    streams = [session_stream(SCOPE, _session(number % SESSIONS)) for number in range(max(10, turn.count(count)))]
    return lambda asked: connection.execute(LATEST, (asked,)).fetchall(), [[stream] for stream in streams]


def page(connection: Connection, turn: Turn, *, count: int) -> Work:
    """A hundred events by their time: what GetEvents asks."""
    starts = [[START_MS + number % 500] for number in range(max(10, turn.count(count)))]
    return lambda one: connection.execute(PAGE, (SCOPE.path, one[0], START_MS + 10**7)).fetchall(), starts


def scan(connection: Connection, turn: Turn, *, count: int) -> Work:
    """By position, a thousand at a time: what follows the log, and what makes a view anew."""
    last = max(1, turn.count(MONTHS * A_MONTH) - 2_000)
    firsts = [number * 7_919_131 % last for number in range(max(10, turn.count(count) // 1_000))]
    return lambda batch: connection.execute(SCAN, (batch[0],)).fetchall(), [range(first, first + 1_000) for first in firsts]


WORK: Mapping[str, tuple[str, str, Callable[[Connection, Turn], Work]]] = {
    "append-1": ("append an event", "rows", partial(append, count=2_000, rows=1)),
    "append-100": ("append events, 100 a commit", "rows", partial(append, count=20_000, rows=100)),
    "known-1": ("look for one new id", "ids", partial(known, count=2_000, ids=1)),
    "known-100": ("look for 100 new ids", "ids", partial(known, count=20_000, ids=100)),
    "newest": ("the newest event of a stream", "events", partial(newest, count=2_000)),
    "page": ("101 events by time", "pages", partial(page, count=1_000)),
    "scan": ("by position, 1,000 at a time", "rows", partial(scan, count=200_000)),
}
"""By name: title, unit, work."""


def _session(number: int) -> str:
    return f"w{number:03}"


def _part(connection: Connection) -> None:
    """Makes `events` anew, in months; the last one takes whatever comes."""
    connection.execute("ALTER TABLE events RENAME TO plain")
    connection.execute("CREATE TABLE events (LIKE plain) PARTITION BY RANGE (position)")
    connection.execute("DROP TABLE plain")
    for month in range(MONTHS + 1):
        name = sql.Identifier(f"events_{month}")
        last = (month + 1) * A_MONTH + 1 if month < MONTHS else LAST
        made = sql.SQL("CREATE TABLE {} PARTITION OF events FOR VALUES FROM ({}) TO ({})")
        connection.execute(made.format(name, sql.Literal(month * A_MONTH + 1), sql.Literal(last)))
        for statement in INDEXES:
            connection.execute(sql.SQL(statement).format(name))
