"""Long-term memory: search, topics and entities, duplicates, forgetting."""

from typing import Literal

from agent_memory.runtime.settings.working import WorkingMemorySettings

QUERY_PROMPT = """Rewrite a question so that a search by meaning finds what answers it. Keep its meaning, its names, numbers and
dates; leave out phrases of courtesy such as "can you tell me"; name the things that it is about. Answer with the rewritten
question alone.

Question: {query}
Rewritten:"""


class LongTermMemorySettings(WorkingMemorySettings, frozen=True, kw_only=True):
    """Memories."""

    long_term_memory: bool = True
    """Off: every route of long-term memory but `forget` answers 400, and nothing is promoted or extracted."""
    query_optimization_prompt_template: str = QUERY_PROMPT
    """What FAST_MODEL is asked for `optimize_query`; `{query}` stands for the caller's text."""
    min_optimized_query_length: int = 2
    """A rewritten query of fewer characters is not used."""
    enable_topic_extraction: bool = True
    """Add topics to memories."""
    topic_model_source: Literal["LLM", "BERT"] = "LLM"
    """Who finds topics: FAST_MODEL, or the BERTopic model TOPIC_MODEL when it is on this machine."""
    topic_model: str = "MaartenGr/BERTopic_Wikipedia"
    """Name or folder of a BERTopic model; for TOPIC_MODEL_SOURCE=BERT."""
    top_k_topics: int = 3
    """Most topics that are added to a memory."""
    enable_ner: bool = True
    """Add entities to memories: people, places, organisations, things with names."""
    ner_model_source: Literal["LLM", "BERT"] = "LLM"
    """Who finds entities: FAST_MODEL, or the model NER_MODEL when it is on this machine."""
    ner_model: str = "dbmdz/bert-large-cased-finetuned-conll03-english"
    """Name or folder of a token classifier; for NER_MODEL_SOURCE=BERT."""
    compact_semantic_duplicates: bool = True
    """Merge also memories that say the same in other words; without it, those of equal text alone."""
    deduplication_distance_threshold: float = 0.2
    """Greatest cosine distance between memories that may say the same; whether they do is decided by a model, or by their words."""
    compaction_every_minutes: int = 10
    """How often memories are looked through for duplicates."""
    summary_view_refresh_every_minutes: int = 60
    """How often summary views that are continuous are made anew."""
    llm_task_timeout_minutes: int = 5
    """Longest wait of a request for background work that asks a model."""
    forgetting_enabled: bool = False
    """Forget by the policy below, again and again, the memories of each owner apart. Pinned ones never."""
    forgetting_every_minutes: int = 60
    """How often the policy is applied."""
    forgetting_max_age_days: float | None = None
    """Forget what was created longer ago."""
    forgetting_max_inactive_days: float | None = None
    """Forget what was not accessed for longer."""
    forgetting_budget_keep_top_n: int | None = None
    """How many of an owner's memories may stay, the most recent ones."""
