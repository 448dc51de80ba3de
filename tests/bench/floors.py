"""What Postgres, Redis and the web framework do alone, with the very rows, bodies and documents of the product."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.queries import MemoryFilters
from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, index_name
from agent_memory.eventlog.tables import events
from agent_memory.readmodels import statements
from agent_memory.readmodels.documents import Value, memory_document
from agent_memory.readmodels.filters import compile_filters
from agent_memory.readmodels.schemas import create_index
from agent_memory.runtime.embed_hash import HashEmbedder
from bench import bare, processes
from bench.figures import Run, percentiles
from bench.measuring import measure
from bench.plan import Turn
from bench.sites import Site, python_process
from bench.texts import Texts
from bench.workloads import CORPUS, NAMESPACES, Job, search_filters, session_body
from support.servers import Servers, flush, fresh_database

_COLUMNS = ", ".join(column.name for column in events.columns)
INSERT = f"INSERT INTO events ({_COLUMNS}) VALUES ({', '.join(['%s'] * len(events.columns))})"
COPY = f"COPY events ({_COLUMNS}) FROM STDIN"
SCOPE = Scope(namespace="floor")
EVENTS_PER_SESSION = 1_000
GENERATION = 900


class Floors:
    """Measurements on servers that nobody else uses."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    @property
    def redis_url(self) -> str:
        """Of the Redis that is measured."""
        return self._servers.redis_url

    def insert(self, turn: Turn, *, count: int, rows_at_once: int, copy: bool = False) -> Run:
        """Rows of the events table, its indexes kept; a commit per batch, synchronous, one connection."""
        rows = _event_rows(turn.seed, turn.count(count))
        batches = [rows[first : first + rows_at_once] for first in range(0, len(rows), rows_at_once)]
        with fresh_database(self._servers) as url, psycopg.connect(url, autocommit=True) as connection:
            connection.prepare_threshold = 0
            with connection.cursor() as cursor:

                def insert(batch: Sequence[tuple[object, ...]]) -> None:
                    if len(batch) == 1:
                        cursor.execute(INSERT, batch[0])
                        return
                    with connection.transaction():
                        cursor.executemany(INSERT, batch)

                def copy_in(batch: Sequence[tuple[object, ...]]) -> None:
                    with cursor.copy(COPY) as copying:
                        for row in batch:
                            copying.write_row(row)

                return timed(copy_in if copy else insert, batches)

    def xadd(self, turn: Turn, *, count: int, in_a_pipeline: int) -> Run:
        """The body of a PUT of 20 messages onto a stream, append-only file on."""
        body = document()

        def add(redis: "Redis", _: int) -> None:
            pipe = redis.pipeline(transaction=False)
            for _ in range(in_a_pipeline):
                pipe.xadd(COMMANDS, {DATA_FIELD: body})
            pipe.execute()

        return self._redis(add, turn.count(count), in_a_pipeline)

    def get(self, turn: Turn, *, count: int) -> Run:
        """A document of 5 KB, one after the other."""

        def read(redis: "Redis", _: int) -> None:
            redis.get(bare.KEY)

        return self._redis(read, turn.count(count), 1, before=lambda redis: redis.set(bare.KEY, document()))

    def hset(self, turn: Turn, *, count: int, dimensions: int) -> Run:
        """Documents of memories into an index of the same schema, 100 in a pipeline. The index is left for `knn` to search."""
        documents = _documents(turn.seed, turn.count(count), dimensions)
        flush(self._servers.redis_url)
        asyncio.run(_make_index(self._servers.redis_url, dimensions))
        with Redis.from_url(self._servers.redis_url, protocol=2) as redis:

            def write(batch: Sequence[tuple[str, dict[str, Value]]]) -> None:
                pipe = redis.pipeline(transaction=False)
                for key, fields in batch:
                    pipe.hset(key, mapping=fields)
                pipe.execute()

            run = timed(write, [documents[first : first + 100] for first in range(0, len(documents), 100)])
            info: list[Any] = redis.execute_command("FT.INFO", index_name("memory", GENERATION))
            facts = dict(zip(info[::2], info[1::2], strict=True))
            run.notes.append(f"{int(facts[b'num_docs'])} documents indexed, failures {int(facts[b'hash_indexing_failures'])}")
            return run

    def knn(self, turn: Turn, *, count: int, dimensions: int, documents: int, k: int) -> Run:
        """Nearest neighbours under a namespace and topics, one connection, in an index that `hset` left or that is made now."""
        with Redis.from_url(self._servers.redis_url, protocol=2) as redis:
            if redis.dbsize() < turn.count(documents):
                self.hset(turn, count=documents, dimensions=dimensions)
            texts, picks = Texts(turn.seed + 1), random.Random(turn.seed)
            asked = [
                statements.nearest(index_name("memory", GENERATION), _where(picks), vector, k, None, ("record",))
                for vector in HashEmbedder(dimensions).vectors([texts.question() for _ in range(turn.count(count))])
            ]
            return timed(lambda batch: redis.execute_command(*batch[0]), [[one] for one in asked])

    def litestar(self, turn: Turn, *, count: int, clients: int) -> Run:
        """The same document over HTTP, with nothing between the framework and Redis."""
        with Redis.from_url(self._servers.redis_url) as redis:
            redis.set(bare.KEY, document())
        with _bare_site(self._servers.redis_url) as site:
            return measure(site, turn.job(site, "path", count=turn.count(count), clients=clients, mode="/document"))

    def _redis(
        self,
        act: Callable[["Redis", int], None],
        count: int,
        per_call: int,
        before: Callable[["Redis"], object] = lambda _: None,
    ) -> Run:
        flush(self._servers.redis_url)
        with Redis.from_url(self._servers.redis_url, protocol=2) as redis:
            before(redis)
            run = timed(lambda batch: act(redis, batch[0]), [[number] for number in range(count // per_call)])
            run.units *= per_call
            run.cpu_us = {name: one / per_call for name, one in run.cpu_us.items()}
            return run


def document() -> bytes:
    """5 KB of JSON: a working memory of 20 messages."""
    job = Job(workload="put", host="", port=0, tag="floor", seed=0, count=1, size=20)
    return encode(session_body(job, Texts(0), "floor"))


def timed(act: Callable[[Any], object], batches: Sequence[Sequence[Any]]) -> Run:
    """Calls `act` with each batch, the first tenth as a warm-up."""
    warm = len(batches) // 10
    for batch in batches[:warm]:
        act(batch)
    latencies = []
    own, family = time.process_time(), processes.cpu_seconds(os.getpid())
    started = last = time.perf_counter()
    for batch in batches[warm:]:
        act(batch)
        now = time.perf_counter()
        latencies.append(now - last)
        last = now
    own, family = time.process_time() - own, processes.cpu_seconds(os.getpid()) - family
    units = sum(len(batch) for batch in batches[warm:])
    return Run(
        seconds=last - started,
        requests=len(latencies),
        units=units,
        latency_ms=percentiles(latencies),
        cpu_us={"servers": max(0.0, family - own) * 1e6 / units, "(client)": own * 1e6 / units},
    )


def _event_rows(seed: int, count: int) -> list[tuple[object, ...]]:
    texts = Texts(seed)
    rows: list[tuple[object, ...]] = []
    for number in range(count):
        said = TimelineEvent(
            event_id=f"floor-{number}",
            session_id=f"floor-{number // EVENTS_PER_SESSION}",
            timestamp_ms=1_772_000_000_000 + number,
            event_type="user_message",
            text=texts.message(),
        )
        stream, version = f"session/{SCOPE.path}/{said.session_id}", number % EVENTS_PER_SESSION + 1
        data = encode(EventRecorded(event=said)).decode()
        scope = (SCOPE.tenant, SCOPE.namespace, SCOPE.user_id, SCOPE.path)
        rows.append(
            (number + 1, stream, version, "EventRecorded", *scope, said.event_id, said.timestamp_ms, data, "{}", said.timestamp_ms)
        )
    return rows


def _documents(seed: int, count: int, dimensions: int) -> list[tuple[str, dict[str, Value]]]:
    texts, now = Texts(seed), datetime(2026, 3, 2, tzinfo=UTC)
    records = [
        MemoryRecord(
            id=f"floor-{number}",
            text=texts.sentence(),
            namespace=f"{CORPUS}-{number % NAMESPACES}",
            topics=texts.topics(),
            created_at=now,
            last_accessed=now,
            updated_at=now,
        )
        for number in range(count)
    ]
    vectors = HashEmbedder(dimensions).vectors([record.text for record in records])
    made = [memory_document(record, SCOPE.tenant, 1, vector) for record, vector in zip(records, vectors, strict=True)]
    return [(f"am:doc:memory:{GENERATION}:{one.id}", one.fields) for one in made]


def _where(picks: random.Random) -> str:
    return compile_filters(SCOPE.tenant, msgspec.convert(search_filters(picks), MemoryFilters))


async def _make_index(redis_url: str, dimensions: int) -> None:
    async with AsyncRedis.from_url(redis_url, protocol=2) as redis:
        await create_index(redis, "memory", GENERATION, dimensions, "HNSW")


@contextmanager
def _bare_site(redis_url: str) -> Iterator[Site]:
    with python_process("-m", "bench.bare", redis_url) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield Site(f"http://127.0.0.1:{port}", lambda: {"litestar": process.pid})
