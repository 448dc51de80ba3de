"""Scheduled jobs: where they stand, from the view or the log, and commands to change that."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.commands import PauseJob, ResumeJob, RunJobNow
from agent_memory.contracts.errors import NotFound, Refused, Unavailable
from agent_memory.contracts.job_catalogue import Job, following, milliseconds
from agent_memory.contracts.jobs import JobRun, JobState, JobStatus, SchedulerStatus
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import JOBS, job_stream
from agent_memory.eventlog.newest import NewestReader
from agent_memory.gateway.ports import Answer, CommandBus, Projections
from agent_memory.readmodels import jobs
from agent_memory.runtime.service import is_alive

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.01, 0.1
SYSTEM = Scope()
"""Jobs are of the whole system, whoever asks; their streams are of one tenant."""


class ScheduledJobs:
    """The port `Jobs`. A change is answered when the view shows it, or after `patience` seconds."""

    def __init__(
        self,
        scheduled: Sequence[Job],
        redis: Redis,
        log: NewestReader,
        bus: CommandBus,
        projections: Projections,
        *,
        patience: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._jobs = {job.name: job for job in scheduled}
        self._redis = redis
        self._log = log
        self._bus = bus
        self._projections = projections
        self._patience = patience
        self._clock = clock

    async def status(self) -> SchedulerStatus:
        """All jobs, in the order of the catalogue. Raises Unavailable."""
        try:
            known = await jobs.states(self._redis)
            alive = await is_alive(self._redis, "scheduler")
        except (RedisError, OSError) as error:
            raise Unavailable("it cannot be told how jobs stand: Redis is not reachable") from error
        if missing := self._jobs.keys() - known.keys():
            known |= await self._from_log(missing)
        now = self._clock()
        shown = [status_of(job, known.get(name, JobState()), now) for name, job in self._jobs.items()]
        return SchedulerStatus(scheduler_running=alive, jobs=shown)

    async def history(self, job: str, limit: int = jobs.KEPT_RUNS) -> list[JobRun]:
        """The last runs, the newest first. Raises NotFound, Unavailable."""
        self._job(job)
        try:
            return await jobs.runs(self._redis, job, limit)
        except (RedisError, OSError) as error:
            raise Unavailable("it cannot be told how jobs ran: Redis is not reachable") from error

    async def pause(self, job: str, **about: str) -> Answer:
        """Pass over what comes due. Raises NotFound, Unavailable."""
        return await self._changed(PauseJob(job=self._job(job).name), about)

    async def resume(self, job: str, **about: str) -> Answer:
        """Run again what comes due. Raises NotFound, Unavailable, Refused when the settings have it off."""
        if self._job(job).off:
            raise Refused(f"Job is off by JOB_SCHEDULES: {job}")
        return await self._changed(ResumeJob(job=job), about)

    async def run_now(self, job: str, **about: str) -> Answer:
        """Have it run at once. Raises NotFound, Conflict while it runs, Unavailable."""
        return await self._changed(RunJobNow(job=self._job(job).name), about)

    def _job(self, name: str) -> Job:
        found = self._jobs.get(name)
        if found is None:
            raise NotFound(f"Job not found: {name}")
        return found

    async def _changed(self, command: PauseJob | ResumeJob | RunJobNow, about: dict[str, str]) -> Answer:
        answer = await self._bus.ask(SYSTEM, command, **about)
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, FIRST_PAUSE_SECONDS
        while not await self._projections.covers(JOBS, answer.position) and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
        return answer

    async def _from_log(self, names: set[str]) -> dict[str, JobState]:
        """What the view does not have: it was flushed, or they never ran."""
        streams = {job_stream(SYSTEM.tenant, name): name for name in names}
        return {streams[found.stream]: jobs.state_of(found.event) for found in await self._log.newest_of(list(streams))}


def status_of(job: Job, state: JobState, now: datetime) -> JobStatus:
    """A job as it is shown."""
    due, last = following(job.schedule, now), state.last
    return JobStatus(
        job_name=job.name,
        cron_expr=job.schedule.expression,
        next_run_ms=0 if due is None or job.off else milliseconds(due),
        run_count=state.run_count,
        error_count=state.error_count,
        is_running=state.running is not None,
        is_paused=state.paused or job.off,
        time_zone=job.schedule.zone,
        meaning=job.meaning,
        service=job.service,
        last_run_ms=0 if last is None else last.started_ms,
        last_duration_ms=0 if last is None else last.finished_ms - last.started_ms,
        last_result=None if last is None else last.result,
        last_error=None if last is None else last.error,
        last_run_metadata={} if last is None else last.metadata,
    )
