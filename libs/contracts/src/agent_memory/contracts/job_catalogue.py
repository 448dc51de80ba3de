"""Which jobs there are: their names, schedules, limits of time, and the services that do them. Pure."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from agent_memory.contracts import cron
from agent_memory.contracts.cron import Cron, parse
from agent_memory.contracts.streams import COMPACTION, FORGETTING, SUMMARY_VIEWS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
HOURLY_ROLLUP, SEGMENT_SUMMARIZER, OUTBOX_PROCESSOR = "hourly-rollup", "segment-summarizer", "outbox-processor"
STREAM_TRIM, INDEX_CHECK = "stream-trim", "index-check"
OFF = "off"


class Every(msgspec.Struct, frozen=True, kw_only=True):
    """Due at every multiple of so many minutes since 1970 UTC: what no cron expression can say, such as every 45 minutes."""

    minutes: int
    zone: str = "UTC"

    @property
    def expression(self) -> str:
        """In words, where others have a cron expression."""
        return f"every {self.minutes} minutes"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is due again and again, done by `service`. `jitter_seconds`: it begins up to so much later, so that not all
    begin at once. `overlap`: a run that is due while the one before goes on is passed over. `off`: the settings say so.
    """

    name: str
    schedule: Cron | Every
    meaning: str
    service: str = ""
    jitter_seconds: float = 0.0
    timeout_seconds: float = 300.0
    overlap: Literal["skip"] = "skip"
    off: bool = False


_ALWAYS: tuple[Job, ...] = (
    Job(
        name=HOURLY_ROLLUP,
        schedule=parse("0 0 * * * *"),
        meaning="Summarise periods of the table of contents that have changed",
        service="summarizer",
        jitter_seconds=5,
        timeout_seconds=1800,
    ),
    Job(
        name=SEGMENT_SUMMARIZER,
        schedule=parse("0 */15 * * * *"),
        meaning="Close and summarise segments whose session went quiet",
        service="summarizer",
        jitter_seconds=5,
        timeout_seconds=840,
    ),
    Job(
        name=OUTBOX_PROCESSOR,
        schedule=parse("0 * * * * *"),
        meaning="Look for committed events that did not reach the bus, and put them there",
        service="ingest",
        timeout_seconds=50,
    ),
    Job(
        name=STREAM_TRIM,
        schedule=parse("30 */10 * * * *"),
        meaning="Trim the bus up to the slowest checkpoint, and forget its consumers that are gone",
        service="ingest",
        timeout_seconds=60,
    ),
    Job(
        name=INDEX_CHECK,
        schedule=parse("0 30 * * * *"),
        meaning="Compare the search indexes with the log, and build anew one that differs",
        service="indexer",
        jitter_seconds=20,
        timeout_seconds=3000,
    ),
)


def every(minutes: int) -> Cron | Every:
    """A schedule of so many minutes, as a cron expression where there is one."""
    hours, rest = divmod(minutes, 60)
    if not hours and 60 % rest == 0:
        return parse(f"0 */{rest} * * * *")
    return parse(f"0 0 */{hours} * * *") if hours and not rest and 24 % hours == 0 else Every(minutes=minutes)


def jobs(
    *, compaction_minutes: int = 10, forgetting_minutes: int | None = None, refresh_minutes: int = 60, schedules: str = ""
) -> tuple[Job, ...]:
    """All jobs as the settings have them. Without `forgetting_minutes` nothing is forgotten by policy.

    `schedules` changes some: `name=cron expression`, with a time zone behind it or not, or `name=off`, apart by semicolons.
    Raises ValueError naming what is wrong with them.
    """
    meaning = "Merge memories that say the same"
    compaction = Job(
        name=COMPACTION, schedule=every(compaction_minutes), meaning=meaning, service="compactor", timeout_seconds=3600
    )
    meaning = "Make continuous summary views anew"
    views = Job(name=SUMMARY_VIEWS, schedule=every(refresh_minutes), meaning=meaning, service="summarizer")
    meaning = "Forget by policy what is old or unused"
    forgetting = Job(
        name=FORGETTING, schedule=every(forgetting_minutes or 60), meaning=meaning, service="compactor", timeout_seconds=3600
    )
    found = _changed((*_ALWAYS, compaction, views, forgetting), schedules)
    return found if forgetting_minutes is not None else tuple(job for job in found if job.name != FORGETTING)


def _changed(found: Iterable[Job], schedules: str) -> tuple[Job, ...]:
    known = {job.name: job for job in found}
    for part in filter(None, (part.strip() for part in schedules.split(";"))):
        name, equals, schedule = (piece.strip() for piece in part.partition("="))
        if not equals or name not in known:
            raise ValueError(f"{part!r} does not begin with a job and =; jobs are {', '.join(known)}")
        if schedule.lower() == OFF:
            known[name] = replace(known[name], off=True)
            continue
        words = schedule.split()
        zone = words.pop() if len(words) > 6 else "UTC"
        known[name] = replace(known[name], schedule=parse(" ".join(words), zone))
    return tuple(known.values())


def latest(schedule: Cron | Every, now: datetime) -> datetime | None:
    """The last due time not after `now`; None when there was none in years."""
    if isinstance(schedule, Cron):
        return cron.latest(schedule, now)
    step = timedelta(minutes=schedule.minutes)
    return EPOCH + (now - EPOCH) // step * step


def following(schedule: Cron | Every, now: datetime) -> datetime | None:
    """The first due time after `now`; None when there is none in years."""
    if isinstance(schedule, Cron):
        return cron.following(schedule, now)
    step = timedelta(minutes=schedule.minutes)
    return EPOCH + ((now - EPOCH) // step + 1) * step


def jitter_ms(job: Job, due_ms: int) -> int:
    """How much later than it is due this run begins: the same for everybody who asks."""
    most = round(job.jitter_seconds * 1000)
    drawn = hashlib.blake2b(f"{job.name}/{due_ms}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") % (most + 1)


def milliseconds(time: datetime) -> int:
    """UTC milliseconds of an aware time."""
    return (time - EPOCH) // MILLISECOND


JOBS = jobs()
