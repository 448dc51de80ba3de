"""Composition root of the summarizer: the only file that makes things."""

from agent_memory.contracts.streams import EVENTS, SEGMENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer.handlers import TYPES, KeepSegments
from agent_memory.summarizer.settings import DEFAULTS, SummarizerSettings

SERVICE = "summarizer"


async def serve(settings: Settings, own: SummarizerSettings = DEFAULTS) -> None:
    """Keep the segments of sessions until the process is told to stop."""
    redis, broker, connections = connect_redis(settings.redis_url), make_broker(settings), Connections(settings.database_url)
    log = LogReader(connections)
    projection = Projection(name=SEGMENTS, types=TYPES, apply=KeepSegments(redis, log.stream).apply)
    runner = Runner(projection, log=log, ledger=Ledger(redis, SEGMENTS), redis=redis)
    subscribe(
        broker,
        EVENTS,
        SEGMENTS,
        replica_name(settings),
        runner.handle,
        batch=own.batch,
        claim_after_ms=own.claim_after_ms,
    )
    checks = {"redis": answers(redis.ping), "postgres": answers(log.head)}
    await run(settings, SERVICE, redis=redis, broker=broker, tasks=[runner.sweep], checks=checks)
    await connections.close()
    await redis.aclose()


if __name__ == "__main__":
    start(SERVICE, serve)
