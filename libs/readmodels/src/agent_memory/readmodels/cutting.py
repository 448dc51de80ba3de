"""Where a session is cut into segments: a pause of more than 30 minutes, about 4,000 tokens, or its end. Pure.

The cut is a function of the set of a session's events alone, in order of (timestamp_ms, event_id): whenever and in whatever order
they arrive, the same events give the same segments. What comes late is put where it belongs, and only what is around it is cut
again. A segment is named after the event of it that was recorded first, so what comes late does not rename it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

import msgspec

from agent_memory.contracts.records import TimelineEvent
from agent_memory.contracts.toc import GRIP_PREFIX, SEGMENT_PREFIX, Span

GAP_MS = 30 * 60 * 1000
MAX_TOKENS = 4000
TOOL_CHARACTERS = 1000
"""Of a tool's result no more is counted: it is quoted, never told."""

ClosedBy = Literal["", "gap", "tokens", "session_end"]
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LAST_ULID_MS = 2**48 - 1


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event of a segment; `version` in its session's log stream, `ends`: it is the end of the session."""

    timestamp_ms: int
    event_id: str
    version: int
    tokens: int
    ends: bool = False

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands among the events of its session."""
        return self.timestamp_ms, self.event_id


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """Events of one session that belong together, in order; `closed_by` is empty for one that what comes next may extend."""

    node_id: str
    closed_by: ClosedBy
    members: tuple[Member, ...]

    @property
    def first_ms(self) -> int:
        """When it begins."""
        return self.members[0].timestamp_ms

    @property
    def last_ms(self) -> int:
        """When the last thing in it was said; the mark of an end may come long after that."""
        return next((one.timestamp_ms for one in reversed(self.members) if not one.ends), self.members[-1].timestamp_ms)


def tokens(event: TimelineEvent) -> int:
    """Estimated tokens of the text: four bytes each."""
    text = event.text[:TOOL_CHARACTERS] if event.event_type == "tool_result" else event.text
    return len(text.encode(errors="replace")) // 4 + 1


def member(version: int, event: TimelineEvent) -> Member:
    """The event as it stands in a segment."""
    return Member(event.timestamp_ms, event.event_id, version, tokens(event), event.event_type == "session_end")


class _Running:
    """What has to be known of the members so far to tell whether the next one belongs to them."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self.size = 0
        self.said_ms: int | None = None
        self.end_ms: int | None = None
        for one in members:
            self.add(one)

    def add(self, one: Member) -> None:
        self.size += one.tokens
        if one.ends:
            self.end_ms = one.timestamp_ms if self.end_ms is None else self.end_ms
        else:
            self.said_ms = one.timestamp_ms

    def cut_before(self, following: Member) -> ClosedBy:
        # What has the very time of the end came before it, whatever their ids say.
        if self.end_ms is not None and self.end_ms < following.timestamp_ms:
            return "session_end"
        if following.ends:
            return ""
        if self.said_ms is not None and following.timestamp_ms - self.said_ms > GAP_MS:
            return "gap"
        return "tokens" if self.size + following.tokens > MAX_TOKENS else ""


def cut(stream: str, members: Sequence[Member]) -> list[Segment]:
    """All segments of members in order. `stream` is the session's."""
    pieces: list[Segment] = []
    begin, running = 0, _Running()
    for at, one in enumerate(members):
        reason: ClosedBy = running.cut_before(one) if at > begin else ""
        if reason:
            pieces.append(_segment(stream, members[begin:at], reason))
            begin, running = at, _Running()
        running.add(one)
    if begin < len(members):
        pieces.append(_segment(stream, members[begin:], ""))
    return pieces


def insert(stream: str, segments: Sequence[Segment], new: Iterable[Member]) -> list[Segment]:
    """The segments after members were added that are not among them yet; only those around are made anew."""
    after = list(segments)
    waiting = sorted(new, key=lambda one: one.place)
    while waiting:
        starts = [segment.members[0].place for segment in after]
        at = max(0, bisect_right(starts, waiting[0].place) - 1)
        count = len(waiting) if at + 1 >= len(after) else sum(1 for one in waiting if one.place < starts[at + 1])
        group, waiting = waiting[: max(count, 1)], waiting[max(count, 1) :]
        known = after[at].members if after else ()
        # The cut before a segment depends on what lies before it, so what comes before this one stays as it is.
        ordered = [*known, *group] if not known or known[-1].place < group[0].place else sorted([*known, *group], key=_place)
        pieces, end = cut(stream, ordered), at + 1
        while end < len(after) and not _joins(stream, pieces, after[end]):
            pieces = [*pieces[:-1], *cut(stream, [*pieces[-1].members, *after[end].members])]
            end += 1
        after[at:end] = pieces
    return after


def _joins(stream: str, pieces: list[Segment], following: Segment) -> bool:
    """Whether the next segment begins where it did; then the last piece is closed by what closes it."""
    last = pieces[-1]
    reason = _Running(last.members).cut_before(following.members[0])
    if reason:
        pieces[-1] = _segment(stream, last.members, reason)
    return bool(reason)


def _segment(stream: str, members: Sequence[Member], reason: ClosedBy) -> Segment:
    ended: ClosedBy = "session_end" if any(one.ends for one in members) else reason
    named_after = min(members, key=lambda one: one.version)
    return Segment(SEGMENT_PREFIX + ulid(named_after.timestamp_ms, f"{stream}\0{named_after.event_id}"), ended, tuple(members))


def ulid(timestamp_ms: int, name: str) -> str:
    """A ULID of that time for a name: always the same. Times that a ULID cannot hold are its first or last."""
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=10).digest()
    number = (min(max(timestamp_ms, 0), _LAST_ULID_MS) << 80) | int.from_bytes(digest)
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))


def grip_id(node_id: str, spans: Sequence[Span], timestamp_ms: int) -> str:
    """The id of a grip: the same for the same words in the same segment."""
    return GRIP_PREFIX + ulid(timestamp_ms, "\0".join([node_id, *(f"{one.event_id}:{one.start}:{one.end}" for one in spans)]))


def provisional_title(timestamp_ms: int) -> str:
    """What a segment is called before anything was written about it, by a time that is local already."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return "Conversation"
    return f"{moment:%B} {moment.day}, {moment.year} at {moment:%H:%M}"


def _place(one: Member) -> tuple[int, str]:
    return one.place
