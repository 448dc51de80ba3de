"""How far back a search of the timeline reaches."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from agent_memory.readmodels.retiring import since_ms


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def reached(months: int | None, now: datetime) -> datetime:
    found = since_ms(months, now)
    assert found is not None
    return datetime.fromtimestamp(found / 1000, UTC)


def test_without_a_number_of_months_nothing_is_too_old() -> None:
    assert since_ms(None, at("2026-03-15T10:00")) is None


def test_this_month_and_those_before_it_are_whole() -> None:
    assert reached(0, at("2026-03-15T10:00")) == at("2026-03-01")
    assert reached(2, at("2026-03-31T23:59:59")) == at("2026-01-01")
    assert reached(3, at("2026-03-01")) == at("2025-12-01")
    assert reached(24, at("2026-02-28")) == at("2024-02-01")


def test_months_are_those_of_utc_wherever_the_clock_hangs() -> None:
    kiritimati = timezone(timedelta(hours=14))
    assert reached(0, datetime(2026, 4, 1, 13, tzinfo=kiritimati)) == at("2026-03-01")


def test_more_months_than_there_were_reach_back_to_the_beginning() -> None:
    assert (since_ms(1_000_000, at("2026-03-15")) or 0) < (since_ms(20_000, at("2026-03-15")) or 0) < 0


@given(
    months=st.integers(0, 600),
    now=st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)),
)
def test_the_first_of_a_month_so_many_turns_of_the_month_ago(months: int, now: datetime) -> None:
    begun = reached(months, now)
    assert (begun.day, begun.hour, begun.minute, begun.second) == (1, 0, 0, 0)
    assert (now.year - begun.year) * 12 + now.month - begun.month == months
