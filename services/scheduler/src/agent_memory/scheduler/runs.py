"""Sees runs of jobs through: begins those that wait, asks the service that does them, and records how they ended.

Of several schedulers the one that holds the job's lease does so. When it dies, the next one goes on with the same run: the request
has the same name, so what was answered meanwhile counts, and when the time of the run is over it is recorded as failed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import MemoryFault
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.job_catalogue import Job, milliseconds
from agent_memory.contracts.jobs import JobAnswer, JobState, RunJob, RunningJob
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import job_answer_key, job_runs_key, job_stream
from agent_memory.readmodels import jobs
from agent_memory.runtime import telemetry
from agent_memory.runtime.job_bodies import WITHDRAW
from agent_memory.runtime.leases import Leases
from agent_memory.runtime.service import is_alive
from agent_memory.scheduler import domain
from agent_memory.scheduler.settings import SchedulerSettings

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.02, 0.25

log = structlog.get_logger(__name__)
_answer = msgspec.json.Decoder(JobAnswer).decode


class Log(Protocol):
    """What is asked of the log."""

    async def newest(self, stream: str) -> AnyEvent | None: ...


class Sender(Protocol):
    """The way to the only writer of the log."""

    async def send(self, envelopes: Sequence[CommandEnvelope]) -> dict[str, ReplyEnvelope]: ...


class RunJobs:
    """Any number of these may run. `runner`: a name that no other has."""

    def __init__(
        self,
        redis: Redis,
        log: Log,
        sender: Sender,
        scheduled: Sequence[Job],
        own: SchedulerSettings,
        *,
        runner: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._log = log
        self._sender = sender
        self._jobs = {job.name: job for job in scheduled}
        self._own = own
        self._runner = runner
        self._clock = clock
        self._leases = Leases(redis, "job-run", lease_ms=own.lease_ms)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once: a run may wait."""
        self._woken.set()

    async def run(self) -> None:
        """Look again and again, until cancelled. What goes on then is gone on with by the next."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.look()
                except (RedisError, OSError) as error:
                    telemetry.ERRORS.labels("job.run", type(error).__name__).inc()
                    log.warning("runs put off", error=f"{type(error).__name__}: {error}")
                try:
                    await asyncio.wait_for(self._woken.wait(), self._own.runs_every_seconds)
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def look(self) -> None:
        """See to every job that has a run waiting or going on. Raises redis.RedisError."""
        for name, state in (await jobs.states(self._redis)).items():
            if (state.waiting or state.running) and name in self._jobs and name not in self._tasks:
                task = self._tasks[name] = asyncio.create_task(self._seen_to(self._jobs[name]))
                task.add_done_callback(lambda _, name=name: self._tasks.pop(name, None))  # type: ignore[misc]

    async def idle(self) -> None:
        """Returns when what was begun has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _seen_to(self, job: Job) -> None:
        try:
            async with self._leases.held(job.name) as mine:
                if mine:
                    await self._seen_through(job)
        except (MemoryFault, RedisError, OSError) as error:
            telemetry.ERRORS.labels("job.run", type(error).__name__).inc()
            log.warning("run put off", job=job.name, error=f"{type(error).__name__}: {error}")

    async def _seen_through(self, job: Job) -> None:
        state = await self._state(job)
        if state.running is None and state.waiting is not None:
            await self._sender.send([domain.start(job, state.waiting, self._runner, self._clock())])
            state = await self._state(job)
        if state.running is None:
            return
        log.info("job runs", job=job.name, due_ms=state.running.due_ms, runner=state.running.runner)
        answer = await self._answer(job, state.running)
        await self._sender.send([domain.finish(job.name, state.running, answer, self._clock())])
        log.info("job ended", job=job.name, due_ms=state.running.due_ms, error=answer.error, **answer.metadata)

    async def _state(self, job: Job) -> JobState:
        return jobs.state_of(await self._log.newest(job_stream(Scope().tenant, job.name)))

    async def _answer(self, job: Job, running: RunningJob) -> JobAnswer:
        """How the run went, asked of its service; the same however often it is asked. Ends at the deadline at the latest."""
        begin_ms = running.started_ms + running.jitter_ms
        # Not longer than that, whatever the clock says that it was begun by.
        await asyncio.sleep(min(max(0, begin_ms - milliseconds(self._clock())), running.jitter_ms) / 1000)
        request = encode(
            RunJob(id=f"{job.name}/{running.due_ms}", job=job.name, due_ms=running.due_ms, deadline_ms=running.deadline_ms)
        )
        key, pause, look_at, missed = job_answer_key(f"{job.name}/{running.due_ms}"), FIRST_PAUSE_SECONDS, 0.0, 0
        while (found := await self._redis.get(key)) is None:
            if milliseconds(self._clock()) > running.deadline_ms:
                return await self._given_up(job, request, running.overdue)
            if time.monotonic() > look_at:
                look_at = time.monotonic() + self._own.ask_again_seconds
                missed = 0 if await is_alive(self._redis, job.service) else missed + 1
                if missed > self._own.most_missed:
                    return await self._given_up(job, request, f"no replica of {job.service} is alive")
                # Again and again: a flush takes it away. One that was answered meanwhile is not done again.
                await cast(Awaitable[int], self._redis.hset(job_runs_key(job.service), job.name, request))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
        return _answer(found)

    async def _given_up(self, job: Job, request: bytes, why: str) -> JobAnswer:
        await self._redis.eval(WITHDRAW, 1, job_runs_key(job.service), job.name, request)
        return JobAnswer(error=why)
