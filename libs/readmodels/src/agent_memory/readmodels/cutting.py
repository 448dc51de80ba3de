"""Where a session is cut: a pause of more than 30 minutes, about 4,000 tokens, or its end. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from agent_memory.contracts.records import TimelineEvent
from agent_memory.readmodels.segments import Segment, Segmentation

GAP_MS = 30 * 60 * 1000
MAX_TOKENS = 4000
TOOL_BYTES = 1000
"""Of a tool's result no more is counted: it is quoted, never told."""


def tokens(event: TimelineEvent) -> int:
    """Estimated tokens of the text: four bytes each."""
    size = len(event.text.encode(errors="replace"))
    return (min(size, TOOL_BYTES) if event.event_type == "tool_result" else size) // 4 + 1


def evolve(state: Segmentation, version: int, event: TimelineEvent | None) -> tuple[Segmentation, list[Segment]]:
    """The state after a version of the session's stream, and the segments it closed. None: an event that says nothing."""
    if event is None:
        return msgspec.structs.replace(state, version=version), []
    current, closed = state.open, []
    if current is not None and (reason := _cut_before(current, event)):
        closed.append(msgspec.structs.replace(current, closed_by=reason))
        current = None
    number = state.closed + len(closed)
    if event.event_type == "session_end":
        # An end on its own is no segment.
        if current is not None:
            closed.append(msgspec.structs.replace(_extended(current, event), closed_by="session_end"))
            current = None
    else:
        current = _opened(number, event) if current is None else _extended(current, event)
    return Segmentation(version=version, closed=state.closed + len(closed), open=current), closed


def evolve_all(state: Segmentation, events: Sequence[tuple[int, TimelineEvent | None]]) -> tuple[Segmentation, list[Segment]]:
    """`evolve` over (version, event) pairs in order; versions that the state has seen already are passed over."""
    closed: list[Segment] = []
    for version, event in events:
        if version > state.version:
            state, just_closed = evolve(state, version, event)
            closed += just_closed
    return state, closed


def follows(state: Segmentation, versions: Sequence[int]) -> bool:
    """Whether the sorted versions go on from the state without a gap, apart from those that it has seen already."""
    new = [version for version in versions if version > state.version]
    return not new or (new[0] == state.version + 1 and new[-1] - new[0] == len(set(new)) - 1)


def _cut_before(current: Segment, event: TimelineEvent) -> Literal["", "gap", "tokens"]:
    if event.timestamp_ms - current.last_ms > GAP_MS or current.first_ms - event.timestamp_ms > GAP_MS:
        return "gap"
    if event.event_type != "session_end" and current.tokens + tokens(event) > MAX_TOKENS:
        return "tokens"
    return ""


def _opened(number: int, event: TimelineEvent) -> Segment:
    return Segment(
        number=number,
        first_ms=event.timestamp_ms,
        last_ms=event.timestamp_ms,
        first_event=event.event_id,
        last_event=event.event_id,
        tokens=tokens(event),
    )


def _extended(current: Segment, event: TimelineEvent) -> Segment:
    return msgspec.structs.replace(
        current,
        first_ms=min(current.first_ms, event.timestamp_ms),
        last_ms=max(current.last_ms, event.timestamp_ms),
        last_event=event.event_id,
        events=current.events + 1,
        tokens=current.tokens + tokens(event),
    )
