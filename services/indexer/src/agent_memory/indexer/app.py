"""Composition root of the indexer: the only file of the service that makes things. `python -m agent_memory.indexer.app`."""

from datetime import UTC, datetime
from functools import partial

from agent_memory.contracts.job_catalogue import INDEX_CHECK
from agent_memory.contracts.streams import EVENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.counts import CountReader
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.indexer.checking import PROJECTION_OF, CheckIndexes, Rebuild
from agent_memory.indexer.handlers import IndexEvents
from agent_memory.indexer.settings import IndexerSettings
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.indexing import Indexing
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.retiring import since_ms
from agent_memory.runtime import service
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.embed import create_embedder
from agent_memory.runtime.job_bodies import JobBodies
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.settings import Settings

SERVICE = "indexer"
DEFAULTS = IndexerSettings()


async def serve(settings: Settings, own: IndexerSettings = DEFAULTS) -> None:
    """Keeps the indexes until told to stop. Each has a projection of its own, so a long import never delays a memory."""
    redis, broker = connect_redis(settings.redis_url), make_broker(settings)
    connections = Connections(settings.database_url, size=own.connections)
    reader, vectors = CountReader(connections), EmbeddingStore(connections)
    embedder = create_embedder(settings)
    messages_too = settings.index_all_messages_in_long_term_memory

    def since() -> int | None:
        return since_ms(settings.timeline_search_months, datetime.now(UTC))

    tasks: list[service.Task] = []
    rebuild: dict[Kind, Rebuild] = {}
    for kind, name in PROJECTION_OF.items():
        indexing = Indexing(kind, redis, embedder, vectors, messages_too=messages_too, since=since)
        handler = IndexEvents(indexing, redis, embedder, settings.redisvl_indexing_algorithm)
        runner = Runner(
            Projection(
                name=name,
                types=indexing.types,
                apply=handler.apply,
                linger_seconds=own.linger_seconds,
                eager_seconds=0.0 if kind == "memory" else own.gather_seconds,
                rest=0.0 if kind == "memory" else own.timeline_rest,
            ),
            log=reader,
            ledger=Ledger(redis, name),
            redis=redis,
        )
        subscribe(broker, EVENTS, name, replica_name(settings), runner.handle, batch=own.batch, claim_after_ms=own.claim_after_ms)
        rebuild[kind] = partial(built_anew, handler, reader)
        tasks += [runner.sweep, lambda handler=handler: handler.watch(reader)]  # type: ignore[misc]
    check = CheckIndexes(redis, reader, rebuild, messages_too=messages_too, since=since)
    tasks += [check.run, JobBodies(redis, SERVICE, {INDEX_CHECK: check.check}).run]
    await service.run(
        settings,
        SERVICE,
        redis=redis,
        broker=broker,
        tasks=tasks,
        checks={"redis": answers(redis.ping), "postgres": answers(reader.head)},
    )
    await embedder.close()
    await connections.close()
    await redis.aclose()


async def built_anew(handler: IndexEvents, reader: CountReader) -> None:
    """Replaces one index by what the log says."""
    await handler.rebuild(reader, await handler.ensure())


if __name__ == "__main__":
    start(SERVICE, serve)
