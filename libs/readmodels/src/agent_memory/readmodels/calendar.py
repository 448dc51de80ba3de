"""The calendar of the table of contents: year, month, week, day, in a time zone, for every time that the timeline accepts.

Weeks are ISO weeks (Monday first) and belong to the month and year of their Thursday. Python's datetime ends at the years 1 and
9999, the timeline does not, so dates are reckoned from day numbers (days since 1970-01-01, which was a Thursday). Outside of
these years every zone is UTC.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

import msgspec

Level = Literal["year", "month", "week", "day"]

DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905 - reads better
)
ROOT = ""
"""Stands for the parent of all years."""

_NODE = re.compile(r"toc:(year|month|week|day):(-?\d{3,7})(?:[-:](W?)(\d\d)(?:-(\d\d))?)?")
_FIRST_YEAR, _LAST_YEAR = -262_144, 262_143


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the calendar. Times are milliseconds since 1970 UTC, both ends included; `parent` is empty for a year."""

    node_id: str
    level: Level
    title: str
    parent: str
    start_ms: int
    end_ms: int


def day_number(timestamp_ms: int, zone: tzinfo = UTC) -> int:
    """Days from 1970-01-01 to the day of a time, as the zone has it."""
    return local_ms(timestamp_ms, zone) // DAY_MS


def local_ms(timestamp_ms: int, zone: tzinfo = UTC) -> int:
    """What a clock in the zone shows, as if it were UTC."""
    if zone is UTC:
        return timestamp_ms
    try:
        offset = (EPOCH + timedelta(milliseconds=timestamp_ms)).astimezone(zone).utcoffset()
    except (OverflowError, ValueError):
        return timestamp_ms
    return timestamp_ms + (0 if offset is None else offset // timedelta(milliseconds=1))


@lru_cache(maxsize=4_096)
def path_of(day: int, zone: tzinfo = UTC) -> tuple[Period, Period, Period, Period]:
    """Year, month, week and day that a day stands under; each is the parent of the next."""
    week = _week(day - (day + 3) % 7)
    month = _month_of(week.parent)
    year, month, week, one = (_in(found, zone) for found in (_year_of(month.parent), month, week, _day(day)))
    return year, month, week, one


@lru_cache(maxsize=16_384)
def period(node_id: str, zone: tzinfo = UTC) -> Period | None:
    """The node of an id, also in the older form with a colon (`toc:month:2026:01`). None when there is no such day."""
    match = _NODE.fullmatch(node_id)
    if match is None:
        return None
    level, year, week_mark, second, third = match.groups()
    found = _found(level, int(year), week_mark, second, third)
    return _in(found, zone) if found is not None and found.node_id == _dashed(level, node_id) else None


def _in(found: Period, zone: tzinfo) -> Period:
    """The period between midnights of the zone."""
    if zone is UTC:
        return found
    start, after = (_midnight(ms // DAY_MS, zone) for ms in (found.start_ms, found.end_ms + 1))
    return msgspec.structs.replace(found, start_ms=start, end_ms=after - 1)


def _midnight(day: int, zone: tzinfo) -> int:
    try:
        moment = datetime.combine(date(1970, 1, 1) + timedelta(days=day), datetime.min.time(), zone)
        return (moment - EPOCH) // timedelta(milliseconds=1)
    except (OverflowError, ValueError):
        return day * DAY_MS


def _dashed(level: str, node_id: str) -> str:
    if level not in ("month", "week"):
        return node_id
    head, _, tail = node_id.removeprefix(f"toc:{level}:").replace(":", "-").rpartition("-")
    return f"toc:{level}:{head}-{tail}"


def _found(level: str, year: int, week_mark: str | None, second: str | None, third: str | None) -> Period | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    match (level, week_mark, second, third):
        case ("year", None, None, None):
            return _year(year)
        case ("month", "", str(), None) if 1 <= int(second) <= 12:
            return _month(year, int(second))
        case ("week", "W", str(), None) if 1 <= int(second) <= 53:
            first = day_of(year, 1, 4)
            return _week(first - (first + 3) % 7 + 7 * (int(second) - 1))
        case ("day", "", str(), str()) if 1 <= int(second) <= 12 and 1 <= int(third) <= 31:
            return _day(day_of(year, int(second), int(third)))
        case _:
            return None


def day_of(year: int, month: int, day: int) -> int:
    """Day number of a date of the proleptic Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms")."""
    shifted = year - (month <= 2)
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def date_of(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month of a day number; the inverse of `day_of`."""
    era, day_of_era = divmod(day + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def _year(year: int) -> Period:
    return _between(f"toc:year:{year:04d}", "year", str(year), ROOT, day_of(year, 1, 1), day_of(year + 1, 1, 1))


def _month(year: int, month: int) -> Period:
    after = day_of(year + (month == 12), month % 12 + 1, 1)
    title, parent = f"{MONTHS[month - 1]} {year}", f"toc:year:{year:04d}"
    return _between(f"toc:month:{year:04d}-{month:02d}", "month", title, parent, day_of(year, month, 1), after)


def _week(monday: int) -> Period:
    thursday = monday + 3
    year, month, _ = date_of(thursday)
    number = (thursday - day_of(year, 1, 1)) // 7 + 1
    node_id, parent = f"toc:week:{year:04d}-W{number:02d}", f"toc:month:{year:04d}-{month:02d}"
    return _between(node_id, "week", f"Week {number}, {year}", parent, monday, monday + 7)


def _day(day: int) -> Period:
    year, month, date = date_of(day)
    week = _week(day - (day + 3) % 7).node_id
    title = f"{MONTHS[month - 1]} {date}, {year}"
    return _between(f"toc:day:{year:04d}-{month:02d}-{date:02d}", "day", title, week, day, day + 1)


def _month_of(node_id: str) -> Period:
    year, _, month = node_id.removeprefix("toc:month:").rpartition("-")
    return _month(int(year), int(month))


def _year_of(node_id: str) -> Period:
    return _year(int(node_id.removeprefix("toc:year:")))


def _between(node_id: str, level: Level, title: str, parent: str, first_day: int, day_after: int) -> Period:
    start, end = first_day * DAY_MS, day_after * DAY_MS - 1
    return Period(node_id=node_id, level=level, title=title, parent=parent, start_ms=start, end_ms=end)
