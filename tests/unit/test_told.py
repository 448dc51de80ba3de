"""What a transcript tells that hooks recorded already: the same words by the same speaker about the same time."""

from typing import Any

import pytest

from agent_memory.cli.loading.recorded import NEAR_MS, Recorded
from agent_memory.contracts.records import TimelineEvent

AT = 1_769_774_400_000


def event(text: str = "yes", at: int = AT, kind: Any = "user_message", **metadata: str) -> TimelineEvent:
    return TimelineEvent(event_id="e", session_id="s", timestamp_ms=at, event_type=kind, text=text, metadata=metadata)


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        (event("Why? \n"), event("Why?", AT + NEAR_MS)),
        (event("Why?"), event("Why?", AT - NEAR_MS)),
        (event("It is 42.", kind="assistant_message"), event("It is 42.", kind="assistant_message")),
        (event("ok", kind="tool_result", tool_use_id="t1"), event("ok\n\n[image]", AT + 10**9, "tool_result", tool_use_id="t1")),
        (event("ok", kind="tool_result"), event("ok", AT + 5, "tool_result", tool_use_id="t1")),
        (event("", kind="session_start"), event("", AT + 10**9, "session_start")),
        (
            event("/review main"),
            event(
                "<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args>main</command-args>"
            ),
        ),
    ],
)
def test_what_a_hook_recorded_is_known(recorded: TimelineEvent, told: TimelineEvent) -> None:
    assert Recorded([recorded]).has(told)


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        (event("Why?"), event("Why?", AT + NEAR_MS + 1)),
        (event("Why?"), event("why?")),
        (event("yes"), event("yes", kind="assistant_message")),
        (event("ok", kind="tool_result", tool_use_id="t1"), event("ok", kind="tool_result", tool_use_id="t2")),
        (event("", kind="session_end"), event("", kind="session_start")),
        (event("{}", kind="tool_result", tool_use_id="t1", tool_phase="use"), event("ok", kind="tool_result", tool_use_id="t1")),
    ],
)
def test_what_nobody_recorded_is_not(recorded: TimelineEvent, told: TimelineEvent) -> None:
    assert not Recorded([recorded]).has(told)


def test_each_recorded_event_is_one_of_those_that_are_told() -> None:
    known = Recorded([event(at=AT + 1_000), event(at=AT + 60_000)])
    assert [known.has(event(at=AT + at)) for at in (60_500, 1_500, 61_000)] == [True, True, False]
