"""The calendar of the table of contents, and what is counted on a day."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope, TimelineEvent
from agent_memory.contracts.streams import node_stream
from agent_memory.readmodels.calendar import MONTHS, date_of, day_number, day_of, path_of, period
from agent_memory.readmodels.contents import SessionState
from agent_memory.readmodels.contents_keeping import step
from agent_memory.rollup.domain import Delays, due_after_step

EPOCH = date(1970, 1, 1)


def ids(day: date) -> list[str]:
    return [entry.node_id for entry in path_of((day - EPOCH).days)]


def test_a_day_stands_under_its_week_month_and_year() -> None:
    assert [(entry.node_id, entry.title) for entry in path_of((date(2026, 1, 30) - EPOCH).days)] == [
        ("toc:year:2026", "2026"),
        ("toc:month:2026-01", "January 2026"),
        ("toc:week:2026-W05", "Week 5, 2026"),
        ("toc:day:2026-01-30", "January 30, 2026"),
    ]


def test_a_week_belongs_to_the_month_and_year_of_its_thursday() -> None:
    assert ids(date(2024, 12, 30)) == ["toc:year:2025", "toc:month:2025-01", "toc:week:2025-W01", "toc:day:2024-12-30"]
    assert ids(date(2026, 2, 1)) == ["toc:year:2026", "toc:month:2026-01", "toc:week:2026-W05", "toc:day:2026-02-01"]


def test_a_period_lasts_until_the_millisecond_before_the_next() -> None:
    month = period("toc:month:2026-01")
    assert month is not None
    assert (month.start_ms, month.end_ms) == (1_767_225_600_000, 1_769_903_999_999)


@pytest.mark.parametrize(
    ("older", "today"), [("toc:month:2026:01", "toc:month:2026-01"), ("toc:week:2026:W05", "toc:week:2026-W05")]
)
def test_ids_in_the_older_form_lead_to_the_same_node(older: str, today: str) -> None:
    found = period(older)
    assert found is not None
    assert found.node_id == today


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "toc", "toc:year:26", "toc:year:99999999", "toc:year:02026", "toc:year:2026-01", "toc:segment:01H"),
        *("toc:month:2026-13", "toc:month:2026-1", "toc:week:2025-W53", "toc:week:2026-05"),
        *("toc:day:2026-02-30", "toc:day:2026-00-01", "toc:day:2026-01-01x"),
    ],
)
def test_an_id_of_no_period_leads_nowhere(wrong: str) -> None:
    assert period(wrong) is None


@given(st.dates(min_value=date(2, 1, 1), max_value=date(9998, 12, 31)))
def test_the_calendar_agrees_with_the_standard_library(day: date) -> None:
    number = (day - EPOCH).days
    assert date_of(number) == (day.year, day.month, day.day)
    assert day_of(day.year, day.month, day.day) == number
    year, month, week, own = path_of(number)
    iso, thursday = day.isocalendar(), day - timedelta(days=day.weekday()) + timedelta(days=3)
    assert week.node_id == f"toc:week:{iso.year:04d}-W{iso.week:02d}"
    assert (month.title, year.title) == (f"{MONTHS[thursday.month - 1]} {thursday.year}", str(thursday.year))
    assert own.start_ms == int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


@given(st.integers(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS))
def test_every_time_that_can_be_recorded_has_a_place_that_can_be_found_again(timestamp_ms: int) -> None:
    path = path_of(day_number(timestamp_ms))
    assert path[3].start_ms <= timestamp_ms <= path[3].end_ms
    assert path[2].start_ms <= path[3].start_ms <= path[3].end_ms <= path[2].end_ms
    assert [entry.parent for entry in path] == ["", *(entry.node_id for entry in path[:3])]
    assert [period(entry.node_id) for entry in path] == list(path)


BERLIN, AUCKLAND = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Auckland")


def test_days_begin_at_midnight_of_the_zone() -> None:
    late = 1_769_730_300_000  # 2026-01-29 23:45 UTC
    days = [path_of(day_number(late, zone), zone)[-1].node_id for zone in (UTC, BERLIN)]
    assert days == ["toc:day:2026-01-29", "toc:day:2026-01-30"]
    day = period("toc:day:2026-01-30", BERLIN)
    assert day is not None
    assert (day.start_ms, day.end_ms - day.start_ms + 1) == (1_769_727_600_000, 86_400_000)


def test_the_days_on_which_clocks_are_changed_are_longer_or_shorter() -> None:
    lengths = [one.end_ms - one.start_ms + 1 for name in ("2026-03-29", "2026-10-25") if (one := period(f"toc:day:{name}", BERLIN))]
    assert lengths == [23 * 3_600_000, 25 * 3_600_000]


@given(st.integers(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS), st.sampled_from([UTC, BERLIN, AUCKLAND]))
def test_every_time_lies_in_its_day_in_any_zone(timestamp_ms: int, zone: tzinfo) -> None:
    path = path_of(day_number(timestamp_ms, zone), zone)
    assert all(entry.start_ms <= timestamp_ms <= entry.end_ms or abs(timestamp_ms) > 10**14 for entry in path[2:])
    assert [period(entry.node_id, zone) for entry in path] == [*path]


def recorded(version: int, timestamp_ms: int, session: str = "s") -> tuple[EventEnvelope, TimelineEvent]:
    envelope = EventEnvelope(
        position=version, stream=session, version=version, type="", scope=Scope(), recorded_ms=0, data=msgspec.Raw(b"{}")
    )
    return envelope, TimelineEvent(event_id=str(version), session_id=session, timestamp_ms=timestamp_ms)


def test_an_event_that_a_session_has_already_changes_nothing() -> None:
    first = step(Scope(), "s", SessionState(rev=0), [recorded(1, 5), recorded(2, 9), recorded(1, 5)])
    assert [len(segment.members) for segment in first.after] == [2]
    again = step(Scope(), "s", SessionState(rev=1, segments=first.after), [recorded(2, 9)])
    assert again.after is again.before.segments


def test_what_is_closed_is_written_about_sooner_than_what_may_go_on() -> None:
    taken = step(Scope(), "s", SessionState(rev=0), [recorded(1, 5), recorded(2, 9_000_000)])
    due = due_after_step(taken, 100, Delays(closed=1, open=50, period=70), UTC)
    assert [at for _, at in due] == [101, 150]


def test_what_leaves_a_day_leaves_it_to_be_written_about() -> None:
    before = step(Scope(), "s", SessionState(rev=0), [recorded(1, 86_400_000)])
    state = SessionState(rev=1, segments=before.after)
    due = due_after_step(step(Scope(), "s", state, [recorded(2, 86_399_000)]), 100, Delays(), UTC)
    assert node_stream(Scope(), "toc:day:1970-01-02") in dict(due)
