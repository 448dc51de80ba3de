"""What a transcript tells and the timeline knows already from hooks, which give ids of their own: it must not stand there twice."""

import re
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from agent_memory.cli.importers.items import Found
from agent_memory.client import MemoryClient
from agent_memory.contracts.records import TimelineEvent

NEAR_MS = 120_000
"""The same words of the same speaker within this time are one event: a hook reports a little before or after the transcript."""
_PAGE = 1_000
_COMMAND = re.compile(r"<command-name>(.*?)</command-name>", re.DOTALL)
_ARGUMENTS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


class Told:
    """What was recorded of the sessions that an import comes to. Events of one session must come one batch after the other."""

    def __init__(self, memory: MemoryClient) -> None:
        self._memory = memory
        self._sessions: dict[str, Recorded] = {}

    async def fresh(self, batch: list[Found]) -> list[Found]:
        """Those of the batch that nobody recorded under another id. Raises MemoryClientError."""
        return [found for found in batch if not (await self._of(found.event.session_id)).has(found.event)]

    async def _of(self, session_id: str) -> "Recorded":
        known = self._sessions.get(session_id)
        if known is None:
            # Tools that a sub-agent runs are reported by hooks of the session that it works for.
            main = session_id.partition(":")[0]
            tools = [one for one in await self._events(main) if one.event_type == "tool_result"] if main != session_id else []
            known = self._sessions[session_id] = Recorded([*await self._events(session_id), *tools])
        return known

    async def _events(self, session_id: str) -> list[TimelineEvent]:
        events: list[TimelineEvent] = []
        cursor: str | None = None
        while True:
            page = await self._memory.get_events(session_id=session_id, limit=_PAGE, cursor=cursor)
            events += (event for event in page.events if not _imported(event.event_id))
            cursor = page.next_cursor
            if cursor is None:
                return events


class Recorded:
    """Events of a session that did not come from importing it."""

    def __init__(self, events: Iterable[TimelineEvent]) -> None:
        self._started = False
        self._calls: set[str] = set()
        self._said: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for event in events:
            if event.event_type == "session_start":
                self._started = True
            elif call := event.metadata.get("tool_use_id"):
                self._calls.add(call)
            else:
                self._said[_words(event)].append(event.timestamp_ms)

    def has(self, event: TimelineEvent) -> bool:
        """Whether one of them is this event; each is one event only, the one that is nearest in time of those that come first."""
        if event.event_type == "session_start":
            return self._started
        if event.event_type == "tool_result" and event.metadata.get("tool_use_id") in self._calls:
            return True
        times = self._said.get(_words(event))
        if not times:
            return False
        nearest = min(times, key=lambda at: abs(at - event.timestamp_ms))
        if abs(nearest - event.timestamp_ms) > NEAR_MS:
            return False
        times.remove(nearest)
        return True


def _words(event: TimelineEvent) -> tuple[str, str]:
    """Who said what, without regard to white space; of a slash command, what was typed."""
    text = event.text
    if command := _COMMAND.search(text):
        given = _ARGUMENTS.search(text)
        text = f"{command[1]} {given[1] if given else ''}"
    return event.event_type, " ".join(text.split())


def _imported(event_id: str) -> bool:
    """Whether an id is one that importing gives."""
    try:
        return UUID(event_id).version == 5
    except ValueError:
        return False
