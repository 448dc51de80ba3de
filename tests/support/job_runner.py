"""A scheduler's runner of jobs, and a service that does one, as rooms in a test and as processes that can be killed.

`python -m support.job_runner runner|service DATABASE_URL REDIS_URL NAME LEASE_MS` works until it is told to stop. The service's job
takes as long as the key `test:hold` is there, and each time it is begun is pushed to `test:begun`.
"""

import asyncio
import sys

from redis.asyncio import Redis

from agent_memory.contracts.cron import parse
from agent_memory.contracts.job_catalogue import Job
from agent_memory.contracts.streams import heartbeat_key
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.newest import NewestReader
from agent_memory.readmodels import jobs
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.job_bodies import JobBodies
from agent_memory.scheduler.runs import RunJobs
from agent_memory.scheduler.settings import SchedulerSettings
from support.controls import wait_until

HOLD, BEGUN = "test:hold", "test:begun"
JOB = Job(name="a-job", schedule=parse("0 0 * * * *"), meaning="", service="helper", timeout_seconds=30)
QUICK = SchedulerSettings(runs_every_seconds=0.02, ask_again_seconds=0.2, most_missed=3)


class Runner:
    """One scheduler's runner."""

    def __init__(self, database_url: str, redis_url: str, name: str, *, lease_ms: int = 10_000, job: Job = JOB) -> None:
        self.connections = Connections(database_url)
        self.redis = Redis.from_url(redis_url, protocol=2)
        log = NewestReader(self.connections)
        own = SchedulerSettings(
            runs_every_seconds=QUICK.runs_every_seconds,
            ask_again_seconds=QUICK.ask_again_seconds,
            most_missed=QUICK.most_missed,
            lease_ms=lease_ms,
        )
        self.runs = RunJobs(self.redis, log, Commanding(self.redis, log, name), [job], own, runner=name)

    async def close(self) -> None:
        """Let go of everything."""
        await self.connections.close()
        await self.redis.aclose()


async def body(redis: Redis, due_ms: int) -> dict[str, str]:
    """The job of the service."""
    await redis.rpush(BEGUN, due_ms)
    await wait_until(lambda: _let_go(redis), "the job may end", 60)
    return {"held": "no"}


async def _let_go(redis: Redis) -> bool:
    return not await redis.exists(HOLD)


async def serve(redis_url: str, name: str, lease_ms: int) -> None:
    """The service, alive."""
    redis = Redis.from_url(redis_url, protocol=2)
    await redis.hset(heartbeat_key(JOB.service), name, 2**42)
    await JobBodies(redis, JOB.service, {JOB.name: lambda due_ms: body(redis, due_ms)}, lease_ms=lease_ms, look_seconds=0.02).run()


async def main(kind: str, database_url: str, redis_url: str, name: str, lease_ms: str) -> None:
    """Work."""
    if kind == "service":
        await serve(redis_url, name, int(lease_ms))
    else:
        await Runner(database_url, redis_url, name, lease_ms=int(lease_ms)).runs.run()


async def states(redis: Redis) -> jobs.JobState:
    """Where the job stands."""
    return (await jobs.states(redis)).get(JOB.name, jobs.JobState())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
