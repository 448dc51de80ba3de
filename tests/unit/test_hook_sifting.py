"""Which reports of hooks stand in the timeline already, because the transcript was imported before they came."""

from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

import pytest

from agent_memory.cli.hooks.sifting import fresh
from agent_memory.cli.loading.recorded import NEAR_MS
from agent_memory.client import Event, EventRole, EventType, SyncTimelineClient
from support.small_timeline import SmallTimeline, small_timeline

AT = 1_769_774_400_000


@pytest.fixture
def service() -> Iterator[SmallTimeline]:
    with small_timeline() as service:
        yield service


@pytest.fixture
def timeline(service: SmallTimeline) -> Iterator[SyncTimelineClient]:
    with SyncTimelineClient(service.endpoint) as timeline:
        yield timeline


def said(text: str, at: int = AT, kind: str = "user_message", session: str = "s", **metadata: str) -> Event:
    return Event.new(f"{text}-{at}", session, at, EventType(kind), EventRole.USER, text, metadata)


def imported(timeline: SyncTimelineClient, *events: Event) -> None:
    for event in events:
        timeline.ingest(
            Event.new(
                str(uuid5(NAMESPACE_URL, event.event_id + event.session_id)),
                event.session_id,
                event.timestamp_ms,
                event.event_type,
                event.role,
                event.text,
                event.metadata,
            )
        )


@pytest.mark.parametrize(
    ("told", "report"),
    [
        (said("Why?"), said("Why? \n", AT + 4_000)),
        (said("Why?"), said("Why?", AT - NEAR_MS)),
        (said("ok", kind="tool_result", tool_use_id="t1"), said("ok\n", AT + 10, "tool_result", tool_use_id="t1")),
        (said("ok", kind="tool_result", session="s:a7", tool_use_id="t1"), said("ok", AT, "tool_result", tool_use_id="t1")),
        (said("", AT + 10**8, "session_start"), said("", AT, "session_start", source="startup")),
        (said("Why?"), said("Why?", AT + 29_000)),
        (said("ok", kind="tool_result", tool_use_id="t1"), said("", AT + 60_000, "tool_result", tool_use_id="t1")),
        (said("", AT - 10**8, "session_start"), said("", AT, "session_start", source="startup")),
    ],
)
def test_what_was_imported_is_not_told_again(timeline: SyncTimelineClient, told: Event, report: Event) -> None:
    imported(timeline, told)
    assert fresh([report], timeline) == []


@pytest.mark.parametrize(
    ("told", "report"),
    [
        (said("Why?"), said("Why?", AT + 60_000)),
        (said("Why?", session="other"), said("Why?")),
        (said("ok", kind="tool_result", tool_use_id="t1"), said("ok", AT, "tool_result", tool_use_id="t2")),
        (said("Bash: ls", kind="assistant_message", tool_use_id="t1"), said("a", AT, "tool_result", tool_use_id="t1")),
        (said("", AT, "session_start"), said("", AT + 10**7, "session_start", source="resume")),
        (said("", AT, "session_end"), said("", AT, "session_end")),
    ],
)
def test_what_nobody_imported_is_told(timeline: SyncTimelineClient, told: Event, report: Event) -> None:
    imported(timeline, told)
    assert fresh([report], timeline) == [report]


def test_what_came_by_other_doors_is_no_import(timeline: SyncTimelineClient) -> None:
    timeline.ingest(said("yes"))
    again = said("yes", AT + 1_000)
    assert fresh([again], timeline) == [again]


def test_each_imported_event_is_one_report_alone(timeline: SyncTimelineClient) -> None:
    imported(timeline, said("yes"), said("Then do it.", AT + 90_000))
    first, second = said("yes", AT + 1_000), said("yes", AT + 50_000)
    assert fresh([first, second], timeline) == [second]


def test_a_server_that_does_not_tell_what_it_holds_gets_everything(service: SmallTimeline, timeline: SyncTimelineClient) -> None:
    imported(timeline, said("Why?"))
    service.without.add("GetEvents")
    assert fresh([said("Why?")], timeline) == [said("Why?")]
