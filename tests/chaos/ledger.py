"""What was acknowledged, and what must therefore be so: kept by those who wrote it, away from the system."""

from collections import Counter

import msgspec

Owner = tuple[str, str]
"""Namespace and user."""


class SessionState(msgspec.Struct):
    """What a session must show: (id, content) of its messages in order, and its data. `doubtful`: an answer never came."""

    owner: Owner
    session_id: str
    messages: list[tuple[str, str]] = []
    data: dict[str, object] = {}
    alive: bool = False
    doubtful: bool = False
    position: int = 0


class MemoryState(msgspec.Struct):
    """What a long-term memory must say; `text` is None when it was deleted."""

    owner: Owner
    memory_id: str
    text: str | None = None
    topics: list[str] = []
    doubtful: bool = False
    position: int = 0


class Ledger:
    """The account of all writers. One event loop writes it, so nothing is locked."""

    def __init__(self) -> None:
        self.events: dict[Owner, dict[str, str]] = {}
        self.created: Counter[str] = Counter()
        self.twice: set[str] = set()
        self.sessions: dict[tuple[Owner, str], SessionState] = {}
        self.memories: dict[str, MemoryState] = {}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.position = 0

    def session(self, owner: Owner, session_id: str) -> SessionState:
        """The state of a session, made on first use."""
        return self.sessions.setdefault((owner, session_id), SessionState(owner, session_id))

    def recorded(self, owner: Owner, event_id: str, text: str) -> None:
        """An event, or a message, was acknowledged."""
        self.events.setdefault(owner, {})[event_id] = text

    def acknowledged(self, kind: str, place: SessionState | MemoryState | None, position: int) -> None:
        """A write was answered with success at a log position, which never goes back for one place."""
        self.counts[kind] += 1
        self.position = max(self.position, position)
        if place is not None:
            if position < place.position:
                self.broken(f"{kind} of {place} was acknowledged at position {position}")
            place.position = position

    @property
    def doubtful(self) -> int:
        """Places whose last write was never answered."""
        return sum(one.doubtful for one in self.sessions.values()) + sum(one.doubtful for one in self.memories.values())

    def broken(self, text: str) -> None:
        """Something that must never happen was seen."""
        self.wrong.append(text)
