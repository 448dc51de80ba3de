"""What the assistant said in its last turn: no hook reports it, the transcript holds it."""

import hashlib
import os
from pathlib import Path

from agent_memory.cli.importers.claude_code import parse
from agent_memory.cli.importers.items import Found
from agent_memory.client.toc import Event, EventRole, EventType

TAIL_BYTES = 2_000_000


class Turn:
    """What the assistant said since the user last spoke, under ids that come out the same at every hook that tells of this turn."""

    def __init__(self, session_id: str, agent: str | None) -> None:
        self.answers: list[Event] = []
        self._session_id = session_id
        self._agent = agent
        self._asked = ""

    def begin(self, asked: str) -> None:
        """The user spoke: `asked` is the id of what he said."""
        self.answers, self._asked = [], asked

    def says(self, text: str) -> bool:
        """Whether this is among the answers."""
        return any(answer.text.strip() == text.strip() for answer in self.answers)

    def add(self, text: str, timestamp_ms: int, metadata: dict[str, str], agent: str | None = None) -> None:
        """Another answer."""
        again = sum(answer.text.strip() == text.strip() for answer in self.answers)
        place = "\0".join((self._session_id, self._asked, text.strip(), str(again)))
        self.answers.append(
            Event(
                event_id=f"answer-{hashlib.blake2b(place.encode(errors='replace'), digest_size=16).hexdigest()}",
                session_id=self._session_id,
                timestamp_ms=timestamp_ms,
                event_type=EventType.ASSISTANT_MESSAGE,
                role=EventRole.ASSISTANT,
                text=text,
                metadata=metadata,
                agent=self._agent or agent,
            )
        )


def last_turn(transcript: Path | None, session_id: str, agent: str | None) -> Turn:
    """The assistant's texts since the user last spoke; none where there is no transcript of this session.

    Raises OSError when it cannot be read.
    """
    turn = Turn(session_id, agent)
    try:
        lines = _tail(transcript) if transcript else []
    except FileNotFoundError:
        return turn
    for item in parse(lines):
        if not isinstance(item, Found) or item.event.session_id != session_id:
            continue
        told = item.event
        if told.event_type == "user_message":
            turn.begin(told.event_id)
        elif told.event_type == "assistant_message" and "tool_name" not in told.metadata:
            turn.add(told.text, told.timestamp_ms, told.metadata, told.agent)
    return turn


def _tail(file: Path) -> list[bytes]:
    """The last lines, without the one that was cut."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - TAIL_BYTES))
        lines = opened.read().split(b"\n")
    return lines[1:] if size > TAIL_BYTES else lines
