"""When jobs are due: six-field cron in a time zone, and one tick after downtime."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.contracts.cron import Cron, following, latest, parse
from agent_memory.contracts.job_catalogue import JOBS, Every, Job, every, jobs, milliseconds
from agent_memory.runtime import telemetry
from agent_memory.scheduler.domain import command, due, next_due
from agent_memory.scheduler.handlers import SendTicks
from agent_memory.scheduler.settings import DEFAULTS

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin forward
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Berlin back
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York back
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),  # Lord Howe forward by half an hour
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # Lord Howe back
    datetime(2018, 11, 4, 3, tzinfo=UTC),  # Sao Paulo forward at midnight
    datetime(2024, 2, 29, 0, tzinfo=UTC),
    datetime(2025, 12, 31, 23, tzinfo=UTC),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def times_around(cron: Cron, now: datetime, days: int) -> set[datetime]:
    """All due times of the days around `now`, found by looking at every second of the clock on the wall."""
    zone, found = ZoneInfo(cron.zone), set()
    today = now.astimezone(zone).date()
    for day in (today + timedelta(days=offset) for offset in range(-days, days + 1)):
        weekday = (day.weekday() + 1) % 7
        fits = [day.day in cron.days, weekday in cron.weekdays]
        if day.month not in cron.months or not (any(fits) if cron.either_day else all(fits)):
            continue
        for hour in cron.hours:
            for minute in cron.minutes:
                for second in cron.seconds:
                    for fold in (0, 1) if len(cron.hours) == 24 else (0,):
                        wall = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone, fold=fold)
                        found.add(wall.astimezone(UTC))
    return found


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.tuples(st.sampled_from(["*", str(low)]), st.integers(max(high // 3, 1), high)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    return st.lists(number.map(str) | span | step, min_size=1, max_size=2).map(",".join)


few = st.lists(st.integers(0, 59).map(str), min_size=1, max_size=2).map(",".join)
expressions = st.tuples(
    few,
    few | st.sampled_from(["*/7", "0-40/20"]),
    st.just("*") | field(0, 23),
    st.just("*") | field(1, 28),
    st.just("*"),
    st.just("*") | field(0, 7),
).map(" ".join)
moments = st.tuples(st.sampled_from(CHANGES), st.integers(-2 * 86_400_000, 2 * 86_400_000)).map(
    lambda pair: pair[0] + timedelta(milliseconds=pair[1])
)


@settings(max_examples=150)
@given(expression=expressions, zone=st.sampled_from(ZONES), now=moments)
def test_the_nearest_times_are_those_that_a_look_at_every_second_finds(expression: str, zone: str, now: datetime) -> None:
    cron = parse(expression, zone)
    times = times_around(cron, now, 3)
    before, after = latest(cron, now), following(cron, now)
    # What a cron of days far away is due at lies outside the days looked at; then the nearest time must lie outside too.
    assert before == max((time for time in times if time <= now), default=before)
    assert after == min((time for time in times if time > now), default=after)
    assert before is None or before <= now < (after or now + timedelta(1))


@pytest.mark.parametrize(
    ("expression", "zone", "now", "before", "after"),
    [
        ("0 0 * * * *", "UTC", "2026-01-30T10:20:30Z", "2026-01-30T10:00:00Z", "2026-01-30T11:00:00Z"),
        ("0 */15 * * * *", "UTC", "2026-01-30T10:15:00Z", "2026-01-30T10:15:00Z", "2026-01-30T10:30:00Z"),
        ("0 0 1 * * *", "Europe/Berlin", "2026-01-30T10:00:00Z", "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
        ("0 30 2 * * *", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ("0 30 * * * *", "Europe/Berlin", "2026-10-25T01:31:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"),
        ("0 0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 9 * * mon-fri", "UTC", "2026-01-31T12:00:00Z", "2026-01-30T09:00:00Z", "2026-02-02T09:00:00Z"),
        ("0 0 0 13 * FRI", "UTC", "2026-01-10T12:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"),
        ("0 0 2 * * 7", "UTC", "2026-01-31T12:00:00Z", "2026-01-25T02:00:00Z", "2026-02-01T02:00:00Z"),
    ],
)
def test_a_schedule_is_due_when_its_author_would_say_so(expression: str, zone: str, now: str, before: str, after: str) -> None:
    cron = parse(expression, zone)
    assert (latest(cron, at(now)), following(cron, at(now))) == (at(before), at(after))


def test_a_date_that_never_comes_is_never_due() -> None:
    cron = parse("0 0 0 30 2 *")
    assert latest(cron, at("2026-01-01T00:00:00Z")) is None
    assert following(cron, at("2026-01-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("* * * * *", "5 fields, not six"),
        ("60 * * * * *", "cannot be a second"),
        ("* * 24 * * *", "cannot be a hour"),
        ("* * * 0 * *", "cannot be a day of month"),
        ("* * * * foo *", "cannot be a month"),
        ("* * * * * 8", "cannot be a day of week"),
        ("* 5-1 * * * *", "goes backwards"),
        ("* */0 * * * *", "'0' is not 1 to 59"),
        ("* , * * * *", "cannot be a minute"),
        ("* ٣ * * * *", "cannot be a minute"),
        ("* - * * * *", "cannot be a minute"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_field_at_fault(expression: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse(expression)


@given(st.text(max_size=30) | st.text("*/-,0123456789 abcMONjan", max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse(text).seconds


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "utc\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="not a known time zone"):
        parse("* * * * * *", zone)


EVERY_MINUTE = Job(name="often", schedule=parse("0 * * * * *"), meaning="")


def test_after_downtime_a_job_is_due_once() -> None:
    now = at("2026-01-30T10:20:30Z")
    (tick,) = due([EVERY_MINUTE], {"often": milliseconds(at("2026-01-29T00:00:00Z"))}, now)
    assert (tick.job, tick.due_ms) == ("often", milliseconds(at("2026-01-30T10:20:00Z")))


def test_a_job_is_not_due_twice_for_the_same_time() -> None:
    now = at("2026-01-30T10:20:30Z")
    (tick,) = due([EVERY_MINUTE], {}, now)
    assert due([EVERY_MINUTE], {"often": tick.due_ms}, now) == []
    assert due([EVERY_MINUTE], {"often": tick.due_ms + 60_000}, now) == []
    assert next_due([EVERY_MINUTE], now) == {"often": tick.due_ms + 60_000}


def test_a_job_is_due_again_when_a_clock_that_was_ahead_is_right() -> None:
    now = at("2026-01-30T10:20:30Z")
    (tick,) = due([EVERY_MINUTE], {"often": milliseconds(at("2036-01-30T10:20:00Z"))}, now)
    assert tick.due_ms == milliseconds(at("2026-01-30T10:20:00Z"))


def test_two_schedulers_mean_the_same_command() -> None:
    first, second = at("2026-01-30T10:20:01Z"), at("2026-01-30T10:20:59.5Z")
    ids = [[command(tick, now).id for tick in due(JOBS, {}, now)] for now in (first, second)]
    assert ids[0][0] == "tick/hourly-rollup/1769767200000"
    assert [one for one in ids[0] if "stream-trim" not in one] == [one for one in ids[1] if "stream-trim" not in one]


def test_the_jobs_that_clients_know_are_there_with_their_schedules() -> None:
    schedules = {job.name: job.schedule.expression for job in JOBS}
    assert schedules["hourly-rollup"] == "0 0 * * * *"
    assert schedules["segment-summarizer"] == "0 */15 * * * *"
    assert schedules["outbox-processor"] == "0 * * * * *"


@given(st.integers(1, 10_000), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_a_job_of_every_so_many_minutes_is_due_in_even_steps_whoever_asks_when(minutes: int, naive: datetime) -> None:
    now, step = naive.replace(tzinfo=UTC), timedelta(minutes=minutes)
    assert isinstance(every(45), Every)
    assert every(10).expression == "0 */10 * * * *"
    job = Job(name="j", schedule=every(minutes), meaning="")
    last, following_ms = due([job], {}, now)[0].due_ms, next_due([job], now)["j"]
    assert last <= milliseconds(now) < following_ms == last + step / timedelta(milliseconds=1)
    assert last % (minutes * 60_000) == 0


def test_forgetting_is_a_job_only_when_it_is_wanted() -> None:
    assert {job.name for job in jobs(forgetting_minutes=60)} - {job.name for job in JOBS} == {"forgetting"}


def test_a_scheduler_that_has_sent_no_tick_yet_says_so() -> None:
    rare = Job(name="rare", service="rollup", meaning="once a year", schedule=parse("0 0 0 1 1 *"))
    SendTicks(Redis(), [rare], DEFAULTS)
    assert telemetry.REGISTRY.get_sample_value("agent_memory_ticks_total", {"job": "rare"}) == 0
