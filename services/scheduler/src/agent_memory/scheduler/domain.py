"""Which jobs there are, and which of them are due. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from agent_memory.contracts.commands import Tick
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import Scope
from agent_memory.scheduler.cron import Cron, following, latest, parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is due again and again."""

    name: str
    schedule: Cron
    meaning: str


def _job(name: str, expression: str, meaning: str) -> Job:
    return Job(name=name, schedule=parse(expression), meaning=meaning)


JOBS: tuple[Job, ...] = (
    _job("hourly-rollup", "0 0 * * * *", "Summarise periods of the table of contents that have changed"),
    _job("segment-summarizer", "0 */15 * * * *", "Close and summarise segments whose session went quiet"),
    _job("outbox-processor", "0 * * * * *", "Look for committed events that did not reach the bus"),
    _job("stream-trim", "30 * * * * *", "Trim the bus up to the slowest checkpoint"),
    _job("compaction", "0 */10 * * * *", "Merge duplicates and forget what has expired"),
    _job("index-check", "0 30 * * * *", "Compare the search indexes with the log"),
)


def due(jobs: Iterable[Job], last: Mapping[str, int], now: datetime) -> list[Tick]:
    """A tick for each job that came due since its last one (UTC milliseconds by name): after downtime one, not one per time missed.

    A job that was never heard of is due as of its latest time, so that all schedulers mean the same tick.
    """
    ticks = []
    for job in jobs:
        time = latest(job.schedule, now)
        if time is not None and (due_ms := milliseconds(time)) > last.get(job.name, -1):
            ticks.append(Tick(job=job.name, due_ms=due_ms))
    return ticks


def next_due(jobs: Iterable[Job], now: datetime) -> dict[str, int]:
    """When each job is due next, UTC milliseconds; jobs that never are again are left out."""
    times = {job.name: following(job.schedule, now) for job in jobs}
    return {name: milliseconds(time) for name, time in times.items() if time is not None}


def command(tick: Tick, now: datetime) -> CommandEnvelope:
    """The tick as a command; its id comes from job and due time, so that of several schedulers one is heard."""
    name = f"tick/{tick.job}/{tick.due_ms}"
    return CommandEnvelope(id=name, scope=Scope(), issued_ms=milliseconds(now), command=tick, correlation_id=name)


def milliseconds(time: datetime) -> int:
    """UTC milliseconds of an aware time."""
    return (time - EPOCH) // MILLISECOND
