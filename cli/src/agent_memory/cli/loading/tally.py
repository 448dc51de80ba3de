"""What an import has come to so far."""

from collections import Counter

import msgspec

from agent_memory.cli.importers.items import BadLine, Found, Item, LeftOut
from agent_memory.client.answers import Recorded

SHOWN_BAD_LINES = 20


class NumberedReason(msgspec.Struct, frozen=True, kw_only=True):
    """A line that could not be used. `line` is 0 when the whole file is meant."""

    file: str
    line: int
    reason: str


class Tally(msgspec.Struct, kw_only=True):
    """Counts over all files. `read` events were found; `created` of them are new, `known` were there already.

    The first 20 bad lines are kept with their reasons, all are counted; `unread` of them stand for a whole file. `position` is
    where the log holds the last event.
    """

    files: dict[str, str] = {}
    read: int = 0
    created: int = 0
    known: int = 0
    bad: int = 0
    unread: int = 0
    bad_lines: list[NumberedReason] = []
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    event_types: Counter[str] = msgspec.field(default_factory=Counter)
    sessions: set[str] = set()
    first_ms: int | None = None
    last_ms: int | None = None
    position: int = 0

    @property
    def file(self) -> str:
        """The file that is being read."""
        return next(reversed(self.files), "")

    def take(self, item: Item) -> None:
        """Count one item."""
        match item:
            case Found(event=event):
                self.read += 1
                self.event_types[event.event_type] += 1
                self.sessions.add(event.session_id)
                at = event.timestamp_ms
                self.first_ms = at if self.first_ms is None else min(self.first_ms, at)
                self.last_ms = at if self.last_ms is None else max(self.last_ms, at)
            case BadLine(number=number, reason=reason):
                self.refuse(number, reason)
            case LeftOut(reason=reason, count=count):
                self.left_out[reason] += count

    def refuse(self, number: int, reason: str) -> None:
        """Count a line that cannot be used."""
        self.bad += 1
        self.unread += number == 0
        if len(self.bad_lines) < SHOWN_BAD_LINES:
            self.bad_lines.append(NumberedReason(file=self.file, line=number, reason=reason))

    def stored(self, recorded: Recorded) -> None:
        """Count what the server made of some events."""
        self.created += recorded.created
        self.known += len(recorded.events) - recorded.created
        self.position = max(self.position, recorded.position)
