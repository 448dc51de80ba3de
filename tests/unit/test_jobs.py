"""What is decided about scheduled jobs, and what their view holds whatever order events come in."""

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from agent_memory.contracts.commands import Command, FinishJob, PauseJob, ResumeJob, RunJobNow, StartJob, Tick
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import Event, JobDue, JobFinished, JobPaused, JobResumed, JobStarted
from agent_memory.contracts.job_catalogue import JOBS, jitter_ms, jobs
from agent_memory.contracts.jobs import JobRun, JobState
from agent_memory.contracts.streams import job_stream
from agent_memory.readmodels.jobs import state_of
from agent_memory.runtime.job_settings import jobs_of
from agent_memory.runtime.settings import Settings, SettingsError, load
from support.spec import Given, given


def tick(due_ms: int) -> Tick:
    return Tick(job="j", due_ms=due_ms)


def start(due_ms: int, runner: str = "a") -> StartJob:
    return StartJob(job="j", due_ms=due_ms, runner=runner, jitter_ms=500, timeout_ms=60_000)


def finish(due_ms: int, error: str | None = None) -> FinishJob:
    metadata = {"done": "3"} if error is None else {}
    return FinishJob(job="j", due_ms=due_ms, result="success" if error is None else "failed", error=error, metadata=metadata)


PAUSE, RESUME, NOW = PauseJob(job="j"), ResumeJob(job="j"), RunJobNow(job="j")


def state(spec: Given) -> JobState:
    return state_of(spec.facts.newest[job_stream("default", "j")].event)


def last(spec: Given) -> JobRun:
    found = state(spec).last
    assert found is not None
    return found


def test_a_run_is_due_begun_and_ended() -> None:
    spec = given().when(tick(5)).then(JobDue).when(start(5)).then(JobStarted)
    running = state(spec).running
    assert running is not None
    assert (running.runner, running.started_ms, running.deadline_ms) == ("a", 1_002_000, 1_062_500)
    spec.when(finish(5), later_ms=1_250).then(JobFinished)
    assert state(spec).running is None
    assert last(spec) == JobRun(
        due_ms=5, started_ms=1_002_000, finished_ms=1_003_250, result="success", metadata={"done": "3"}, manual=False
    )
    assert (state(spec).run_count, state(spec).error_count) == (1, 0)


def test_of_two_runners_one_begins_a_run() -> None:
    spec = given(tick(5), start(5, "a"))
    with pytest.raises(Conflict):
        spec.when(start(5, "b"))
    assert state(spec).running.runner == "a"  # type: ignore[union-attr]


def test_a_run_ends_once() -> None:
    spec = given(tick(5), start(5), finish(5)).when(finish(5, "no")).then()
    assert last(spec).result == "success"
    spec.when(finish(4)).then()


def test_a_failure_is_counted_apart() -> None:
    spec = given(tick(5), start(5), finish(5), tick(6), start(6), finish(6, "no"))
    assert (state(spec).run_count, state(spec).error_count, last(spec).error) == (1, 1, "no")


def test_the_same_time_is_due_once() -> None:
    given(tick(5)).when(tick(5)).then().when(tick(4)).then()


def test_a_job_does_not_wait_for_a_time_that_a_wrong_clock_told() -> None:
    tomorrow = 86_400_000
    spec = given(tick(tomorrow), start(tomorrow), finish(tomorrow)).when(tick(65)).then(JobDue)
    spec.when(start(65)).then(JobStarted).when(tick(tomorrow)).then(JobDue, JobFinished).when(tick(tomorrow)).then()


def test_after_downtime_one_run_waits() -> None:
    spec = given(tick(5)).when(tick(65)).then(JobDue)
    with pytest.raises(Conflict):
        spec.when(start(5))
    spec.when(start(65)).then(JobStarted)


def test_what_is_due_while_a_run_goes_on_is_passed_over() -> None:
    spec = given(tick(5), start(5)).when(tick(6)).then(JobDue, JobFinished)
    assert (last(spec).result, last(spec).error, state(spec).error_count) == ("skipped", "overlap", 0)
    assert state(spec).running is not None
    spec.when(finish(5)).then(JobFinished)
    assert (last(spec).result, state(spec).run_count) == ("success", 1)


def test_a_run_whose_runner_is_gone_has_failed_when_the_next_is_due() -> None:
    spec = given(tick(5), start(5)).when(tick(6), later_ms=60_501).then(JobFinished, JobDue)
    assert (last(spec).result, last(spec).error) == ("failed", "Job timed out after 60 seconds")
    spec.when(start(6, "b")).then(JobStarted)


def test_what_is_due_while_a_job_is_paused_is_passed_over_and_said_once() -> None:
    spec = given(PAUSE).when(PAUSE).then().when(tick(5)).then(JobDue, JobFinished)
    assert (last(spec).result, last(spec).error) == ("skipped", "paused")
    spec.when(tick(6)).then(JobDue).when(RESUME).then(JobResumed).when(RESUME).then()
    spec.when(tick(7)).then(JobDue).when(start(7)).then(JobStarted)
    spec.when(PAUSE).then(JobPaused).when(finish(7)).then(JobFinished).when(tick(8)).then(JobDue, JobFinished)
    assert (state(spec).run_count, state(spec).paused) == (1, True)


def test_a_run_that_waits_is_passed_over_when_its_job_is_paused() -> None:
    spec = given(tick(5)).when(PAUSE).then(JobPaused, JobFinished)
    with pytest.raises(Conflict):
        spec.when(start(5))
    spec.when(tick(6)).then(JobDue)


def test_a_paused_job_runs_when_somebody_asks() -> None:
    spec = given(tick(5), PAUSE).when(NOW).then(JobDue)
    due_ms = state(spec).due_ms
    assert due_ms == spec.now_ms
    with pytest.raises(Conflict, match="Job is running: j"):
        spec.when(NOW)
    spec.when(start(due_ms)).when(finish(due_ms)).then(JobFinished)
    assert (last(spec).manual, state(spec).paused, state(spec).run_count) == (True, True, 1)


COMMANDS = st.one_of(
    st.integers(1, 6).map(tick),
    st.builds(start, st.integers(1, 6), st.sampled_from("ab")),
    st.builds(finish, st.integers(1, 6), st.sampled_from([None, "no"])),
    st.sampled_from([PAUSE, RESUME, NOW]),
)


@for_all(st.lists(st.tuples(COMMANDS, st.sampled_from([1, 1_000, 70_000])), max_size=30))
@settings(max_examples=100)
def test_every_run_that_is_begun_ends_and_counts_add_up(history: list[tuple[Command, int]]) -> None:
    spec, events = given(), list[Event]()
    for command, later_ms in history:
        try:
            spec.when(command, later_ms=later_ms)  # type: ignore[arg-type]
        except Conflict:
            continue
        assert spec.decision is not None
        events += [emitted.event for emitted in spec.decision.events]
    results = [event.state.last.result for event in events if isinstance(event, JobFinished) and event.state.last]
    now = state(spec) if events else JobState()
    assert (now.run_count, now.error_count) == (results.count("success"), results.count("failed"))
    begun = sum(isinstance(event, JobStarted) for event in events)
    assert begun == now.run_count + now.error_count + (now.running is not None)
    assert not (now.running and now.waiting)


def test_jitter_is_the_same_for_everybody_and_within_bounds() -> None:
    (job,) = [job for job in JOBS if job.name == "index-check"]
    drawn = {jitter_ms(job, due_ms) for due_ms in range(200)}
    assert drawn == {jitter_ms(job, due_ms) for due_ms in range(200)}
    assert all(0 <= one <= 20_000 for one in drawn)
    assert len(drawn) > 100


def test_settings_change_when_a_job_is_due() -> None:
    text = "hourly-rollup = 0 5 * * * * Europe/Berlin; index-check=off;"
    found = {job.name: job for job in jobs(schedules=text)}
    assert (found["hourly-rollup"].schedule.expression, found["hourly-rollup"].schedule.zone) == ("0 5 * * * *", "Europe/Berlin")
    assert [job.name for job in found.values() if job.off] == ["index-check"]
    assert [job.name for job in jobs_of(Settings(job_schedules=text))] == [job.name for job in JOBS]


@pytest.mark.parametrize(
    ("schedules", "complaint"),
    [
        ("nightly=0 0 * * * *", "jobs are hourly-rollup"),
        ("hourly-rollup", "does not begin with a job and ="),
        ("hourly-rollup=0 * * * *", "not six"),
        ("hourly-rollup=0 0 * * * * Mars/Phobos", "time zone"),
        ("hourly-rollup=0 61 * * * *", "minute"),
    ],
)
def test_a_wrong_schedule_stops_the_start(schedules: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load({"JOB_SCHEDULES": schedules})


def test_there_is_somebody_who_does_each_job() -> None:
    assert {job.service for job in jobs(forgetting_minutes=60)} == {"summarizer", "ingest", "indexer", "compactor"}
    assert all(job.timeout_seconds > 0 and job.meaning for job in JOBS)
