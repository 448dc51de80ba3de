"""What the assistant said in its last turn: no hook reports it, the transcript holds it."""

import os
from pathlib import Path

from agent_memory.cli.importers.claude_code import parse
from agent_memory.cli.importers.items import Found
from agent_memory.client.toc import Event, EventRole, EventType

TAIL_BYTES = 2_000_000


def last_answers(transcript: Path, session_id: str, agent: str | None) -> list[Event]:
    """The assistant's texts since the user last spoke, by the ids that importing the transcript would give them.

    Empty where there is no transcript of this session. Raises OSError when it cannot be read.
    """
    try:
        lines = _tail(transcript)
    except FileNotFoundError:
        return []
    answers: list[Event] = []
    for item in parse(lines):
        if not isinstance(item, Found) or item.event.session_id != session_id:
            continue
        told = item.event
        if told.event_type == "user_message":
            answers.clear()
        elif told.event_type == "assistant_message" and "tool_name" not in told.metadata:
            answers.append(
                Event(
                    event_id=told.event_id,
                    session_id=told.session_id,
                    timestamp_ms=told.timestamp_ms,
                    event_type=EventType.ASSISTANT_MESSAGE,
                    role=EventRole.ASSISTANT,
                    text=told.text,
                    metadata=told.metadata,
                    agent=agent or told.agent,
                )
            )
    return answers


def _tail(file: Path) -> list[bytes]:
    """The last lines, without the one that was cut."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - TAIL_BYTES))
        lines = opened.read().split(b"\n")
    return lines[1:] if size > TAIL_BYTES else lines
