"""Concurrent appends: positions from the one row of `log_head`, as the log does, against positions from a sequence.

A sequence gives positions out before they are committed, so its rows carry the number of their transaction and its readers go by
(transaction, position), up to `pg_snapshot_xmin(pg_current_snapshot())`. Everything else is the same: statement, tables, indexes.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import psycopg
from psycopg import sql

from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import session_stream
from agent_memory.eventlog.rows import Batch, CommandOutcome, NewEvent, SessionRow
from agent_memory.eventlog.store import APPEND, parameters
from bench import processes
from bench.figures import Run, percentiles
from bench.plan import Turn
from bench.texts import Texts
from support.servers import Servers, fresh_database

From = Literal["row", "sequence"]
START_MS = 1_772_000_000_000
SCOPE = Scope(namespace="positions")
SEQUENCE_SCHEMA = """
    CREATE SEQUENCE positions;
    ALTER TABLE events DROP CONSTRAINT events_pkey, ADD COLUMN txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        ADD PRIMARY KEY (txid, position);
"""
HEAD = "UPDATE log_head SET position = position + %(count)b RETURNING position - %(count)b AS base"
assert HEAD in APPEND
assert "SELECT base + r.n," in APPEND
STATEMENTS: dict[From, str] = {
    "row": APPEND,
    "sequence": APPEND.replace(HEAD, "SELECT nextval('positions') AS base").replace(
        "SELECT base + r.n,", "SELECT nextval('positions'),"
    ),
}


class Positions:
    """Measurements on a server that nobody else uses."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def append(self, turn: Turn, *, count: int, writers: int, rows: int, where: From, without: str = "") -> Run:
        """Each writer with a connection and sessions of its own; a commit per batch, synchronous. `without`: an index, dropped."""
        each = max(10, turn.count(count) // (writers * rows))
        work = [list(batches(turn.seed + number, f"w{number}", each, rows)) for number in range(writers)]
        with fresh_database(self._servers) as url:
            if where == "sequence":
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(SEQUENCE_SCHEMA)
            if without:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(without)))
            return _timed(url, STATEMENTS[where], work, rows)


def _timed(url: str, statement: str, work: Sequence[Sequence[dict[str, object]]], rows: int) -> Run:
    """All writers start together, after a tenth as a warm-up."""
    start, stop = threading.Barrier(len(work) + 1), threading.Barrier(len(work) + 1)
    latencies: list[float] = []

    def write(batches: Sequence[dict[str, object]]) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.prepare_threshold = 0
            warm = len(batches) // 10
            for batch in batches[:warm]:
                connection.execute(statement, batch)
            own = []
            start.wait()
            for batch in batches[warm:]:
                before = time.perf_counter()
                connection.execute(statement, batch)
                own.append(time.perf_counter() - before)
            stop.wait()
            latencies.extend(own)

    threads = [threading.Thread(target=write, args=(batches,), daemon=True) for batches in work]
    for thread in threads:
        thread.start()
    start.wait()
    own, family, started = time.process_time(), processes.cpu_seconds(os.getpid()), time.perf_counter()
    stop.wait()
    seconds = time.perf_counter() - started
    own, family = time.process_time() - own, processes.cpu_seconds(os.getpid()) - family
    for thread in threads:
        thread.join()
    units = len(latencies) * rows
    return Run(
        seconds=seconds,
        requests=len(latencies),
        units=units,
        latency_ms=percentiles(latencies),
        cpu_us={"servers": max(0.0, family - own) * 1e6 / units, "(client)": own * 1e6 / units},
    )


def batches(seed: int, writer: str, count: int, rows: int) -> Iterator[dict[str, object]]:
    """What ingest appends for `count` commands of so many messages each, all in one session."""
    texts = Texts(seed)
    stream = session_stream(SCOPE, writer)
    for number in range(count):
        command, version = f"{writer}-{number:07}", number * rows
        events = [_event(texts.message(), stream, writer, version + one, command) for one in range(1, rows + 1)]
        outcome = CommandOutcome(id=command, tenant=SCOPE.tenant, outcome=b'{"created":true}', position=rows)
        session = SessionRow(stream=stream, scope=SCOPE, session_id=writer, version=version + rows, alive=True)
        yield parameters(Batch(events=events, commands=[outcome], sessions=[session]), START_MS)


def _event(text: str, stream: str, session: str, version: int, command: str) -> NewEvent:
    said = TimelineEvent(event_id=f"{session}-{version:07}", session_id=session, timestamp_ms=START_MS + version, text=text)
    return NewEvent(
        stream=stream,
        version=version,
        type="EventRecorded",
        scope=SCOPE,
        data=encode(EventRecorded(event=said)),
        metadata=encode({"causation_id": command}),
        event_id=said.event_id,
        timestamp_ms=said.timestamp_ms,
    )
