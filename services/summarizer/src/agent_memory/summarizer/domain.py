"""What is written about nodes of the table of contents: of what it is made, and how a draft becomes a revision. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from agent_memory.contracts.commands import RecordRevision
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import ModelUse, Scope, TimelineEvent
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import MOST_EXCERPT, Bullet, Grip, Revision, Span, TocNode
from agent_memory.readmodels.cutting import GAP_MS, Member, Segment, grip_id
from agent_memory.readmodels.fingerprints import fingerprint, of_period, of_segment
from agent_memory.summarizer.drafts import ChildDraft, PeriodDraft, Quote, Said, SegmentDraft

OVERLAP_MS = 5 * 60 * 1000
OVERLAP_TOKENS = 500
"""How much of the segment before is shown as context, at most."""
GONE = "gone"


def fingerprint_of_period(children: Sequence[TocNode]) -> str:
    """Stands for what a period is written about from."""
    return of_period((one.node_id, one.version) for one in children)


def overlap(before: Segment | None, segment: Segment) -> list[Member]:
    """The end of the segment before, where it lies close enough to tell what this one goes on from."""
    if before is None or segment.first_ms - before.last_ms > GAP_MS:
        return []
    found: list[Member] = []
    room = OVERLAP_TOKENS
    for one in reversed(before.members):
        room -= one.tokens
        if room < 0 or one.timestamp_ms < before.last_ms - OVERLAP_MS:
            break
        found.append(one)
    return found[::-1]


def said(members: Sequence[Member], events: Mapping[str, TimelineEvent]) -> list[Said]:
    """Members with their texts, in order."""
    return [
        Said(
            event_id=event.event_id,
            timestamp_ms=event.timestamp_ms,
            event_type=event.event_type,
            role=event.role,
            text=event.text,
            agent=event.agent,
        )
        for event in (events.get(one.event_id) for one in members)
        if event is not None
    ]


def segment_revision(segment: Segment, session_id: str, draft: SegmentDraft, events: Sequence[Said]) -> Revision:
    """What a draft says of a segment, its quotes as grips. A bullet whose quotes are none is left out."""
    texts = {one.event_id: one for one in events}
    grips: dict[str, Grip] = {}
    bullets: list[Bullet] = []
    for bullet in draft.bullets:
        found = [grip for quote in bullet.quotes if (grip := _grip(segment.node_id, session_id, quote, texts)) is not None]
        if found:
            grips |= {grip.grip_id: grip for grip in found}
            bullets.append(Bullet(text=bullet.text, grip_ids=tuple(dict.fromkeys(grip.grip_id for grip in found))))
    return Revision(
        node_id=segment.node_id,
        level="segment",
        title=draft.title,
        summary=draft.summary,
        bullets=tuple(bullets),
        keywords=draft.keywords,
        start_ms=segment.first_ms,
        end_ms=max(segment.first_ms, segment.last_ms),
        fingerprint=of_segment(segment),
        made_by=draft.made_by,
        session_id=session_id,
        grips=tuple(grips.values()),
    )


def period_revision(node: TocNode, children: Sequence[TocNode], draft: PeriodDraft) -> Revision:
    """What a draft says of a year, month, week or day."""
    return Revision(
        node_id=node.node_id,
        level=node.level,
        title=node.title,
        summary=draft.summary,
        bullets=draft.bullets,
        keywords=draft.keywords,
        child_ids=tuple(one.node_id for one in children),
        start_ms=node.start_time_ms,
        end_ms=node.end_time_ms,
        fingerprint=fingerprint_of_period(children),
        made_by=draft.made_by,
    )


def gone_revision(last: Revision) -> Revision:
    """That a node is none any more."""
    return msgspec.structs.replace(last, fingerprint=GONE, gone=True, grips=(), bullets=(), keywords={}, child_ids=(), summary="")


def child_draft(node: TocNode, keywords: Mapping[str, float]) -> ChildDraft:
    """A part of a period as drafts are made from it."""
    return ChildDraft(
        node_id=node.node_id,
        title=node.title,
        summary=node.summary or "",
        bullets=node.bullets,
        keywords=dict(keywords),
        events=node.events,
    )


def command(scope: Scope, revision: Revision, expected_version: int, use: ModelUse, now_ms: int) -> CommandEnvelope:
    """The revision as a command. Its id names what it was made from, so that however often it is sent it is recorded once."""
    digest = fingerprint([node_stream(scope, revision.node_id), expected_version, revision.fingerprint])
    name = f"revise/{digest}"
    asked = RecordRevision(revision=revision, expected_version=expected_version, use=use)
    return CommandEnvelope(id=name, scope=scope, issued_ms=now_ms, command=asked, correlation_id=name)


def _grip(node_id: str, session_id: str, quote: Quote, texts: Mapping[str, Said]) -> Grip | None:
    spans = tuple(one for one in quote.spans if one.event_id in texts and 0 <= one.start < one.end <= len(texts[one.event_id].text))
    pieces = [texts[one.event_id].text[one.start : one.end] for one in spans]
    if not pieces or len(spans) < len(quote.spans):
        return None
    excerpt = " ".join(pieces)
    if len(excerpt) > MOST_EXCERPT:
        first = spans[0]
        spans = (Span(event_id=first.event_id, start=first.start, end=min(first.end, first.start + MOST_EXCERPT)),)
        excerpt = texts[first.event_id].text[spans[0].start : spans[0].end]
    at = texts[spans[0].event_id].timestamp_ms
    return Grip(
        grip_id=grip_id(node_id, spans, at), session_id=session_id, node_id=node_id, excerpt=excerpt, spans=spans, timestamp_ms=at
    )
