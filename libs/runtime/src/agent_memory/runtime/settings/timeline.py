"""The timeline: days, and when something is written about its nodes."""

from typing import Literal

import msgspec

from agent_memory.runtime.settings.longterm import LongTermMemorySettings


class TimelineSettings(LongTermMemorySettings, frozen=True, kw_only=True):
    """The table of contents."""

    timeline_timezone: str = "UTC"
    """IANA time zone in which the days of the timeline begin."""
    timeline_timezones: dict[str, str] = msgspec.field(default_factory=dict)
    """Another zone for some tenants, as JSON: `{"acme": "Europe/Berlin"}`."""
    timeline_summaries: Literal["model", "extractive"] = "model"
    """Who writes about the nodes: GENERATION_MODEL when one is configured, or in any case nobody but the texts themselves."""
    timeline_settle_seconds: float = 2.0
    """How long a node is left alone after a change before something is written about it, without a model."""
    timeline_model_settle_seconds: float = 300.0
    """The same with a model, for segments that are still open and for days, weeks, months and years."""
    timeline_search_months: int | None = None
    """A search finds the events of this month and of so many before it; older ones leave Redis. Empty: all. The log keeps them."""
