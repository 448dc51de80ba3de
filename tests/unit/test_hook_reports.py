"""What hooks say on standard input: any of their dialects, and nonsense."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.cli.hooks.ingest import events_of
from agent_memory.cli.hooks.reports import NoReport, event_of, report_of
from agent_memory.client import Event, EventType

NOW = 1_769_774_400_000


def event(**told: Any) -> Event | None:
    return event_of(report_of(json.dumps({"session_id": "s", **told}).encode()), NOW)


def the(**told: Any) -> Event:
    found = event(**told)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("told", "event_type", "role", "text"),
    [
        ({"hook_event_name": "SessionStart", "source": "startup"}, "session_start", "system", ""),
        ({"hook_event_name": "UserPromptSubmit", "prompt": "Hello"}, "user_message", "user", "Hello"),
        ({"hook_event_name": "UserPromptSubmit", "message": "Hello", "prompt": "x"}, "user_message", "user", "Hello"),
        ({"hook_event_name": "BeforeAgent", "prompt": "Hello"}, "user_message", "user", "Hello"),
        ({"hook_event_name": "AfterAgent", "prompt": "x", "prompt_response": "Hi"}, "assistant_message", "assistant", "Hi"),
        ({"hook_event_name": "AssistantResponse", "message": "Hi"}, "assistant_message", "assistant", "Hi"),
        ({"hook_event_name": "PreToolUse", "tool_name": "Read", "tool_input": {"a": 1}}, "tool_result", "tool", '{"a":1}'),
        ({"hook_event_name": "PostToolUse", "tool_name": "Read", "tool_input": {"a": 1}}, "tool_result", "tool", '{"a":1}'),
        ({"hook_event_name": "PostToolUse", "tool_response": {"stdout": "ok"}}, "tool_result", "tool", "ok"),
        ({"hook_event_name": "PostToolUse", "tool_response": [{"x": 1}]}, "tool_result", "tool", '[{"x":1}]'),
        ({"hook_event_name": "Stop"}, "session_end", "system", ""),
        ({"hook_event_name": "Stop", "stop_hook_active": False}, "assistant_stop", "assistant", ""),
        ({"hook_event_name": "SessionEnd", "reason": "exit"}, "session_end", "system", ""),
        ({"hook_event_name": "SubagentStart"}, "subagent_start", "system", ""),
        ({"hook_event_name": "SubagentStop"}, "subagent_stop", "system", ""),
        ({"hook_event_name": "Whatever", "message": "Hello"}, "user_message", "user", "Hello"),
    ],
)
def test_each_dialect_is_understood(told: dict[str, Any], event_type: str, role: str, text: str) -> None:
    found = the(**told)
    assert (found.event_type, found.role, found.text) == (event_type, role, text)
    assert (found.session_id, found.timestamp_ms) == ("s", NOW)


@pytest.mark.parametrize(
    "told",
    [
        {"hook_event_name": "Notification", "message": "Claude needs your permission"},
        {"hook_event_name": "PreCompact"},
        {"hook_event_name": "Whatever"},
        {"hook_event_name": "UserPromptSubmit", "prompt": "  "},
    ],
)
def test_what_says_nothing_of_the_conversation_is_no_event(told: dict[str, Any]) -> None:
    assert event(**told) is None


def test_an_event_keeps_its_tool_its_folder_its_agent_and_its_time() -> None:
    found = the(
        hook_event_name="PostToolUse",
        tool_name="Read",
        tool_input={"file_path": "/src/main.rs"},
        tool_response="fn main() {}",
        cwd="/src",
        agent="Claude",
        timestamp="2026-01-30T12:00:00+01:00",
    )
    assert found.metadata == {"tool_name": "Read", "tool_input": '{"file_path":"/src/main.rs"}', "cwd": "/src"}
    assert (found.agent, found.timestamp_ms) == ("claude", NOW - 3_600_000)


def test_the_use_of_a_tool_is_told_apart_from_its_result() -> None:
    use, result = (the(hook_event_name=name, tool_use_id="t1", tool_input={"a": 1}) for name in ("PreToolUse", "PostToolUse"))
    assert use.metadata == {"tool_use_id": "t1", "tool_phase": "use"}
    assert result.metadata == {"tool_use_id": "t1", "tool_input": '{"a":1}'}


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", 2**63, True, [], "0001-01-01T00:00:00+23:00"])
def test_a_time_that_is_none_is_now(timestamp: object) -> None:
    assert the(hook_event_name="Stop", timestamp=timestamp).timestamp_ms == NOW


def test_texts_and_names_of_any_length_are_made_to_fit() -> None:
    found = the(hook_event_name="UserPromptSubmit", session_id="ł" * 300, prompt="ä" * 600_000 + "\0")
    assert len(found.session_id.encode()) <= 255
    assert len(found.text.encode()) <= 1_000_000
    assert found.text.endswith("ä…")


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"hook_event_name": "Stop"}',
        b'{"hook_event_name": 1, "session_id": "s"}',
        b"[" * 10_000,
        b"\xff",
    ],
)
def test_what_is_no_report_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(NoReport):
        events_of(raw, NOW, None)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (b"cut \\ud83d", "cut ?"),
        (b"cut \xf0\x9f\x98", "cut \N{REPLACEMENT CHARACTER}"),
        (b"a\tb", "a\tb"),
        (b"\\\\ud83d", "\\ud83d"),
    ],
)
def test_halves_of_characters_cost_no_more_than_themselves(prompt: bytes, text: str) -> None:
    raw = b'{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "%b"}' % prompt
    assert [one.text for one in events_of(raw, NOW, None)] == [text]
    assert [one.text for one in events_of(b"\xef\xbb\xbf" + raw, NOW, None)] == [text]


def test_several_reports_are_told_one_a_line() -> None:
    lines = [json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": text}) for text in ("a", "b")]
    assert [one.text for one in events_of("\n\r\n".join(lines).encode(), NOW, None)] == ["a", "b"]
    with pytest.raises(NoReport, match="session_id is missing"):
        events_of(f'{lines[0]}\n{{"hook_event_name": "Stop"}}'.encode(), NOW, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["Stop", "PostToolUse", "UserPromptSubmit", "Else"]),
    st.dictionaries(
        st.sampled_from(["message", "prompt", "tool_input", "tool_response", "tool_name", "agent", "cwd"]), json_values
    ),
)
def test_any_report_becomes_an_event_or_none(name: str, told: dict[str, Any]) -> None:
    found = event(hook_event_name=name, **told)
    assert found is None or found.text is not None


def transcript(path: Path, *lines: tuple[str, str, str]) -> str:
    records = [
        {
            "type": role,
            "uuid": uuid,
            "sessionId": "s",
            "timestamp": f"2026-01-30T11:00:0{number}Z",
            "message": {"role": role, "content": [{"type": "text", "text": text}]},
        }
        for number, (role, uuid, text) in enumerate(lines)
    ]
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return str(path)


LINES = [
    ("user", "u1", "first question"),
    ("assistant", "a1", "an older answer"),
    ("user", "u2", "second question"),
    ("assistant", "a2", "I will look."),
    ("assistant", "a3", "It is 42."),
]


def ended(place: str, name: str = "Stop", **told: object) -> list[Event]:
    said = {"hook_event_name": name, "session_id": "s", "transcript_path": place, **told}
    return events_of(json.dumps(said).encode(), NOW, "claude-code")


def test_the_end_of_a_turn_brings_what_the_assistant_said_in_it(tmp_path: Path) -> None:
    place = transcript(tmp_path / "t.jsonl", *LINES)
    events = ended(place, stop_hook_active=False)
    again = ended(place, stop_hook_active=False, last_assistant_message="Not there yet.")
    assert [one.text for one in events] == ["I will look.", "It is 42.", ""]
    assert events[-1].event_type == EventType.ASSISTANT_STOP
    assert [one.event_id for one in events[:2]] == [one.event_id for one in again[:2]]
    assert [one.text for one in again] == ["I will look.", "It is 42.", "Not there yet.", ""]
    assert {one.agent for one in events} == {"claude-code"}


def test_an_answer_that_the_transcript_holds_only_later_is_one_event(tmp_path: Path) -> None:
    early = ended(transcript(tmp_path / "t.jsonl", *LINES[:-1]), stop_hook_active=False, last_assistant_message="It is 42.")
    late = ended(transcript(tmp_path / "t.jsonl", *LINES), "SessionEnd")
    assert [one.text for one in early] == [one.text for one in late] == ["I will look.", "It is 42.", ""]
    assert [one.event_id for one in early[:2]] == [one.event_id for one in late[:2]]


def test_the_same_words_in_two_turns_or_twice_in_one_are_several_events(tmp_path: Path) -> None:
    done = ("assistant", "a", "Done.")
    one = ended(transcript(tmp_path / "t.jsonl", ("user", "u1", "Do it."), done, done))
    other = ended(transcript(tmp_path / "t.jsonl", ("user", "u1", "Do it."), done, ("user", "u2", "Again."), done))
    assert len({event.event_id for event in [*one[:-1], *other[:-1]]}) == 3


@pytest.mark.parametrize("place", ["/does/not/exist", "/proc/self/mem", "~nobody-of-that-name/t", "a\0b", 7, None])
def test_a_transcript_that_cannot_be_read_costs_nothing_else(place: object) -> None:
    told = {"hook_event_name": "Stop", "session_id": "s", "transcript_path": place}
    assert [one.event_type for one in events_of(json.dumps(told).encode(), NOW, None)] == ["session_end"]
