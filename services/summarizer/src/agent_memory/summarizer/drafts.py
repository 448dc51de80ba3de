"""What is put down about a stretch of conversation, and what it is put down from. Pure values."""

import msgspec

from agent_memory.contracts.toc import Bullet, MadeBy, Span


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a segment. A segment's events come in order of (timestamp_ms, event_id)."""

    event_id: str
    timestamp_ms: int
    event_type: str
    role: str
    text: str
    agent: str | None = None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """Words that support a bullet: pieces of the events' texts, in the order in which they were said."""

    spans: tuple[Span, ...]


class DraftBullet(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was said, and where: at least one quote."""

    text: str
    quotes: tuple[Quote, ...]


class SegmentDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is put down about a segment. `keywords`: weight above 0, at most 1, the heaviest first."""

    title: str
    summary: str
    bullets: tuple[DraftBullet, ...]
    keywords: dict[str, float]
    made_by: MadeBy


class ChildDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a period, as it is put down already. `events`: how many lie under it."""

    node_id: str
    title: str
    summary: str
    bullets: tuple[Bullet, ...]
    keywords: dict[str, float]
    events: int


class PeriodDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is put down about a day, week, month or year. Its bullets have the grips of the bullets that they are made from."""

    summary: str
    bullets: tuple[Bullet, ...]
    keywords: dict[str, float]
    made_by: MadeBy
