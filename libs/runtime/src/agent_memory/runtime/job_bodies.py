"""What a service does when one of its jobs is run: `JobBodies(redis, "rollup", {"a-job": body})`, and its `run` among the tasks.

A scheduler puts the request into a hash of the service, job to request, and looks for the answer under a key of its own. The
replica that holds the job's lease does it; when that one dies, the lease runs out and another does it again. So a body may be done
twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import MemoryFault
from agent_memory.contracts.jobs import JobAnswer, RunJob
from agent_memory.contracts.streams import job_answer_key, job_runs_key
from agent_memory.runtime import telemetry
from agent_memory.runtime.leases import Leases

ANSWER_SECONDS = 600
LOOK_SECONDS = 1.0
LEASE_MS = 10_000

# KEYS: the requests of a service. ARGV: job, request.
WITHDRAW = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end return 0"

Body = Callable[[int], Awaitable[Mapping[str, str]]]
"""Does a job that was due at a time (UTC milliseconds) and tells about it in a few words. What it raises is why it failed."""

log = structlog.get_logger(__name__)
_request = msgspec.json.Decoder(RunJob).decode


class JobBodies:
    """The jobs of one service. Any number of replicas may run."""

    def __init__(
        self,
        redis: Redis,
        service: str,
        bodies: Mapping[str, Body],
        *,
        lease_ms: int = LEASE_MS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._redis = redis
        self._service = service
        self._bodies = bodies
        self._look_seconds = look_seconds
        self._leases = Leases(redis, "job-body", lease_ms=lease_ms)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled; what was begun is then left to others."""
        try:
            while True:
                try:
                    await self.look()
                except (RedisError, OSError) as error:
                    log.warning("jobs put off", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._look_seconds)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def look(self) -> None:
        """Begin what was asked and is not begun. Raises redis.RedisError."""
        asked = await cast(Awaitable[dict[bytes, bytes]], self._redis.hgetall(job_runs_key(self._service)))
        for field, raw in asked.items():
            if (job := field.decode()) not in self._running:
                task = self._running[job] = asyncio.create_task(self._seen_through(job, raw))
                task.add_done_callback(lambda _, job=job: self._running.pop(job, None))  # type: ignore[misc]

    async def idle(self) -> None:
        """Returns when what was begun has ended."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _seen_through(self, job: str, raw: bytes) -> None:
        try:
            async with self._leases.held(job) as mine:
                if mine:
                    await self._answered(raw)
                    await self._redis.eval(WITHDRAW, 1, job_runs_key(self._service), job, raw)
        except (RedisError, OSError) as error:
            log.warning("job left to others", job=job, error=f"{type(error).__name__}: {error}")

    async def _answered(self, raw: bytes) -> None:
        try:
            request = _request(raw)
        except msgspec.MsgspecError as error:
            telemetry.ERRORS.labels("job.request", type(error).__name__).inc()
            log.error("not a request", error=str(error))
            return
        key = job_answer_key(request.id)
        if not await self._redis.exists(key) and (answer := await self._done(request)) is not None:
            await self._redis.set(key, encode(answer), ex=ANSWER_SECONDS)

    async def _done(self, request: RunJob) -> JobAnswer | None:
        """None when the time is over: whoever asked has said so by itself."""
        body, seconds = self._bodies.get(request.job), request.deadline_ms / 1000 - time.time()
        if body is None:
            return JobAnswer(error=f"{self._service} does not do this job")
        seconds_of = telemetry.JOB_SECONDS.labels(request.job)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                with telemetry.measured(f"job.{request.job}", seconds_of, "job.do", request.traceparent):
                    return JobAnswer(metadata=dict(await body(request.due_ms)))
        except TimeoutError:
            if time.time() * 1000 >= request.deadline_ms:
                log.warning("job took too long", job=request.job)
                return None
            return JobAnswer(error="TimeoutError")
        except MemoryFault as error:
            return JobAnswer(error=error.detail)
        except Exception as error:
            # outermost loop of this run: named, counted by `measured`, and told to whoever asked
            log.error("job failed", job=request.job, exc_info=error)
            return JobAnswer(error=f"{type(error).__name__}: {error}")
