"""Composition root of the rollup: the only file that makes things."""

from agent_memory.contracts.streams import CONTENTS, EVENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.progress import Ledger
from agent_memory.rollup.handlers import TYPES, KeepContents
from agent_memory.rollup.settings import DEFAULTS, RollupSettings
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings

SERVICE = "rollup"


async def serve(settings: Settings, own: RollupSettings = DEFAULTS) -> None:
    """Keep the table of contents until the process is told to stop."""
    redis, broker, connections = connect_redis(settings.redis_url), make_broker(settings), Connections(settings.database_url)
    log = LogReader(connections)
    projection = Projection(name=CONTENTS, types=TYPES, apply=KeepContents(redis).apply)
    runner = Runner(projection, log=log, ledger=Ledger(redis, CONTENTS), redis=redis)
    subscribe(
        broker,
        EVENTS,
        CONTENTS,
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
