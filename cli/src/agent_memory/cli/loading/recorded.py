"""Which events are one: hooks and transcripts tell of the same conversation under ids of their own."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

NEAR_MS = 120_000
"""The same words of the same speaker within this time are one event: a hook reports a little before or after the transcript."""
_COMMAND = re.compile(r"<command-name>(.*?)</command-name>", re.DOTALL)
_ARGUMENTS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


class Said(Protocol):
    """An event, as hooks or as transcripts give it."""

    @property
    def timestamp_ms(self) -> int: ...
    @property
    def event_type(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def metadata(self) -> dict[str, str]: ...


class Recorded:
    """Events of a session that came through the one door, to be asked about those that come through the other."""

    def __init__(self, events: Iterable[Said]) -> None:
        self._started = False
        self._calls: set[str] = set()
        self._said: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for event in events:
            if event.event_type == "session_start":
                self._started = True
            elif call := _result_of(event):
                self._calls.add(call)
            else:
                self._said[_words(event)].append(event.timestamp_ms)

    def has(self, event: Said) -> bool:
        """Whether one of them is this event; each is one event only, the one that is nearest in time of those that come first."""
        if event.event_type == "session_start":
            return self._started
        if event.metadata.get("tool_use_id") in self._calls and event.event_type == "tool_result":
            return True
        times = self._said.get(_words(event))
        if not times:
            return False
        nearest = min(times, key=lambda at: abs(at - event.timestamp_ms))
        if abs(nearest - event.timestamp_ms) > NEAR_MS:
            return False
        times.remove(nearest)
        return True


def imported(event_id: str) -> bool:
    """Whether an id is one that importing gives."""
    try:
        return UUID(event_id).version == 5
    except ValueError:
        return False


def _result_of(event: Said) -> str | None:
    """Id of the call whose result an event is."""
    if event.event_type != "tool_result" or event.metadata.get("tool_phase") == "use":
        return None
    return event.metadata.get("tool_use_id")


def _words(event: Said) -> tuple[str, str]:
    """Who said what, without regard to white space; of a slash command, what was typed."""
    text = event.text
    if command := _COMMAND.search(text):
        given = _ARGUMENTS.search(text)
        text = f"{command[1]} {given[1] if given else ''}"
    return event.event_type, " ".join(text.split())
