"""Which jobs are due, and what is sent about them. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from agent_memory.contracts.commands import Command, FinishJob, StartJob, Tick
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.job_catalogue import Job, following, jitter_ms, latest, milliseconds
from agent_memory.contracts.jobs import CLOCKS_DIFFER_MS, DueRun, JobAnswer, RunningJob
from agent_memory.contracts.records import Scope


def due(jobs: Iterable[Job], last: Mapping[str, int], now: datetime) -> list[Tick]:
    """A tick for each job that came due since its last one (UTC milliseconds by name): after downtime one, not one per time missed.

    A job that was never heard of is due as of its latest time, so that all schedulers mean the same tick.
    """
    ticks = []
    for job in jobs:
        time, told_ms = None if job.off else latest(job.schedule, now), last.get(job.name, -1)
        if time is not None and ((due_ms := milliseconds(time)) > told_ms or told_ms > milliseconds(now) + CLOCKS_DIFFER_MS):
            ticks.append(Tick(job=job.name, due_ms=due_ms))
    return ticks


def next_due(jobs: Iterable[Job], now: datetime) -> dict[str, int]:
    """When each job is due next, UTC milliseconds; jobs that never are again are left out."""
    times = {job.name: following(job.schedule, now) for job in jobs if not job.off}
    return {name: milliseconds(time) for name, time in times.items() if time is not None}


def command(tick: Tick, now: datetime) -> CommandEnvelope:
    """The tick as a command; its id comes from job and due time, so that of several schedulers one is heard."""
    return _enveloped(f"tick/{tick.job}/{tick.due_ms}", tick, now)


def start(job: Job, run: DueRun, runner: str, now: datetime) -> CommandEnvelope:
    """The start of a run as a command. Of several runners that send one, the first is heard."""
    asked = StartJob(
        job=job.name,
        due_ms=run.due_ms,
        runner=runner,
        jitter_ms=0 if run.manual else jitter_ms(job, run.due_ms),
        timeout_ms=round(job.timeout_seconds * 1000),
    )
    return _enveloped(f"start/{job.name}/{run.due_ms}/{runner}", asked, now)


def finish(job: str, run: RunningJob, answer: JobAnswer, now: datetime) -> CommandEnvelope:
    """The end of a run as a command; whoever sends it."""
    asked = FinishJob(
        job=job,
        due_ms=run.due_ms,
        result="success" if answer.error is None else "failed",
        error=answer.error,
        metadata=answer.metadata,
    )
    return _enveloped(f"finish/{job}/{run.due_ms}", asked, now)


def _enveloped(name: str, asked: Command, now: datetime) -> CommandEnvelope:
    return CommandEnvelope(id=name, scope=Scope(), issued_ms=milliseconds(now), command=asked, correlation_id=name)  # type: ignore[arg-type]
