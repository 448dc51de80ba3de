"""Composition root of ingest: the only file of the service that makes things. `python -m agent_memory.ingest.app`."""

from agent_memory.contracts.job_catalogue import OUTBOX_PROCESSOR, STREAM_TRIM
from agent_memory.contracts.streams import COMMANDS, INGEST_GROUP
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest.group_commit import GroupCommit
from agent_memory.ingest.handlers import Ingest
from agent_memory.ingest.outbox import Outbox
from agent_memory.ingest.reconcile import Reconciler
from agent_memory.ingest.settings import DEFAULTS, IngestSettings
from agent_memory.runtime import service, telemetry
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.job_bodies import JobBodies
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.settings import Settings

SERVICE = "ingest"


async def serve(settings: Settings, own: IngestSettings = DEFAULTS) -> None:
    """Runs ingest and its relay until told to stop."""
    redis = connect_redis(settings.redis_url)
    apart = settings.views_redis_url != settings.redis_url
    views = connect_redis(settings.views_redis_url) if apart else redis
    connections = Connections(settings.database_url, size=own.connections)
    reader = LogReader(connections)

    def on_published(count: int, position: int) -> None:
        telemetry.RELAY_POSITION.set(position)

    relay = Relay(settings.database_url, reader, redis, on_published=on_published)
    ingest = Ingest(EventStore(connections), redis, relay, views=views)
    commits = GroupCommit(ingest, batch=own.batch)
    reconciler = Reconciler(connections, views, redis)
    outbox = Outbox(redis, reader, relay)
    jobs = JobBodies(redis, SERVICE, {OUTBOX_PROCESSOR: outbox.check, STREAM_TRIM: outbox.trim})
    broker = make_broker(settings)
    subscribe(
        broker,
        COMMANDS,
        INGEST_GROUP,
        replica_name(settings),
        commits.offer,
        batch=own.batch,
        claim_after_ms=own.claim_after_ms,
    )

    await service.run(
        settings,
        SERVICE,
        redis=redis,
        broker=broker,
        tasks=[commits.write, commits.answer, relay.run, reconciler.run, jobs.run],
        drain=commits.drain,
        checks={"postgres": answers(reader.head), "redis": answers(redis.ping)}
        | ({"working memory": answers(views.ping)} if apart else {}),
    )
    await connections.close()
    await views.aclose()
    await redis.aclose()


if __name__ == "__main__":
    start(SERVICE, serve)
