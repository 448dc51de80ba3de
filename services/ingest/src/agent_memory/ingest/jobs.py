"""What scheduled jobs decide. Pure. The newest event of a job's stream is its state.

Of several schedulers one begins a run, because only a run that waits can be begun; of several that end it the first is heard. A run
that is due while the job is paused, or while the run before goes on, is passed over, and that is recorded: of a paused job once.
"""

from msgspec.structs import replace

from agent_memory.contracts.commands import FinishJob, PauseJob, ResumeJob, RunJobNow, StartJob, Tick
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import Event, JobDue, JobFinished, JobPaused, JobResumed, JobStarted
from agent_memory.contracts.jobs import CLOCKS_DIFFER_MS, OVERLAP, PAUSED, DueRun, JobResult, JobRun, JobState, RunningJob
from agent_memory.readmodels.jobs import state_of

JobCommand = Tick | StartJob | FinishJob | PauseJob | ResumeJob | RunJobNow


def decide_job(command: JobCommand, newest: Event | None, now_ms: int) -> list[Event]:
    """What happens to a job. Raises Conflict for a run that cannot be begun."""
    state = state_of(newest)
    match command:
        case Tick():
            return _due(command, state, now_ms)
        case StartJob():
            return _start(command, state, now_ms)
        case FinishJob():
            return _finish(command, state, now_ms)
        case PauseJob():
            return _pause(command.job, state, now_ms)
        case ResumeJob():
            return [JobResumed(job=command.job, state=replace(state, paused=False, told=False))] if state.paused else []
        case RunJobNow():
            return _run_now(command.job, state, now_ms)


def _due(command: Tick, state: JobState, now_ms: int) -> list[Event]:
    job, due_ms = command.job, command.due_ms
    if due_ms == state.due_ms or due_ms < state.due_ms <= now_ms + CLOCKS_DIFFER_MS:
        return []
    events: list[Event] = []
    if state.running is not None and now_ms > state.running.deadline_ms:
        # Whoever ran it is gone; the run that is due now is not to be passed over for that.
        state = _ended(state, _run_of(state.running, now_ms, "failed", state.running.overdue))
        events.append(JobFinished(job=job, state=state))
    state = replace(state, due_ms=due_ms)
    if not state.paused and state.running is None:
        return [*events, JobDue(job=job, due_ms=due_ms, state=replace(state, waiting=DueRun(due_ms=due_ms)))]
    events.append(JobDue(job=job, due_ms=due_ms, state=state))
    if state.paused and state.told:
        return events
    return [*events, _passed_over(job, state, due_ms, now_ms, PAUSED if state.paused else OVERLAP)]


def _start(command: StartJob, state: JobState, now_ms: int) -> list[Event]:
    if state.waiting is None or state.waiting.due_ms != command.due_ms:
        raise Conflict(f"the run of {command.job} that was due at {command.due_ms} does not wait to be begun")
    running = RunningJob(
        due_ms=command.due_ms,
        started_ms=now_ms,
        runner=command.runner,
        jitter_ms=command.jitter_ms,
        timeout_ms=command.timeout_ms,
        manual=state.waiting.manual,
    )
    return [JobStarted(job=command.job, state=replace(state, waiting=None, running=running))]


def _finish(command: FinishJob, state: JobState, now_ms: int) -> list[Event]:
    if state.running is None or state.running.due_ms != command.due_ms:
        return []
    run = replace(_run_of(state.running, now_ms, command.result, command.error), metadata=command.metadata)
    return [JobFinished(job=command.job, state=_ended(state, run))]


def _pause(job: str, state: JobState, now_ms: int) -> list[Event]:
    if state.paused:
        return []
    paused = replace(state, paused=True, told=False)
    if state.waiting is None or state.waiting.manual:
        return [JobPaused(job=job, state=paused)]
    paused = replace(paused, waiting=None)
    return [JobPaused(job=job, state=paused), _passed_over(job, paused, state.waiting.due_ms, now_ms, PAUSED)]


def _run_now(job: str, state: JobState, now_ms: int) -> list[Event]:
    if state.running is not None or state.waiting is not None:
        raise Conflict(f"Job is running: {job}")
    due_ms = max(now_ms, state.due_ms + 1)
    waiting = DueRun(due_ms=due_ms, manual=True)
    return [JobDue(job=job, due_ms=due_ms, state=replace(state, due_ms=due_ms, waiting=waiting))]


def _run_of(running: RunningJob, now_ms: int, result: JobResult, error: str | None) -> JobRun:
    return JobRun(
        due_ms=running.due_ms,
        started_ms=running.started_ms,
        finished_ms=max(now_ms, running.started_ms),
        result=result,
        error=error,
        manual=running.manual,
    )


def _ended(state: JobState, run: JobRun) -> JobState:
    return replace(
        state,
        running=None,
        run_count=state.run_count + (run.result == "success"),
        error_count=state.error_count + (run.result == "failed"),
        last=run,
    )


def _passed_over(job: str, state: JobState, due_ms: int, now_ms: int, reason: str) -> JobFinished:
    run = JobRun(due_ms=due_ms, started_ms=now_ms, finished_ms=now_ms, result="skipped", error=reason)
    return JobFinished(job=job, state=replace(state, last=run, told=reason == PAUSED))
