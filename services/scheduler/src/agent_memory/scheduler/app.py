"""Composition root of the scheduler: the only file that makes things."""

from agent_memory.contracts.streams import EVENTS, JOBS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.newest import NewestReader
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.job_settings import jobs_of
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings
from agent_memory.scheduler.handlers import TYPES, KeepJobs, SendTicks
from agent_memory.scheduler.runs import RunJobs
from agent_memory.scheduler.settings import DEFAULTS, SchedulerSettings

SERVICE = "scheduler"


async def serve(settings: Settings, own: SchedulerSettings = DEFAULTS) -> None:
    """Keep what is known of jobs, send their ticks and see to their runs until the process is told to stop."""
    redis, broker, connections = connect_redis(settings.redis_url), make_broker(settings), Connections(settings.database_url)
    log, scheduled = NewestReader(connections), jobs_of(settings)
    replica = replica_name(settings)
    runs = RunJobs(redis, log, Commanding(redis, log, f"{SERVICE}:{replica}"), scheduled, own, runner=replica)
    projection = Projection(name=JOBS, types=TYPES, apply=KeepJobs(redis, runs.wake).apply)
    runner = Runner(projection, log=log, ledger=Ledger(redis, JOBS), redis=redis)
    subscribe(
        broker,
        EVENTS,
        JOBS,
        replica,
        runner.handle,
        batch=own.batch,
        claim_after_ms=own.claim_after_ms,
    )
    ticks = SendTicks(redis, scheduled, own)
    checks = {"redis": answers(redis.ping), "postgres": answers(log.head)}
    await run(settings, SERVICE, redis=redis, broker=broker, tasks=[runner.sweep, ticks.run, runs.run], checks=checks)
    await connections.close()
    await redis.aclose()


if __name__ == "__main__":
    start(SERVICE, serve)
