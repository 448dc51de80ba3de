"""In-memory twin of the port `Jobs`: what the commands that were sent amount to, with nobody who runs anything."""

from collections.abc import Callable
from datetime import datetime

from agent_memory.contracts.commands import PauseJob, ResumeJob, RunJobNow
from agent_memory.contracts.errors import Conflict, NotFound
from agent_memory.contracts.job_catalogue import JOBS
from agent_memory.contracts.jobs import JobRun, JobState, RunningJob, SchedulerStatus
from agent_memory.contracts.records import Scope
from agent_memory.gateway.gateway import utc_now
from agent_memory.gateway.jobs import status_of
from agent_memory.gateway.ports import Answer, CommandBus


class MemoryJobs:
    """Jobs of the catalogue. `states` and `runs` may be set by name; `alive`: whether there is a scheduler."""

    def __init__(self, bus: CommandBus, clock: Callable[[], datetime] = utc_now) -> None:
        self._bus = bus
        self._clock = clock
        self.states: dict[str, JobState] = {job.name: JobState() for job in JOBS}
        self.runs: dict[str, list[JobRun]] = {}
        self.alive = True

    async def status(self) -> SchedulerStatus:
        """All jobs."""
        now = self._clock()
        return SchedulerStatus(scheduler_running=self.alive, jobs=[status_of(job, self.states[job.name], now) for job in JOBS])

    async def history(self, job: str, limit: int = 50) -> list[JobRun]:
        """Runs as they were set."""
        self._known(job)
        return self.runs.get(job, [])[:limit]

    async def pause(self, job: str, **about: str) -> Answer:
        """Note that it is paused."""
        self.states[self._known(job)] = JobState(paused=True)
        return await self._bus.ask(Scope(), PauseJob(job=job), **about)

    async def resume(self, job: str, **about: str) -> Answer:
        """Note that it is not."""
        self.states[self._known(job)] = JobState()
        return await self._bus.ask(Scope(), ResumeJob(job=job), **about)

    async def run_now(self, job: str, **about: str) -> Answer:
        """It runs for ever."""
        if self.states[self._known(job)].running is not None:
            raise Conflict(f"Job is running: {job}")
        self.states[job] = JobState(running=RunningJob(due_ms=1, started_ms=1, runner="nobody"))
        return await self._bus.ask(Scope(), RunJobNow(job=job), **about)

    def _known(self, job: str) -> str:
        if job not in self.states:
            raise NotFound(f"Job not found: {job}")
        return job
