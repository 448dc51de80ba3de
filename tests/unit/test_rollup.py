"""The calendar of the table of contents, and what is counted on a day."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope, TimelineEvent
from agent_memory.readmodels.calendar import MONTHS, date_of, day_number, day_of, path_of, period
from agent_memory.rollup.domain import tally

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


def recorded(version: int, timestamp_ms: int, session: str = "s") -> tuple[EventEnvelope, TimelineEvent]:
    envelope = EventEnvelope(
        position=version, stream=session, version=version, type="", scope=Scope(), recorded_ms=0, data=msgspec.Raw(b"{}")
    )
    return envelope, TimelineEvent(event_id=str(version), session_id=session, timestamp_ms=timestamp_ms)


def test_a_batch_is_tallied_by_scope_and_day_and_in_it_by_session() -> None:
    tallies = tally([recorded(2, 5), recorded(1, 9), recorded(3, 86_400_000), recorded(1, 7, "other"), recorded(2, 5)])
    assert [(one.day, one.first_ms, one.last_ms) for one in tallies] == [(0, 5, 9), (1, 86_400_000, 86_400_000)]
    sessions = [[(session.session_id, session.versions) for session in one.sessions] for one in tallies]
    assert sessions == [[("s", (1, 2)), ("other", (1,))], [("s", (3,))]]
