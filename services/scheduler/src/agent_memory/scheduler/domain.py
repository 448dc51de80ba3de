"""Which jobs there are, and which of them are due. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from agent_memory.contracts.commands import Tick
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import COMPACTION, FORGETTING, SUMMARY_VIEWS
from agent_memory.scheduler import cron
from agent_memory.scheduler.cron import Cron, parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Every(msgspec.Struct, frozen=True, kw_only=True):
    """Due at every multiple of so many minutes since 1970 UTC: what no cron expression can say, such as every 45 minutes."""

    minutes: int

    @property
    def expression(self) -> str:
        """In words, where others have a cron expression."""
        return f"every {self.minutes} minutes"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is due again and again."""

    name: str
    schedule: Cron | Every
    meaning: str


def _job(name: str, expression: str, meaning: str) -> Job:
    return Job(name=name, schedule=parse(expression), meaning=meaning)


def every(minutes: int) -> Cron | Every:
    """A schedule of so many minutes, as a cron expression where there is one."""
    hours, rest = divmod(minutes, 60)
    if not hours and 60 % rest == 0:
        return parse(f"0 */{rest} * * * *")
    return parse(f"0 0 */{hours} * * *") if hours and not rest and 24 % hours == 0 else Every(minutes=minutes)


def jobs(*, compaction_minutes: int = 10, forgetting_minutes: int | None = None, refresh_minutes: int = 60) -> tuple[Job, ...]:
    """All jobs as the settings have them. Without `forgetting_minutes` nothing is forgotten by policy."""
    chosen = [Job(name=COMPACTION, schedule=every(compaction_minutes), meaning="Merge memories that say the same")]
    chosen.append(Job(name=SUMMARY_VIEWS, schedule=every(refresh_minutes), meaning="Make continuous summary views anew"))
    if forgetting_minutes is not None:
        meaning = "Forget by policy what is old or unused"
        chosen.append(Job(name=FORGETTING, schedule=every(forgetting_minutes), meaning=meaning))
    return (*_ALWAYS, *chosen)


_ALWAYS: tuple[Job, ...] = (
    _job("hourly-rollup", "0 0 * * * *", "Summarise periods of the table of contents that have changed"),
    _job("segment-summarizer", "0 */15 * * * *", "Close and summarise segments whose session went quiet"),
    _job("outbox-processor", "0 * * * * *", "Look for committed events that did not reach the bus"),
    _job("stream-trim", "30 * * * * *", "Trim the bus up to the slowest checkpoint"),
    _job("index-check", "0 30 * * * *", "Compare the search indexes with the log"),
)
JOBS = jobs()


def due(jobs: Iterable[Job], last: Mapping[str, int], now: datetime) -> list[Tick]:
    """A tick for each job that came due since its last one (UTC milliseconds by name): after downtime one, not one per time missed.

    A job that was never heard of is due as of its latest time, so that all schedulers mean the same tick.
    """
    ticks = []
    for job in jobs:
        time = _latest(job.schedule, now)
        if time is not None and (due_ms := milliseconds(time)) > last.get(job.name, -1):
            ticks.append(Tick(job=job.name, due_ms=due_ms))
    return ticks


def next_due(jobs: Iterable[Job], now: datetime) -> dict[str, int]:
    """When each job is due next, UTC milliseconds; jobs that never are again are left out."""
    times = {job.name: _following(job.schedule, now) for job in jobs}
    return {name: milliseconds(time) for name, time in times.items() if time is not None}


def command(tick: Tick, now: datetime) -> CommandEnvelope:
    """The tick as a command; its id comes from job and due time, so that of several schedulers one is heard."""
    name = f"tick/{tick.job}/{tick.due_ms}"
    return CommandEnvelope(id=name, scope=Scope(), issued_ms=milliseconds(now), command=tick, correlation_id=name)


def _latest(schedule: Cron | Every, now: datetime) -> datetime | None:
    if isinstance(schedule, Cron):
        return cron.latest(schedule, now)
    step = timedelta(minutes=schedule.minutes)
    return EPOCH + (now - EPOCH) // step * step


def _following(schedule: Cron | Every, now: datetime) -> datetime | None:
    if isinstance(schedule, Cron):
        return cron.following(schedule, now)
    step = timedelta(minutes=schedule.minutes)
    return EPOCH + ((now - EPOCH) // step + 1) * step


def milliseconds(time: datetime) -> int:
    """UTC milliseconds of an aware time."""
    return (time - EPOCH) // MILLISECOND
