"""What memory-daemon prints: the very transcripts of its document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.cli.daemon import pages
from agent_memory.cli.daemon.admin import stats_lines
from agent_memory.cli.daemon.context import tell
from agent_memory.cli.daemon.lifecycle import DaemonStatus, status_lines
from agent_memory.cli.daemon.stats import Family, Stats
from agent_memory.client import (
    BrowseTocResult,
    Event,
    EventRole,
    ExpandGripResult,
    GetEventsResult,
    Grip,
    JobResult,
    JobStatus,
    SchedulerStatus,
    TocBullet,
    TocLevel,
    TocNode,
)

TEN = 1_769_767_200_000
"""2026-01-30 10:00:00 UTC."""
HOUR = 3_600_000


def node(node_id: str, title: str, children: int = 0, level: TocLevel = TocLevel.YEAR) -> TocNode:
    return TocNode(node_id=node_id, level=level, title=title, child_node_ids=[str(number) for number in range(children)])


def said(event_id: str, role: EventRole, seconds: int, text: str) -> Event:
    return Event(event_id=event_id, session_id="s", timestamp_ms=TEN + seconds * 1000, role=role, text=text)


def test_query_root() -> None:
    assert pages.roots([node("toc:year:2026", "2026", 12), node("toc:year:2025", "2025", 1)]) == [
        "TOC Root Nodes:",
        '  - toc:year:2026 "2026" (12 children)',
        '  - toc:year:2025 "2025" (1 child)',
    ]


def test_query_node() -> None:
    year = TocNode(
        node_id="toc:year:2026",
        level=TocLevel.YEAR,
        title="2026",
        summary="Programming discussions covering Rust, Python,\nand system design",
        keywords=["rust", "python", "async", "memory-safety"],
        child_node_ids=[str(month) for month in range(12)],
        start_time_ms=1_767_225_600_000,
        end_time_ms=1_798_761_599_999,
        version=3,
    )
    assert pages.one_node(year) == [
        "Node: toc:year:2026",
        "  Title: 2026",
        "  Level: Year",
        "  Summary: Programming discussions covering Rust, Python, and system design",
        "  Keywords: rust, python, async, memory-safety",
        "  Children: 12",
        "  Time Range: 2026-01-01 to 2026-12-31",
        "  Version: 3",
    ]


def test_a_period_has_its_own_days_in_whatever_time_zone_they_begin() -> None:
    tokyo = TocNode(
        node_id="toc:day:2026-01-30",
        level=TocLevel.DAY,
        title="January 30, 2026",
        start_time_ms=TEN - 19 * HOUR,
        end_time_ms=TEN + 5 * HOUR - 1,
    )
    assert pages.one_node(tokyo)[-2] == "  Time Range: 2026-01-30 to 2026-01-30"


def test_a_node_that_nothing_was_written_about_has_no_empty_lines_and_a_segment_shows_its_grips() -> None:
    assert pages.one_node(node("x", "X"))[3] == "  Children: 0"
    segment = TocNode(
        node_id="x", level=TocLevel.SEGMENT, title="X", bullets=[TocBullet(text="one", grip_ids=["grip:1"]), TocBullet(text="two")]
    )
    assert pages.one_node(segment)[3:6] == ["  Bullets:", "    - one [grip:1]", "    - two"]


def test_query_browse() -> None:
    months = [node(f"toc:month:2026-0{month}", f"Month {month}") for month in (1, 2, 3)]
    page = BrowseTocResult(children=months, continuation_token="3", has_more=True)
    assert pages.children("toc:year:2026", page, limit=3, token=None, total=12) == [
        "Children of toc:year:2026:",
        '  1. toc:month:2026-01 "Month 1"',
        '  2. toc:month:2026-02 "Month 2"',
        '  3. toc:month:2026-03 "Month 3"',
        "",
        'Page 1 of 4 (has_more: true, next_token: "3")',
    ]
    last = pages.children("x", BrowseTocResult(children=months), limit=3, token="9", total=12)
    assert (last[1], last[-1]) == ('  10. toc:month:2026-01 "Month 1"', "Page 4 of 4 (has_more: false)")
    assert pages.children("x", BrowseTocResult(children=[]), limit=20, token=None, total=0)[-1] == "Page 1 of 1 (has_more: false)"
    assert pages.children("x", BrowseTocResult(children=[]), limit=3, token="9", total=1)[-1] == "Page 4 of 4 (has_more: false)"
    assert pages.children("x", BrowseTocResult(children=[]), limit=20, token="?", total=0)[-1] == "Page (has_more: false)"


def test_query_events() -> None:
    told = [
        said("01HXYZABC001", EventRole.USER, 0, "What is Rust?"),
        said("01HXYZABC002", EventRole.ASSISTANT, 5, "Rust is\na systems programming language"),
        said("01HXYZABC003", EventRole.TOOL, 15, "x" * 300),
    ]
    assert pages.events(1738278000000, 1738281600000, GetEventsResult(events=told)) == [
        "Events (1738278000000 - 1738281600000):",
        "  1. 01HXYZABC001 [USER] 2026-01-30 10:00:00",
        '     "What is Rust?"',
        "  2. 01HXYZABC002 [ASSISTANT] 2026-01-30 10:00:05",
        '     "Rust is a systems programming language"',
        "  3. 01HXYZABC003 [TOOL] 2026-01-30 10:00:15",
        f'     "{"x" * 197}..."',
        "",
        "Total: 3 events (has_more: false)",
    ]


def test_query_expand() -> None:
    grip = Grip(
        grip_id="grip:01HXYZABC123",
        excerpt="Rust's ownership system prevents data races...",
        event_id_start="b",
        event_id_end="c",
        timestamp_ms=TEN,
        source="segment_summarizer",
    )
    found = ExpandGripResult(
        grip=grip,
        events_before=[said("a", EventRole.USER, 0, "What about memory safety?")],
        excerpt_events=[said("b", EventRole.ASSISTANT, 1, "Rust's ownership system\nprevents data races...")],
        events_after=[said("d", EventRole.USER, 3, "What about lifetimes?")],
    )
    assert pages.expansion("grip:01HXYZABC123", found) == [
        "Grip: grip:01HXYZABC123",
        '  Excerpt: "Rust\'s ownership system prevents data races..."',
        "  Source: segment_summarizer",
        "  Time: 2026-01-30 10:00:00",
        "",
        "Context:",
        "  --- BEFORE ---",
        "  [USER] What about memory safety?",
        "",
        "  --- EXCERPT ---",
        "  [ASSISTANT] Rust's ownership system\n    prevents data races...",
        "",
        "  --- AFTER ---",
        "  [USER] What about lifetimes?",
    ]


def test_scheduler_status() -> None:
    hourly = JobStatus(
        job_name="hourly-rollup",
        cron_expr="0 0 * * * *",
        last_run_ms=TEN,
        last_duration_ms=1250,
        last_result=JobResult.SUCCESS,
        next_run_ms=TEN + HOUR,
        run_count=24,
    )
    outbox = JobStatus(job_name="outbox-processor", cron_expr="0 * * * * *", is_running=True, error_count=2)
    paused = JobStatus(
        job_name="nightly",
        cron_expr="0 30 4 * * *",
        is_paused=True,
        time_zone="Europe/Warsaw",
        last_run_ms=TEN,
        last_duration_ms=150,
        last_result=JobResult.FAILED,
        last_error="it took\ntoo long",
    )
    assert pages.scheduler(SchedulerStatus(scheduler_running=True, jobs=[hourly, outbox, paused])) == [
        "Scheduler: Running",
        "",
        "Jobs:",
        "  hourly-rollup",
        "    Schedule: 0 0 * * * * (hourly)",
        "    Status: Active",
        "    Last Run: 2026-01-30 10:00:00 (1.25s, SUCCESS)",
        "    Next Run: 2026-01-30 11:00:00",
        "    Stats: 24 runs, 0 errors",
        "",
        "  outbox-processor",
        "    Schedule: 0 * * * * * (every minute)",
        "    Status: RUNNING",
        "    Last Run: never",
        "    Next Run: never",
        "    Stats: 0 runs, 2 errors",
        "",
        "  nightly",
        "    Schedule: 0 30 4 * * * (daily at 04:30, Europe/Warsaw)",
        "    Status: Paused",
        "    Last Run: 2026-01-30 10:00:00 (0.15s, FAILED)",
        "    Last Error: it took too long",
        "    Next Run: never",
        "    Stats: 0 runs, 0 errors",
    ]
    assert pages.scheduler(SchedulerStatus(scheduler_running=False))[0] == "Scheduler: Stopped"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 * * * *", "hourly"),
        ("0 */15 * * * *", "every 15 min"),
        ("0 * * * * *", "every minute"),
        ("0 5 * * * *", "hourly at :05"),
        ("0 0 */6 * * *", "every 6 hours"),
        ("0 0 */1 * * *", "hourly"),
        ("0 0 3 * * *", "daily at 03:00"),
        ("0 0 3 * * 1", ""),
        ("30 0 3 1 * *", ""),
        ("every 45 minutes", ""),
    ],
)
def test_schedules_are_told_in_words_where_they_are_simple(expression: str, words: str) -> None:
    assert pages.in_words(expression) == words


def test_status() -> None:
    told = DaemonStatus(
        status="running", pid=12345, port=50051, uptime_seconds=8130.9, events=15_234, database_bytes=round(45.2 * 1_048_576)
    )
    assert status_lines(told) == [
        "Daemon Status: Running",
        "  PID: 12345",
        "  Port: 50051",
        "  Uptime: 2h 15m 30s",
        "  Events stored: 15,234",
        "  Database size: 45.2 MB",
    ]
    assert status_lines(DaemonStatus(status="starting"))[-1] == "  Database size: unknown"


def test_admin_stats() -> None:
    families = {"events": Family(entries=15_234, bytes=39_950_746), "outbox": Family(entries=12, bytes=614)}
    told = Stats(path="/home/user/db", bytes=47_395_635, families=families, dead_rows=3, wal_bytes=2_202_010, redis_bytes=2_097_152)
    assert stats_lines(told) == [
        "Database Statistics:",
        "  Path: /home/user/db",
        "  Size: 45.2 MB",
        "",
        "  Column Families:",
        "    events: 15,234 entries, 38.1 MB",
        "    outbox: 12 entries, 614 B",
        "",
        "  Postgres Info:",
        "    Compaction: 3 pending",
        "    WAL: 2.1 MB",
        "",
        "  Redis Info:",
        "    Memory: 2.0 MB",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3_600, "1h 0m 0s"), (90_061, "1d 1h 1m 1s"), (-5, "0s")]
)
def test_uptime_leaves_out_what_is_not_reached(seconds: float, words: str) -> None:
    assert pages.uptime(seconds) == words


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_can_be_shown(timestamp_ms: int) -> None:
    assert len(pages.moment(timestamp_ms)) >= len("1-01-01 00:00:00")


def test_what_was_said_says_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell(["one \x1b[31m", "two\nthree\r"], {}, as_json=False)
    assert capsys.readouterr().out == "one  [31m\ntwo\nthree \n"
