"""Runs of jobs on real servers: one runner among several, whoever dies; time-outs; pauses that outlive a flush."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from agent_memory.contracts.codec import decode_event, encode
from agent_memory.contracts.commands import AnyCommand, Command, PauseJob, ResumeJob, RunJobNow, Tick
from agent_memory.contracts.errors import NotFound, Refused, Unavailable
from agent_memory.contracts.events import JobDue
from agent_memory.contracts.job_catalogue import Job
from agent_memory.contracts.jobs import JobRun, JobState, RunJob
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import Acknowledged
from agent_memory.contracts.streams import heartbeat_key, job_answer_key, job_runs_key
from agent_memory.eventlog.newest import NewestReader
from agent_memory.gateway.jobs import ScheduledJobs
from agent_memory.gateway.ports import Answer
from agent_memory.gateway.projections import RedisProjections
from agent_memory.readmodels import jobs
from agent_memory.runtime.job_bodies import JobBodies
from agent_memory.scheduler.handlers import SendTicks
from agent_memory.scheduler.settings import SchedulerSettings
from support.controls import wait_until
from support.forked import Forking
from support.job_runner import BEGUN, HOLD, JOB, Runner, body, states
from support.small_system import SmallSystem
from support.view_worker import pump

PATIENCE = 30.0
NAME = JOB.name


class Room:
    """A system whose commands are heard."""

    def __init__(self, system: SmallSystem, stack: AsyncExitStack) -> None:
        self.system, self.redis = system, system.redis
        self._stack, self._enough = stack, asyncio.Event()
        self._pumping = asyncio.create_task(pump(system, self._enough))

    async def stop(self) -> None:
        self._enough.set()
        await self._pumping

    def runner(self, name: str, *, job: Job = JOB, lease_ms: int = 10_000) -> Runner:
        made = Runner(self.system.database_url, self.system.redis_url, name, job=job, lease_ms=lease_ms)
        self._stack.push_async_callback(made.close)
        return made

    def service(self, *, look_seconds: float = 0.02) -> JobBodies:
        bodies = {NAME: lambda due_ms: body(self.redis, due_ms)}
        return JobBodies(self.redis, JOB.service, bodies, look_seconds=look_seconds)

    async def running(self, *runners: Runner | JobBodies) -> None:
        """They work until the test is over."""
        await self.redis.hset(heartbeat_key(JOB.service), "replica", 2**42)
        for one in runners:
            task = asyncio.create_task((one.runs if isinstance(one, Runner) else one).run())
            self._stack.push_async_callback(_cancelled, task)

    async def send(self, command: Command) -> None:
        await self.system.send(command)  # type: ignore[arg-type]

    async def ended(self, runs: int) -> list[JobRun]:
        """The runs of the job, when there are so many."""

        async def there() -> bool:
            return len(await jobs.runs(self.redis, NAME)) >= runs

        await wait_until(there, f"{runs} runs have ended", PATIENCE)
        return await jobs.runs(self.redis, NAME)

    async def begun(self, times: int) -> None:
        async def there() -> bool:
            return await self.redis.llen(BEGUN) >= times

        await wait_until(there, f"the job was begun {times} times", PATIENCE)

    async def runs_by(self) -> str:
        """Who began the run that goes on."""
        await wait_until(self._goes_on, "a run goes on", PATIENCE)
        running = (await states(self.redis)).running
        return "" if running is None else running.runner

    async def _goes_on(self) -> bool:
        return (await states(self.redis)).running is not None

    async def counted(self, kind: str) -> int:
        return len(await self.system.log.after(0, types=[kind]))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def room(database_url: str, redis_url: str) -> AsyncIterator[Room]:
    system = SmallSystem(database_url, redis_url)
    async with AsyncExitStack() as stack:
        await system.catch_up()
        room = Room(system, stack)
        yield room
        await stack.aclose()
        await room.stop()
    await system.close()


def first(room: Room, kind: str) -> tuple[str, ...]:
    """What starts the first of its kind as a process of its own; its lease ends after 500 ms."""
    return "support.job_runner", kind, room.system.database_url, room.system.redis_url, "first", "500"


async def test_two_schedulers_make_one_run_of_what_is_due(room: Room) -> None:
    await room.running(room.runner("a"), room.runner("b"), room.service())
    await room.send(Tick(job=NAME, due_ms=1_000))
    (run,) = await room.ended(1)
    assert (run.result, run.metadata, run.due_ms) == ("success", {"held": "no"}, 1_000)
    assert await room.redis.lrange(BEGUN, 0, -1) == [b"1000"]
    await room.send(Tick(job=NAME, due_ms=2_000))
    await room.ended(2)
    assert (await room.counted("JobStarted"), await room.counted("JobFinished")) == (2, 2)
    state = await states(room.redis)
    assert (state.run_count, state.error_count, state.running, state.waiting) == (2, 0, None, None)
    assert await room.redis.hlen(job_runs_key(JOB.service)) == 0


async def test_a_runner_that_is_killed_is_followed_by_another_and_the_job_is_done_once(room: Room, forked: Forking) -> None:
    await room.redis.set(HOLD, "1")
    await room.running(room.service())
    async with forked.process(*first(room, "runner")) as one:
        await room.send(Tick(job=NAME, due_ms=1_000))
        await room.begun(1)
        assert await room.runs_by() == "first"
        one.send_signal(signal.SIGKILL)
        await one.wait()
        await room.running(room.runner("second"))
        await room.redis.delete(HOLD)
        (run,) = await room.ended(1)
    assert run.result == "success"
    assert await room.redis.llen(BEGUN) == 1


async def test_a_service_that_is_killed_in_the_middle_is_followed_by_another_replica(room: Room, forked: Forking) -> None:
    await room.redis.set(HOLD, "1")
    await room.running(room.runner("a"))
    async with forked.process(*first(room, "service")) as one:
        await room.send(Tick(job=NAME, due_ms=1_000))
        await room.begun(1)
        one.send_signal(signal.SIGKILL)
        await one.wait()
        await room.running(room.service())
        await room.begun(2)
        await room.redis.delete(HOLD)
        (run,) = await room.ended(1)
    assert run.result == "success"


async def test_a_run_that_takes_too_long_has_failed_and_is_stopped(room: Room) -> None:
    await room.redis.set(HOLD, "1")
    service = room.service()
    await room.running(room.runner("a", job=replace(JOB, timeout_seconds=0.5)), service)
    await room.send(Tick(job=NAME, due_ms=1_000))
    (run,) = await room.ended(1)
    assert (run.result, run.error) == ("failed", "Job timed out after 0.5 seconds")
    await asyncio.wait_for(service.idle(), PATIENCE)
    assert (await states(room.redis)).error_count == 1
    assert not await room.redis.exists(job_answer_key(f"{NAME}/1000"))


async def test_a_run_that_nobody_came_back_to_has_failed_when_its_time_is_over(room: Room) -> None:
    await room.redis.set(HOLD, "1")
    quick = replace(JOB, timeout_seconds=0.3)
    first = room.runner("first", job=quick)
    await room.redis.hset(heartbeat_key(JOB.service), "replica", 2**42)
    await room.send(Tick(job=NAME, due_ms=1_000))
    await wait_until(lambda: _waits(room), "the run waits", PATIENCE)
    await first.runs.look()
    assert await room.runs_by() == "first"
    await first.close()
    await room.running(room.runner("second", job=quick))
    (run, *_) = await room.ended(1)
    assert (run.result, run.error) == ("failed", "Job timed out after 0.3 seconds")


async def _waits(room: Room) -> bool:
    return (await states(room.redis)).waiting is not None


async def test_a_job_whose_service_is_not_there_fails_soon_and_is_not_done_later(room: Room) -> None:
    await room.running(room.runner("a"))
    await room.redis.hset(heartbeat_key(JOB.service), "replica", 1)
    await room.send(Tick(job=NAME, due_ms=1_000))
    (run,) = await room.ended(1)
    assert (run.result, run.error) == ("failed", "no replica of helper is alive")
    assert await room.redis.hlen(job_runs_key(JOB.service)) == 0


async def test_a_run_is_not_put_off_by_a_clock_that_is_behind_that_of_ingest(room: Room) -> None:
    late = room.runner("a")
    late.runs._clock = lambda: datetime.now(UTC) - timedelta(days=1)
    await room.running(late, room.service())
    await room.send(Tick(job=NAME, due_ms=1_000))
    assert (await room.ended(1))[0].result == "success"


async def test_a_scheduler_whose_clock_went_back_does_not_wait_until_it_has_caught_up(room: Room) -> None:
    clock = [datetime(2036, 1, 30, 10, 20, tzinfo=UTC)]
    ticks = SendTicks(room.redis, [JOB], SchedulerSettings(), clock=lambda: clock[-1])
    (ahead,) = await ticks.look()
    await jobs.changed(room.redis, [(1, JobDue(job=NAME, due_ms=ahead.due_ms, state=JobState(due_ms=ahead.due_ms)))])
    assert await ticks.look() == []
    clock.append(datetime(2026, 1, 30, 10, 20, tzinfo=UTC))
    (tick,) = await ticks.look()
    assert tick == Tick(job=NAME, due_ms=1_769_767_200_000)


async def test_a_request_that_was_flushed_away_is_made_again(room: Room) -> None:
    await room.running(room.runner("a"))
    await room.send(Tick(job=NAME, due_ms=1_000))

    async def asked() -> bool:
        return await room.redis.hexists(job_runs_key(JOB.service), NAME)

    await wait_until(asked, "the job is asked for", PATIENCE)
    await room.redis.delete(job_runs_key(JOB.service))
    await wait_until(asked, "the job is asked for again", PATIENCE)
    await room.running(room.service())
    assert (await room.ended(1))[0].result == "success"


@pytest.mark.parametrize(
    ("error", "told"), [(Unavailable("the log is away"), "the log is away"), (ValueError("not so"), "ValueError: not so")]
)
async def test_what_a_body_raises_is_why_it_failed(room: Room, error: Exception, told: str) -> None:
    async def fails(due_ms: int) -> dict[str, str]:
        raise error

    await room.running(room.runner("a"), JobBodies(room.redis, JOB.service, {NAME: fails}, look_seconds=0.02))
    await room.send(Tick(job=NAME, due_ms=1_000))
    (run,) = await room.ended(1)
    assert (run.result, run.error) == ("failed", told)


async def test_a_request_that_cannot_be_read_or_is_for_another_holds_nobody_up(room: Room) -> None:
    key, deadline_ms = job_runs_key(JOB.service), round(time.time() * 1000) + 30_000
    request = RunJob(id="other/1", job="other", due_ms=1, deadline_ms=deadline_ms)
    await room.redis.hset(key, mapping={"broken": b"{", "other": encode(request)})
    service = room.service()
    await service.look()
    await service.idle()
    assert await room.redis.hlen(key) == 0
    assert b"helper does not do this job" in await room.redis.get(job_answer_key("other/1"))


class Bus:
    """The way to ingest, without replies."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def ask(self, scope: Scope, command: AnyCommand, **about: str) -> Answer:
        await self._room.system.send(command, scope=scope)
        return Answer(command_id="c", position=await self._room.system.log.head(), reply=Acknowledged())


def gateway(room: Room, *jobs_: Job) -> ScheduledJobs:
    return ScheduledJobs(
        jobs_ or (JOB,),
        room.redis,
        NewestReader(room.system.connections),
        Bus(room),  # type: ignore[arg-type]
        RedisProjections(room.redis),
        patience=PATIENCE,
        clock=lambda: datetime(2026, 1, 30, 10, 20, tzinfo=UTC),
    )


async def test_a_pause_outlives_restarts_and_a_flush(room: Room) -> None:
    port = gateway(room)
    await port.pause(NAME)
    (status,) = (await port.status()).jobs
    assert (status.is_paused, status.next_run_ms) == (True, 1_769_770_800_000)
    await room.redis.flushall()
    (status,) = (await gateway(room).status()).jobs
    assert status.is_paused
    await room.running(room.runner("a"), room.service())
    await room.send(Tick(job=NAME, due_ms=1_000))
    (run,) = await room.ended(1)
    assert (run.result, run.error, await room.counted("JobStarted")) == ("skipped", "paused", 0)
    await port.run_now(NAME)
    assert (await room.ended(2))[0].manual
    await port.resume(NAME)
    (status,) = (await port.status()).jobs
    assert (status.is_paused, status.run_count, status.last_result) == (False, 1, "success")


async def test_the_status_says_whether_a_scheduler_lives_and_what_runs(room: Room) -> None:
    port = gateway(room)
    assert not (await port.status()).scheduler_running
    await room.redis.hset(heartbeat_key("scheduler"), "replica", round(time.time() * 1000))
    await room.redis.set(HOLD, "1")
    await room.running(room.runner("a"), room.service())
    await port.run_now(NAME)
    assert await room.runs_by() == "a"
    found = await port.status()
    assert found.scheduler_running
    assert found.jobs[0].is_running
    assert found.jobs[0].last_result is None
    head = await room.system.log.head()
    await room.send(RunJobNow(job=NAME))
    assert await room.system.log.head() == head
    await room.redis.delete(HOLD)
    (run,) = await room.ended(1)
    status = (await port.status()).jobs[0]
    assert (status.last_run_ms, status.last_duration_ms) == (run.started_ms, run.finished_ms - run.started_ms)
    assert status.last_run_metadata == {"held": "no"}


async def test_a_job_that_is_unknown_or_off_cannot_be_changed(room: Room) -> None:
    port = gateway(room, replace(JOB, off=True))
    (status,) = (await port.status()).jobs
    assert (status.is_paused, status.next_run_ms) == (True, 0)
    with pytest.raises(Refused, match="Job is off by JOB_SCHEDULES: a-job"):
        await port.resume(NAME)
    for change in (port.pause, port.resume, port.run_now, port.history):
        with pytest.raises(NotFound, match="Job not found: nobody"):
            await change("nobody")


async def test_the_last_fifty_runs_are_kept_in_any_order_of_arrival(room: Room) -> None:
    for due_ms in range(1, 61):
        await room.send(PauseJob(job=NAME))
        await room.send(Tick(job=NAME, due_ms=due_ms))
        await room.send(ResumeJob(job=NAME))
    await room.system.catch_up()
    before = await jobs.runs(room.redis, NAME)
    assert [run.due_ms for run in before] == list(range(60, 10, -1))
    await room.redis.delete(jobs.KEY, jobs.RUNS + NAME)
    events = [(one.version, one) for one in await room.system.log.after(0)]
    for version, envelope in reversed(events):
        await jobs.changed(room.redis, [(version, decode_event(envelope.type, envelope.data))])
    assert await jobs.runs(room.redis, NAME) == before
    assert await states(room.redis) == JobState(due_ms=60, last=before[0])
    assert (await room.system.examined())[4].ok
