"""The table of contents: its nodes, what was written about them, and the grips that tie each bullet to the words it came from."""

from typing import Literal

import msgspec

NodeLevel = Literal["year", "month", "week", "day", "segment"]
MadeBy = Literal["extractive", "model"]

SEGMENT_SUMMARIZER = "segment_summarizer"
"""Who made a grip, as its readers are told."""
SEGMENT_PREFIX = "toc:segment:"
GRIP_PREFIX = "grip:"
MOST_EXCERPT = 2_000
"""Longest excerpt of a grip, in characters."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an event's text: `text[start:end]`, counted in characters (code points)."""

    event_id: str
    start: int
    end: int


class Grip(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a bullet comes from. `excerpt` is the text of its spans, joined by one space; all are of one session, in order of
    (timestamp_ms, event_id). `timestamp_ms`: when the first of them was said.
    """

    grip_id: str
    session_id: str
    node_id: str
    excerpt: str
    spans: tuple[Span, ...]
    timestamp_ms: int
    source: str = SEGMENT_SUMMARIZER

    @property
    def event_id_start(self) -> str:
        """The first event it quotes."""
        return self.spans[0].event_id

    @property
    def event_id_end(self) -> str:
        """The last event it quotes."""
        return self.spans[-1].event_id


class Bullet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was said, and the grips that show where."""

    text: str
    grip_ids: tuple[str, ...] = ()


class Revision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was written about a node, made of what `fingerprint` stands for. Of a segment it carries the grips of its bullets.

    `gone`: the segment is not one any more, because late events joined it with another or cut it elsewhere.
    """

    node_id: str
    level: NodeLevel
    title: str
    summary: str = ""
    bullets: tuple[Bullet, ...] = ()
    keywords: dict[str, float] = {}
    """Keyword to weight."""
    child_ids: tuple[str, ...] = ()
    start_ms: int
    end_ms: int
    fingerprint: str
    made_by: MadeBy = "extractive"
    session_id: str = ""
    grips: tuple[Grip, ...] = ()
    gone: bool = False


class TocNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as readers see it. `keywords` by weight, `child_node_ids` in order of time; `events` and `sessions` count what lies
    under it. `version` is 1 for a node that nothing was written about yet, and grows by one with each revision.
    """

    node_id: str
    level: NodeLevel
    title: str
    summary: str | None = None
    bullets: tuple[Bullet, ...] = ()
    keywords: tuple[str, ...] = ()
    child_node_ids: tuple[str, ...] = ()
    start_time_ms: int
    end_time_ms: int
    version: int = 1
    parent_node_id: str | None = None
    events: int = 0
    sessions: int = 0
    session_id: str | None = None


def by_weight(keywords: dict[str, float]) -> tuple[str, ...]:
    """Keywords, the heaviest first; equal ones in alphabetical order."""
    return tuple(sorted(keywords, key=lambda word: (-keywords[word], word)))
