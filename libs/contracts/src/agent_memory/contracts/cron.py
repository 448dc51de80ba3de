"""Cron expressions of six fields: second minute hour day-of-month month day-of-week, in an IANA time zone. Pure.

Fields are lists of `*`, `n`, `a-b`, each with an optional `/step`; months and week days also by their English three letters; 0 and
7 are Sunday. When both days are restricted, either one suffices (as cron has it since Version 7). When clocks are put forward, a
time that does not exist comes as much later as they were put; when they are put back, a time that comes twice is due at the
first, unless every hour is due anyway.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}  # noqa: SIM905
_DAYS = {name: number for number, name in enumerate("sun mon tue wed thu fri sat".split())}  # noqa: SIM905
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_HORIZON_DAYS = 8 * 366 + 2
"""29 February comes at least every eight years; an expression that is not due in that time never is."""
_HOUR = timedelta(hours=1)


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed expression. Week days count from 0, Sunday; `either_day` when both kinds of day are restricted."""

    expression: str
    zone: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool


def parse(expression: str, zone: str = "UTC") -> Cron:
    """Raises ValueError naming the field at fault, or the zone."""
    _zone(zone)
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{expression!r} has {len(fields)} fields, not six: second minute hour day-of-month month day-of-week")
    seconds, minutes, hours, days, months, weekdays = (
        _values(text, name, low, high, names) for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True)
    )
    return Cron(
        expression=expression,
        zone=zone,
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(number % 7 for number in weekdays),
        either_day=not fields[3].startswith("*") and not fields[5].startswith("*"),
    )


def latest(cron: Cron, now: datetime) -> datetime | None:
    """The last due time not after `now` (aware), in UTC. None when there was none in the last eight years."""
    return _nearest(cron, now.astimezone(UTC), forward=False)


def following(cron: Cron, now: datetime) -> datetime | None:
    """The first due time after `now` (aware), in UTC. None when there is none in the next eight years."""
    return _nearest(cron, now.astimezone(UTC), forward=True)


def _nearest(cron: Cron, now: datetime, *, forward: bool) -> datetime | None:
    zone, step = _zone(cron.zone), timedelta(days=1 if forward else -1)
    # Begin a day too early, and look one day beyond a hit: clocks may be put forward or back across midnight.
    day, found, last = now.astimezone(zone).date() - step, None, _HORIZON_DAYS
    while last > 0 and date.min < day < date.max:
        if _day_matches(cron, day):
            candidates = [time for hour in _hours(cron, day, zone) for time in _in_hour(cron, hour, now, forward=forward)]
            nearest = (min if forward else max)([*candidates, *([found] if found else [])], default=None)
            if nearest is not None and found is None:
                last = 2
            found = nearest
        day, last = day + step, last - 1
    return found


def _day_matches(cron: Cron, day: date) -> bool:
    if day.month not in cron.months:
        return False
    by_date, by_week = day.day in cron.days, day.isoweekday() % 7 in cron.weekdays
    return by_date or by_week if cron.either_day else by_date and by_week


def _hours(cron: Cron, day: date, zone: tzinfo) -> Iterator[datetime]:
    for hour in cron.hours:
        yield datetime(day.year, day.month, day.day, hour, tzinfo=zone)
        if len(cron.hours) == 24:
            yield datetime(day.year, day.month, day.day, hour, tzinfo=zone, fold=1)


def _in_hour(cron: Cron, hour: datetime, now: datetime, *, forward: bool) -> list[datetime]:
    """The candidate nearest to `now` among the due times within an hour by the clock on the wall, if any."""
    begin = hour.astimezone(UTC)
    if hour.replace(minute=59, second=59).astimezone(UTC) - begin != timedelta(seconds=3599):
        return _in_broken_hour(cron, hour, now, forward=forward)
    if forward:
        return _first_after(cron, begin, now)
    return _last_until(cron, begin, now)


def _first_after(cron: Cron, begin: datetime, now: datetime) -> list[datetime]:
    if begin + _HOUR <= now:
        return []
    for minute in cron.minutes:
        at = begin + timedelta(minutes=minute)
        if at + timedelta(seconds=cron.seconds[-1]) > now:
            return [next(time for second in cron.seconds if (time := at + timedelta(seconds=second)) > now)]
    return []


def _last_until(cron: Cron, begin: datetime, now: datetime) -> list[datetime]:
    for minute in reversed(cron.minutes):
        at = begin + timedelta(minutes=minute)
        if at + timedelta(seconds=cron.seconds[0]) <= now:
            return [next(time for second in reversed(cron.seconds) if (time := at + timedelta(seconds=second)) <= now)]
    return []


def _in_broken_hour(cron: Cron, hour: datetime, now: datetime, *, forward: bool) -> list[datetime]:
    """Within this hour the clocks are changed, so each time is looked up for itself."""
    times = [hour.replace(minute=minute, second=second).astimezone(UTC) for minute in cron.minutes for second in cron.seconds]
    fitting = [time for time in times if (time > now) == forward]
    return [(min if forward else max)(fitting)] if fitting else []


def _values(text: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high - (1 if names is _DAYS else 0)
        else:
            start = _number(first, text, name, low, high, names)
            end = _number(last, text, name, low, high, names) if dash else high if slash else start
        every = _number(step, text, name, 1, max(high, 1), {}) if slash else 1
        if end < start:
            raise ValueError(f"{text!r} cannot be a {name}: {span} goes backwards")
        values.update(range(start, end + 1, every))
    return values


def _number(text: str, whole: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text, int(text) if text.isascii() and text.isdigit() else -1)
    if not low <= value <= high:
        raise ValueError(f"{whole!r} cannot be a {name}: {text!r} is not {low} to {high}")
    return value


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a known time zone") from error
