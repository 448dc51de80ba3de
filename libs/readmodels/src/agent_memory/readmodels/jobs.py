"""Where each scheduled job stands, and its last runs, in Redis: a hash of states, and for each job a sorted set of runs.

Every event of a job carries where the job stands, so the newest one is all there is to know; runs are in order of the versions of
their streams. Both come out alike in whatever order events arrive, and however often.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.events import Event, JobDue, JobFinished, JobPaused, JobResumed, JobStarted
from agent_memory.contracts.jobs import JobRun, JobState

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEY = "am:jobs:states"
RUNS = "am:jobs:runs:"
KEPT_RUNS = 50
TYPES: frozenset[str] = frozenset(kind.__name__ for kind in (JobDue, JobStarted, JobFinished, JobPaused, JobResumed))

# KEYS: the hash. ARGV: job, version, entry, for each job.
_NEWER = """
for i = 1, #ARGV, 3 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or cjson.decode(known)['version'] < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
end
"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands at a version of its stream."""

    version: int
    state: JobState


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A run that ended, with the version of the stream that says so."""

    version: int
    run: JobRun


_standing = msgspec.json.Decoder(Standing).decode
_ended = msgspec.json.Decoder(Ended).decode


def state_of(event: Event | None) -> JobState:
    """Where a job stands after its newest event."""
    match event:
        case JobDue(due_ms=due_ms, state=state):
            return state if state.due_ms >= due_ms else replace(state, due_ms=due_ms)
        case JobStarted(state=state) | JobFinished(state=state) | JobPaused(state=state) | JobResumed(state=state):
            return state
        case _:
            return JobState()


def job_of(event: Event) -> str | None:
    """Which job an event is about."""
    match event:
        case JobDue(job=job) | JobStarted(job=job) | JobFinished(job=job) | JobPaused(job=job) | JobResumed(job=job):
            return job
        case _:
            return None


async def changed(redis: "Redis", events: Sequence[tuple[int, Event]]) -> None:
    """Take in events of jobs, each with the version of its stream."""
    newest: dict[str, Standing] = {}
    ended: dict[str, list[Ended]] = {}
    for version, event in events:
        job = job_of(event)
        if job is None:
            continue
        if job not in newest or newest[job].version < version:
            newest[job] = Standing(version=version, state=state_of(event))
        if isinstance(event, JobFinished) and event.state.last is not None:
            ended.setdefault(job, []).append(Ended(version=version, run=event.state.last))
    if not newest:
        return
    async with redis.pipeline(transaction=False) as pipe:
        parts = [part for job, entry in newest.items() for part in (job, entry.version, msgspec.json.encode(entry))]
        pipe.eval(_NEWER, 1, KEY, *parts)
        for job, runs in ended.items():
            pipe.zadd(RUNS + job, {msgspec.json.encode(run): run.version for run in runs})
            pipe.zremrangebyrank(RUNS + job, 0, -KEPT_RUNS - 1)
        await pipe.execute()


async def states(redis: "Redis") -> dict[str, JobState]:
    """Where each job stands that was ever heard of."""
    return {job: standing.state for job, standing in (await _standings(redis)).items()}


async def runs(redis: "Redis", job: str, limit: int = KEPT_RUNS) -> list[JobRun]:
    """The last runs of a job, the newest first."""
    return [_ended(entry).run for entry in await redis.zrevrange(RUNS + job, 0, limit - 1)]


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: a key that names the job, and a value, as digests take them."""
    for job, standing in (await _standings(redis)).items():
        yield f"state:{job}", msgspec.to_builtins(standing)
    async for key in redis.scan_iter(match=RUNS + "*", count=500):
        job = key.decode().removeprefix(RUNS)
        yield f"runs:{job}", msgspec.to_builtins([_ended(entry) for entry in await redis.zrange(key, 0, -1)])


def expected(events: Sequence[tuple[int, Event]]) -> dict[str, object]:
    """The entries that the view should hold of one job, from all events of its stream in order."""
    if not events:
        return {}
    version, newest = events[-1]
    found: dict[str, object] = {
        f"state:{job_of(newest)}": msgspec.to_builtins(Standing(version=version, state=state_of(newest))),
    }
    ended = [
        Ended(version=version, run=event.state.last)
        for version, event in events
        if isinstance(event, JobFinished) and event.state.last is not None
    ]
    if ended:
        found[f"runs:{job_of(newest)}"] = msgspec.to_builtins(ended[-KEPT_RUNS:])
    return found


async def last_due(redis: "Redis") -> dict[str, int]:
    """The latest due time of each job that was ever heard of."""
    return {job: state.due_ms for job, state in (await states(redis)).items()}


async def _standings(redis: "Redis") -> dict[str, Standing]:
    fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(KEY))
    return {job.decode(): _standing(entry) for job, entry in fields.items()}
