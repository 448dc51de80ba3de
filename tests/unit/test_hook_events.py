"""What hooks of coding agents report becomes events of the timeline."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.client import EventRole, EventType, HookEvent, HookEventType, map_hook_event
from agent_memory.client.ulid import new_ulid

NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hook", "event_type", "role"),
    [
        (HookEventType.SESSION_START, EventType.SESSION_START, EventRole.SYSTEM),
        (HookEventType.USER_PROMPT_SUBMIT, EventType.USER_MESSAGE, EventRole.USER),
        (HookEventType.ASSISTANT_RESPONSE, EventType.ASSISTANT_MESSAGE, EventRole.ASSISTANT),
        (HookEventType.TOOL_USE, EventType.TOOL_RESULT, EventRole.TOOL),
        (HookEventType.TOOL_RESULT, EventType.TOOL_RESULT, EventRole.TOOL),
        (HookEventType.STOP, EventType.SESSION_END, EventRole.SYSTEM),
        (HookEventType.SUBAGENT_START, EventType.SUBAGENT_START, EventRole.SYSTEM),
        (HookEventType.SUBAGENT_STOP, EventType.SUBAGENT_STOP, EventRole.SYSTEM),
    ],
)
def test_each_hook_is_an_event_of_its_kind(hook: HookEventType, event_type: EventType, role: EventRole) -> None:
    event = map_hook_event(HookEvent("session-1", hook, "Hello!"))
    assert (event.event_type, event.role, event.session_id, event.text) == (event_type, role, "session-1", "Hello!")
    assert len(event.event_id) == 26


def test_a_hook_keeps_its_moment_its_tool_its_metadata_and_its_agent() -> None:
    hook = (
        HookEvent.new("session-1", HookEventType.TOOL_RESULT, "File contents")
        .with_tool_name("Read")
        .with_metadata({"file_path": "/src/main.rs", "tool_name": "another"})
        .with_timestamp(NOON)
        .with_agent("claude")
    )
    event = map_hook_event(hook)
    assert event.metadata == {"file_path": "/src/main.rs", "tool_name": "Read"}
    assert (event.timestamp, event.agent) == (NOON, "claude")


def test_a_hook_of_the_past_has_an_id_of_the_past() -> None:
    earlier = map_hook_event(HookEvent("s", HookEventType.STOP, "").with_timestamp(1_000))
    later = map_hook_event(HookEvent("s", HookEventType.STOP, "").with_timestamp(NOON))
    assert earlier.event_id < later.event_id < map_hook_event(HookEvent("s", HookEventType.STOP, "")).event_id


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1))
def test_ids_sort_by_their_time(one: int, other: int) -> None:
    first, second = new_ulid(one), new_ulid(other)
    assert first != second
    assert one == other or (first < second) == (one < other)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_has_an_id(moment: int) -> None:
    assert len(new_ulid(moment)) == 26
