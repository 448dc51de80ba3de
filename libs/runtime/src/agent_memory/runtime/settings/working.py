"""Working memory: what a session shows, when it is summarised, what leaves it for long-term memory."""

from typing import Literal

from agent_memory.runtime.settings.models import ModelSettings


class WorkingMemorySettings(ModelSettings, frozen=True, kw_only=True):
    """Sessions."""

    require_message_timestamps: bool = False
    """Refuse messages without `created_at` (422)."""
    max_future_timestamp_seconds: int = 300
    """How far ahead of the clock a message's `created_at` may be."""
    missing_session_is_empty: bool = False
    """Answer a session that is not there with an empty one, marked `unsaved`, as clients before 0.12 expect, instead of 404."""
    window_size: int = 20
    """Messages that the unversioned `/sessions/{id}/memory` and `/memory-prompt` show when the caller names no number."""
    working_memory_promotion: Literal["memories", "none"] = "memories"
    """What of a session's document becomes long-term memory at once: the memories in it, or nothing."""
    index_all_messages_in_long_term_memory: bool = False
    """Find every message by search as a memory of type `message`, too."""
    enable_working_memory_summarization: bool = True
    """Make the oldest messages part of the summary when a session outgrows its window."""
    summarization_threshold: float = 0.7
    """Share of a model's tokens beyond which the oldest messages of working memory become part of its summary."""
    summarization_wait_seconds: float = 10.0
    """Longest wait of a PUT that is over the threshold for its summary; then it is answered as it stands."""
    progressive_summarization_prompt: str = ""
    """How the model is asked for a summary; `{prev_summary}` and `{messages_joined}` stand for what goes in. Empty: ours."""
    enable_discrete_memory_extraction: bool = True
    """Read what was said for what is worth keeping."""
    extraction_debounce_seconds: int = 30
    """How long a session must be quiet before its messages are read for what is worth keeping."""
    work_at_once: int = 4
    """Pieces of work of one kind that a replica of the summarizer does at a time; each waits for a model mostly."""
    work_lease_seconds: float = 30.0
    """How long work that models do stays with a replica of the summarizer that is silent, before another takes it over."""
