"""What hooks of coding agents report, as events of the timeline."""

import time
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec

from agent_memory.client.toc import Event, EventRole, EventType, milliseconds_of
from agent_memory.client.ulid import new_ulid


class HookEventType(StrEnum):
    """When a hook runs."""

    SESSION_START = "SessionStart"
    USER_PROMPT_SUBMIT = "UserPromptSubmit"
    ASSISTANT_RESPONSE = "AssistantResponse"
    TOOL_USE = "ToolUse"
    TOOL_RESULT = "ToolResult"
    STOP = "Stop"
    SUBAGENT_START = "SubagentStart"
    SUBAGENT_STOP = "SubagentStop"


_MEANING: dict[HookEventType, tuple[EventType, EventRole]] = {
    HookEventType.SESSION_START: (EventType.SESSION_START, EventRole.SYSTEM),
    HookEventType.USER_PROMPT_SUBMIT: (EventType.USER_MESSAGE, EventRole.USER),
    HookEventType.ASSISTANT_RESPONSE: (EventType.ASSISTANT_MESSAGE, EventRole.ASSISTANT),
    HookEventType.TOOL_USE: (EventType.TOOL_RESULT, EventRole.TOOL),
    HookEventType.TOOL_RESULT: (EventType.TOOL_RESULT, EventRole.TOOL),
    HookEventType.STOP: (EventType.SESSION_END, EventRole.SYSTEM),
    HookEventType.SUBAGENT_START: (EventType.SUBAGENT_START, EventRole.SYSTEM),
    HookEventType.SUBAGENT_STOP: (EventType.SUBAGENT_STOP, EventRole.SYSTEM),
}


class HookEvent(msgspec.Struct, frozen=True):
    """One report of a hook: `HookEvent("session-1", HookEventType.USER_PROMPT_SUBMIT, "Hello!")`."""

    session_id: str
    event_type: HookEventType
    content: str
    timestamp_ms: int | None = None
    tool_name: str | None = None
    metadata: dict[str, str] = {}
    agent: str | None = None

    @classmethod
    def new(cls, session_id: str, event_type: HookEventType, content: str) -> Self:
        """The same by the document's name."""
        return cls(session_id, event_type, content)

    def with_timestamp(self, timestamp: datetime | int) -> Self:
        """The same at a moment (without a zone: local time), or at UTC milliseconds."""
        return msgspec.structs.replace(self, timestamp_ms=milliseconds_of(timestamp))

    def with_tool_name(self, tool_name: str) -> Self:
        """The same, of a tool."""
        return msgspec.structs.replace(self, tool_name=tool_name)

    def with_metadata(self, metadata: Mapping[str, str]) -> Self:
        """The same with this metadata, and no other."""
        return msgspec.structs.replace(self, metadata=dict(metadata))

    def with_agent(self, agent: str) -> Self:
        """The same, of an agent."""
        return msgspec.structs.replace(self, agent=agent)


def map_hook_event(hook: HookEvent) -> Event:
    """The event of the timeline, at the hook's moment (or now), with an id of that moment.

    The id is a fresh one each time: map once, send as often as it takes.
    """
    event_type, role = _MEANING[hook.event_type]
    timestamp_ms = time.time_ns() // 1_000_000 if hook.timestamp_ms is None else hook.timestamp_ms
    named = {"tool_name": hook.tool_name} if hook.tool_name else {}
    return Event(
        event_id=new_ulid(timestamp_ms),
        session_id=hook.session_id,
        timestamp_ms=timestamp_ms,
        event_type=event_type,
        role=role,
        text=hook.content,
        metadata=hook.metadata | named,
        agent=hook.agent,
    )
