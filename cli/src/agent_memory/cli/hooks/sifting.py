"""What hooks report late may stand in the timeline already, imported from the transcript under other ids: it is one event."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent_memory.cli.loading.recorded import NEAR_MS, Recorded, imported
from agent_memory.client.errors import Forbidden, InvalidRequest, RequestFailed
from agent_memory.client.toc import Event, EventType
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS

if TYPE_CHECKING:
    from agent_memory.client.grpc_clients import SyncTimelineClient

BEFORE_MS = 30_000
"""How much earlier than a hook a transcript may date the last thing that it tells. Words of later than that were not imported."""
_TOLD = frozenset({EventType.SESSION_START, EventType.USER_MESSAGE, EventType.ASSISTANT_MESSAGE, EventType.TOOL_RESULT})
_AGAIN = frozenset({"resume", "compact"})
_PAGE = 500
_FIRST = 20


def fresh(events: list[Event], timeline: "SyncTimelineClient") -> list[Event]:
    """Those that nobody imported. All of them, where the server does not tell what it holds. Raises MemoryClientError."""
    sessions: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event_type in _TOLD and event.metadata.get("source") not in _AGAIN:
            sessions[event.session_id].append(event)
    try:
        known = {event.event_id for session, told in sessions.items() for event in _known(session, told, timeline)}
    except RequestFailed as error:
        if isinstance(error, InvalidRequest | Forbidden) or error.code == "UNIMPLEMENTED":
            return events
        raise
    return [event for event in events if event.event_id not in known]


def _known(session_id: str, told: list[Event], timeline: "SyncTimelineClient") -> Iterator[Event]:
    later = [event for event in told if event.event_type != EventType.SESSION_START]
    found = [one for start, end in _spans(later, NEAR_MS) for one in _imported(timeline, start, end, session_id)]
    if len(later) < len(told):
        # The transcript begins with what was said first, however long that was after the start.
        page = timeline.get_events(MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS, _FIRST, session_id=session_id)
        found += [one for one in page.events if one.session_id == session_id and imported(one.event_id)]
    recorded = Recorded({one.event_id: one for one in found}.values())
    last = max((one.timestamp_ms for one in found), default=MIN_TIMESTAMP_MS)
    # The same words said again after the import are another event.
    known = [event for event in told if (_is_named(event) or event.timestamp_ms - BEFORE_MS <= last) and recorded.has(event)]
    yield from known
    missing = [event for event in later if event.event_type == EventType.TOOL_RESULT and event not in known]
    yield from _of_sub_agents(session_id, missing, timeline)


def _is_named(event: Event) -> bool:
    """Whether it is told by something else than its words."""
    return event.event_type == EventType.SESSION_START or "tool_use_id" in event.metadata


def _of_sub_agents(session_id: str, results: list[Event], timeline: "SyncTimelineClient") -> Iterator[Event]:
    """Hooks tell of their tools as of the session they work for; imported they speak in sessions of their own."""
    found = [
        one
        for start, end in _spans(results, BEFORE_MS, NEAR_MS)
        for one in _imported(timeline, start, end, None)
        if one.session_id.startswith(f"{session_id}:") and one.event_type == EventType.TOOL_RESULT
    ]
    recorded = Recorded(found)
    return (event for event in results if event.metadata.get("tool_use_id") and recorded.has(event))


def _imported(timeline: "SyncTimelineClient", start: int, end: int, session_id: str | None) -> Iterator[Event]:
    cursor: str | None = None
    while True:
        page = timeline.get_events(start, end, _PAGE, cursor=cursor, session_id=session_id)
        yield from (one for one in page.events if imported(one.event_id) and session_id in (None, one.session_id))
        cursor = page.next_cursor
        if cursor is None:
            return


def _spans(events: list[Event], before: int, after: int | None = None) -> list[tuple[int, int]]:
    """The times around these events, those that touch as one."""
    spans: list[tuple[int, int]] = []
    for at in sorted(event.timestamp_ms for event in events):
        start, end = at - before, at + (before if after is None else after)
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans
