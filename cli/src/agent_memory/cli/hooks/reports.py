"""What a hook says on standard input, as events. Claude Code's words, those of the timeline daemon's adapters, and Gemini's."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from agent_memory.cli.importers.items import MAX_TEXT_BYTES
from agent_memory.client.hook_events import HookEvent, HookEventType, map_hook_event
from agent_memory.client.toc import Event, EventRole, EventType
from agent_memory.contracts.records import MAX_ID_BYTES, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, to_milliseconds

KINDS = {
    "SessionStart": HookEventType.SESSION_START,
    "UserPromptSubmit": HookEventType.USER_PROMPT_SUBMIT,
    "BeforeAgent": HookEventType.USER_PROMPT_SUBMIT,
    "AssistantResponse": HookEventType.ASSISTANT_RESPONSE,
    "AfterAgent": HookEventType.ASSISTANT_RESPONSE,
    "PreToolUse": HookEventType.TOOL_USE,
    "BeforeTool": HookEventType.TOOL_USE,
    "PostToolUse": HookEventType.TOOL_RESULT,
    "AfterTool": HookEventType.TOOL_RESULT,
    "Stop": HookEventType.STOP,
    "SessionEnd": HookEventType.STOP,
    "SubagentStart": HookEventType.SUBAGENT_START,
    "SubagentStop": HookEventType.SUBAGENT_STOP,
}
"""By the name of the hook; one that is not known here reports what a user said, where it says anything."""
SILENT = frozenset(
    {"Notification", "PermissionRequest", "PreCompact", "PreCompress", "BeforeModel", "AfterModel", "BeforeToolSelection"}
)
"""Hooks that tell of the program, not of the conversation."""

_PLAIN = {"cwd": "cwd", "source": "source", "reason": "reason", "agent_type": "agent_type", "tool_use_id": "tool_use_id"}
_LONGEST_INPUT = 4_000
_MOMENT = (EventType.USER_MESSAGE, EventType.ASSISTANT_MESSAGE, EventType.TOOL_RESULT)


class NoReport(Exception):
    """Why what a hook said is not an event."""


def reports_of(raw: bytes) -> list[dict[str, Any]]:
    """The objects that a hook wrote: one, or one a line. Raises NoReport."""
    try:
        return [report_of(raw)]
    except NoReport:
        lines = [line for line in raw.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
    return [report_of(line) for line in lines]


def report_of(raw: bytes) -> dict[str, Any]:
    """The object that a hook wrote. Raises NoReport."""
    try:
        told = _decoded(raw)
    except (ValueError, RecursionError) as error:
        raise NoReport(f"not JSON: {error}") from None
    if not isinstance(told, dict):
        raise NoReport("not a JSON object")
    for name in ("hook_event_name", "session_id"):
        if not isinstance(told.get(name), str) or not told[name].strip():
            raise NoReport(f"{name} is missing")
    return told


def _decoded(raw: bytes) -> Any:
    """What was written; halves of characters, which cutting a text leaves behind, become marks.

    Raises ValueError, RecursionError.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Loaded for these alone: it takes time that a hook has little of.
        import json  # noqa: PLC0415

        told = json.loads(raw.decode("utf-8-sig", errors="replace"), strict=False)
        return msgspec.json.decode(json.dumps(told, ensure_ascii=False).encode(errors="replace"))


def event_of(told: Mapping[str, Any], now_ms: int, agent: str | None = None) -> Event | None:
    """The event of a report, None where there is nothing to remember. `agent`: who reports, where the report does not say.

    Claude Code's Stop ends a turn and not the session (it is the one that says whether a stop hook is active): it becomes
    `assistant_stop`. A bare Stop ends the session, as in the timeline daemon.
    """
    name = told["hook_event_name"]
    kind = KINDS.get(name, HookEventType.USER_PROMPT_SUBMIT)
    content = _content(kind, told)
    if name in SILENT or (name not in KINDS and not content):
        return None
    hook = HookEvent(
        session_id=_short(told["session_id"]),
        event_type=kind,
        content=fitting(content),
        timestamp_ms=moment_of(told.get("timestamp"), now_ms),
        tool_name=_text(told.get("tool_name")) or None,
        metadata=_metadata(kind, told),
        agent=_short((_text(told.get("agent")) or agent or "").strip().lower()) or None,
    )
    event = map_hook_event(hook)
    if name == "Stop" and "stop_hook_active" in told:
        event = msgspec.structs.replace(event, event_type=EventType.ASSISTANT_STOP, role=EventRole.ASSISTANT)
    return None if event.event_type in _MOMENT and not event.text.strip() else event


def moment_of(given: object, now_ms: int) -> int:
    """UTC milliseconds of an RFC 3339 time or of a number of milliseconds; now, where it is neither."""
    if isinstance(given, str):
        try:
            return to_milliseconds(datetime.fromisoformat(given).astimezone())[0]
        except (ValueError, OverflowError):
            return now_ms
    if isinstance(given, int) and not isinstance(given, bool) and MIN_TIMESTAMP_MS <= given <= MAX_TIMESTAMP_MS:
        return given
    return now_ms


def _content(kind: HookEventType, told: Mapping[str, Any]) -> str:
    if message := _text(told.get("message")):
        return message
    match kind:
        case HookEventType.USER_PROMPT_SUBMIT:
            return _text(told.get("prompt"))
        case HookEventType.ASSISTANT_RESPONSE:
            return _text(told.get("prompt_response")) or _text(told.get("response"))
        case HookEventType.TOOL_RESULT:
            return _of_tool(told.get("tool_response")) or _of_tool(told.get("tool_input"))
        case HookEventType.TOOL_USE:
            return _of_tool(told.get("tool_input"))
        case _:
            return ""


def _of_tool(value: object) -> str:
    """What a tool was given or gave back, as people read it: its text where it is text, else JSON."""
    if value in (None, "", {}, []):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in ("stdout", "content", "text", "output", "llmContent"):
            if isinstance(text := value.get(name), str) and text.strip():
                return text
    return msgspec.json.encode(value).decode()


def _metadata(kind: HookEventType, told: Mapping[str, Any]) -> dict[str, str]:
    known = {name: text for key, name in _PLAIN.items() if (text := _text(told.get(key)))}
    given = told.get("tool_input")
    if kind is HookEventType.TOOL_USE:
        # It has the id of its result, and is another event.
        known["tool_phase"] = "use"
    if kind is HookEventType.TOOL_RESULT and given not in (None, "", {}, []):
        text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
        known["tool_input"] = text if len(text) <= _LONGEST_INPUT else text[: _LONGEST_INPUT - 1] + "…"
    return {name: _storable(value) for name, value in known.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _storable(text: str) -> str:
    """Without what the log cannot keep: NUL, and halves of characters."""
    return text.replace("\0", "�").encode(errors="replace").decode()


def fitting(text: str) -> str:
    """As much of a text as one event may hold, cut between characters."""
    whole = _storable(text)
    encoded = whole.encode()
    if len(encoded) <= MAX_TEXT_BYTES:
        return whole
    return encoded[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "…"


def _short(name: str) -> str:
    """A name that may be an id: one that is too long keeps its beginning and a hash of all of it."""
    whole = _storable(name)
    encoded = whole.encode()
    if len(encoded) <= MAX_ID_BYTES:
        return whole
    return encoded[:200].decode(errors="ignore") + "-" + hashlib.blake2b(encoded, digest_size=12).hexdigest()
