"""How segments and periods are put into words: extractively, or by a model that is asked. Pure; the worker around it does the rest.

said → worth_reading → vectors → draft_segment → SegmentDraft
said → segment_request → (a model) → read_segment → SegmentDraft
children → draft_period, or period_request → (a model) → read_period → PeriodDraft
"""

from agent_memory.summarizer.draft_models import period_request, read_period, read_segment, segment_request
from agent_memory.summarizer.draft_periods import draft_period
from agent_memory.summarizer.draft_segments import draft_segment, worth_reading
from agent_memory.summarizer.draft_text import readable
from agent_memory.summarizer.drafts import ChildDraft, DraftBullet, PeriodDraft, Quote, Said, SegmentDraft

__all__ = [
    "ChildDraft",
    "DraftBullet",
    "PeriodDraft",
    "Quote",
    "Said",
    "SegmentDraft",
    "draft_period",
    "draft_segment",
    "period_request",
    "read_period",
    "read_segment",
    "readable",
    "segment_request",
    "worth_reading",
]
