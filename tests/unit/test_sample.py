"""The sample history is what people see first: it must be whole, long, varied, and about facts that change."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from agent_memory.cli.importers import own
from agent_memory.cli.importers.formats import detect
from agent_memory.cli.importers.items import Found
from agent_memory.cli.sample import history
from agent_memory.contracts.records import TimelineEvent

LINES = history().read_bytes().splitlines(keepends=True)
ITEMS = list(own.parse(LINES))
EVENTS = [item.event for item in ITEMS if isinstance(item, Found)]


def moment(event: TimelineEvent) -> datetime:
    return datetime.fromtimestamp(event.timestamp_ms / 1000, UTC)


def first_mention(words: str) -> datetime:
    return next(moment(event) for event in EVENTS if words.lower() in event.text.lower())


def test_every_line_is_an_event() -> None:
    assert len(EVENTS) == len(LINES) == len(ITEMS)
    assert detect(b"".join(LINES)).name == "jsonl"
    assert len({event.event_id for event in EVENTS}) == len(EVENTS)


def test_it_is_long_enough_to_be_worth_remembering() -> None:
    kinds = Counter(event.event_type for event in EVENTS)
    assert len(EVENTS) >= 400
    assert len({event.session_id for event in EVENTS}) >= 15
    assert moment(EVENTS[-1]) - moment(EVENTS[0]) >= timedelta(weeks=8)
    assert min(kinds["user_message"], kinds["assistant_message"]) >= 150
    assert kinds["tool_result"] >= 40
    assert kinds["session_start"] == kinds["session_end"] == len({event.session_id for event in EVENTS})


def test_it_is_in_order_of_time_and_in_the_past() -> None:
    assert all(before.timestamp_ms <= after.timestamp_ms for before, after in pairwise(EVENTS))
    assert moment(EVENTS[-1]) < datetime.now(UTC)


def test_each_session_starts_with_its_start_and_ends_with_its_end() -> None:
    for session_id in {event.session_id for event in EVENTS}:
        kinds = [event.event_type for event in EVENTS if event.session_id == session_id]
        assert kinds[0] == "session_start"
        assert kinds[-1] == "session_end"
        assert "session_start" not in kinds[1:]
        assert len(kinds) >= 8


def test_one_of_its_weeks_crosses_a_month() -> None:
    months: dict[tuple[int, int], set[int]] = {}
    for event in EVENTS:
        months.setdefault(moment(event).isocalendar()[:2], set()).add(moment(event).month)
    assert any(len(found) == 2 for found in months.values())


def test_it_is_not_all_english_and_not_all_ascii() -> None:
    text = "".join(event.text for event in EVENTS)
    for letters in ("タイドテーブル", "Kochana Mamo", "schönes Wochenende", "avelãs", "🦀"):
        assert letters in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("the database is MySQL 8.0", "first booking on Postgres"),
        ("Skipper", "Tidetable"),
        ("production every Friday", "deploy is on Tuesday"),
        ("we indent Python with tabs", "four spaces, no tabs"),
        ("allergic to walnuts", "not to walnuts"),
        ("go to Lofoten", "Azores!"),
        ("Stand-up at 9:30", "stand-up is at 10:00"),
        ("HOLD_SECONDS = 600", "HOLD_SECONDS from 600 to 900"),
        ("half marathon in Gdynia", "half marathon in March is off"),
    ],
)
def test_facts_change_over_time(before: str, after: str) -> None:
    assert first_mention(before) < first_mention(after)


def test_no_two_messages_say_the_same() -> None:
    said = Counter(event.text for event in EVENTS if event.event_type in ("user_message", "assistant_message"))
    assert [text for text, times in said.items() if times > 1] == []
