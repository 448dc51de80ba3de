"""What the tools take. Names and defaults are those of the Redis agent memory server's tools, so saved calls go on working."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent_memory.contracts.queries import SearchMode, TimelineKind
from agent_memory.contracts.records import EventType, MemoryType, StrategyName

Names = list[str]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | int | float
"""ISO 8601, or unix seconds."""


class TagFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All given operators must hold. `any`: one of these; `all`: every one of these."""

    eq: str | None = None
    ne: str | None = None
    any: Names | None = None
    all: Names | None = None
    startswith: str | None = None
    in_: Names | None = None
    not_eq: str | None = None
    not_in: Names | None = None
    none: Names | bool | None = None
    field: str | None = None
    enum_class: Any = None


class DateFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """ISO 8601 times. All given operators must hold; `between` takes a start and an end."""

    gt: Moment | None = None
    lt: Moment | None = None
    gte: Moment | None = None
    lte: Moment | None = None
    eq: Moment | None = None
    ne: Moment | None = None
    between: list[Moment] | None = None
    inclusive: Literal["both", "neither", "left", "right"] | None = None
    field: str | None = None


Tag = TagFilter | str | Names | None
Dates = DateFilter | None
InSession = Annotated[Tag, Meta(description='Of one session: "id", or an object with operators such as {"ne": "id"}.')]
InNamespace = Annotated[Tag, Meta(description='Of one namespace: "work", or {"startswith": "proj-"}. Usually set already.')]
OfUser = Annotated[Tag, Meta(description="Of one user. Usually set already.")]
ByTopics = Annotated[Tag, Meta(description='Tagged so: ["food", "travel"] means any of them; {"all": [...]} every one.')]
ByEntities = Annotated[Tag, Meta(description="About these people, places or things; as `topics`.")]
OfType = Annotated[Tag, Meta(description="semantic (facts), episodic (what happened, with a date) or message.")]
ByStrategy = Annotated[Tag, Meta(description="How they were extracted: discrete, summary, preferences, custom.")]
Created = Annotated[Dates, Meta(description='When it was stored: {"gte": "2026-01-01T00:00:00Z"}.')]
Accessed = Annotated[Dates, Meta(description="When it was last of use.")]
Happened = Annotated[Dates, Meta(description="When what an episodic memory tells of happened.")]


class Filters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which memories: all that are given must hold."""

    session_id: InSession = None
    namespace: InNamespace = None
    topics: ByTopics = None
    entities: ByEntities = None
    created_at: Created = None
    last_accessed: Accessed = None
    user_id: OfUser = None
    memory_type: OfType = None
    extraction_strategy: ByStrategy = None
    event_date: Happened = None


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every tool's arguments have in common: a name that nobody knows is told, not passed over."""


Together = Annotated[Filters | None, Meta(description="The filters as one object, instead of one by one.")]
Limit = Annotated[int, Meta(description="Most results, 1 to 100.")]
Offset = Annotated[int, Meta(description="Results to pass over, for the next page.")]
Near = Annotated[float | None, Meta(description="Semantic only: largest distance, 0 (the same) to 2; 0.3 is strict, 0.7 loose.")]
Mode = Annotated[SearchMode, Meta(description="semantic: by meaning; keyword: by exact words; hybrid: by both.")]
Rewrite = Annotated[bool, Meta(description="Have a model put the text in better words first. Slower.")]
Session = Annotated[str, Meta(min_length=1, description="Id of the conversation.")]
Namespace = Annotated[str | None, Meta(description="Namespace, where it is not set already.")]
User = Annotated[str | None, Meta(description="User, where it is not set already.")]
NodeId = Annotated[str, Meta(min_length=1)]
MemoryId = Annotated[str, Meta(min_length=1, description="Id of a memory, as searches and create_long_term_memories tell it.")]


class Searching(Arguments, frozen=True, kw_only=True):
    """What a search and a prompt share."""

    namespace: InNamespace = None
    topics: ByTopics = None
    entities: ByEntities = None
    created_at: Created = None
    last_accessed: Accessed = None
    user_id: OfUser = None
    memory_type: OfType = None
    extraction_strategy: ByStrategy = None
    event_date: Happened = None
    filters: Together = None
    distance_threshold: Near = None
    search_mode: Mode = "semantic"
    hybrid_alpha: Annotated[float | None, Meta(description="Hybrid only: weight of the meaning, 0 to 1.")] = None
    limit: Limit = 10
    offset: Offset = 0
    optimize_query: Rewrite = False
    recency_boost: Annotated[bool | None, Meta(description="Prefer what is recent or was of use lately; on unless false.")] = None
    recency_semantic_weight: float | None = None
    recency_recency_weight: float | None = None
    recency_freshness_weight: float | None = None
    recency_novelty_weight: float | None = None
    recency_half_life_last_access_days: float | None = None
    recency_half_life_created_days: float | None = None
    server_side_recency: bool | None = None


class SearchMemories(Searching, frozen=True, kw_only=True):
    """search_long_term_memory"""

    text: Annotated[str | None, Meta(description="What to look for, in words. null: list by the filters alone.")]
    session_id: InSession = None


class MemoryPrompt(Searching, frozen=True, kw_only=True):
    """memory_prompt"""

    query: Annotated[str, Meta(description="The user's question, as it was asked.")]
    session_id: Annotated[Tag, Meta(description="The conversation to put in as well: its id.")] = None
    model_name: Annotated[str | None, Meta(description="Model that will read it, so that it fits its context window.")] = None
    context_window_max: Annotated[int | None, Meta(description="Its context window in tokens, instead of model_name.")] = None
    include_long_term_search: Annotated[bool, Meta(description="Put long-term memories in. false: the session alone.")] = True


class NewMemory(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to remember. `text` must make sense on its own: names instead of "he", dates instead of "yesterday"."""

    text: Annotated[str, Meta(description="What to remember, in one or two sentences that can be understood without context.")]
    id: Annotated[str | None, Meta(description="Your own id; storing under it again replaces it. Without one it gets one.")] = None
    memory_type: Annotated[
        MemoryType, Meta(description="semantic: facts and preferences; episodic: what happened, with event_date.")
    ] = "semantic"
    topics: Annotated[Names | None, Meta(description="Tags to find it by, without commas.")] = None
    entities: Annotated[Names | None, Meta(description="People, places and things it is about.")] = None
    event_date: Annotated[Moment | None, Meta(description="When it happened.")] = None
    session_id: str | None = None
    user_id: User = None
    namespace: Namespace = None
    last_accessed: Moment | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    pinned: Annotated[bool, Meta(description="Never forget it by policy, never merge it.")] = False
    access_count: int = 0
    memory_hash: str | None = None
    discrete_memory_extracted: Literal["t", "f"] = "t"
    persisted_at: Moment | None = None
    extracted_from: Names | None = None
    extraction_strategy: str = "discrete"
    extraction_strategy_config: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation."""

    role: Annotated[str, Meta(description="user, assistant, system or tool.")]
    content: str
    id: Annotated[str | None, Meta(description="Its own id: the same message again counts once.")] = None
    created_at: Annotated[Moment | None, Meta(description="When it was said; now, when left out.")] = None
    persisted_at: Moment | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """How long-term memories are drawn from the conversation."""

    strategy: StrategyName = "discrete"
    config: dict[str, Any] = {}


class CreateMemories(Arguments, frozen=True, kw_only=True):
    """create_long_term_memories"""

    memories: Annotated[list[NewMemory], Meta(description='What to remember: [{"text": "Ana is allergic to hazelnuts"}].')]


class SetWorkingMemory(Arguments, frozen=True, kw_only=True):
    """set_working_memory"""

    session_id: Session
    memories: Annotated[list[NewMemory] | None, Meta(description="Facts of this session; they become memories too.")] = None
    messages: Annotated[list[NewMessage] | None, Meta(description="The whole conversation; it replaces what was there.")] = None
    context: Annotated[str | None, Meta(description="Summary of what was said before the messages.")] = None
    data: Annotated[dict[str, Any] | None, Meta(description="Any JSON of yours; never searched, never made memories.")] = None
    namespace: Namespace = None
    user_id: User = None
    ttl_seconds: Annotated[
        int | None, Meta(description="Seconds until the session's working memory goes; null: never. What was said stays.")
    ] = 3600
    long_term_memory_strategy: Strategy | None = None


class GetWorkingMemory(Arguments, frozen=True, kw_only=True):
    """get_working_memory"""

    session_id: Session
    user_id: User = None
    namespace: Namespace = None
    recent_messages_limit: Annotated[int | None, Meta(description="Only the last so many messages.")] = None


class OneMemory(Arguments, frozen=True, kw_only=True):
    """get_long_term_memory, memory_history"""

    memory_id: MemoryId


class EditMemory(OneMemory, frozen=True, kw_only=True):
    """edit_long_term_memory"""

    text: str | None = None
    topics: Names | None = None
    entities: Names | None = None
    memory_type: MemoryType | None = None
    namespace: Namespace = None
    user_id: User = None
    session_id: str | None = None
    event_date: Annotated[str | None, Meta(description="ISO 8601.")] = None
    pinned: Annotated[bool | None, Meta(description="true: never forget it by policy, never merge it.")] = None


class DeleteMemories(Arguments, frozen=True, kw_only=True):
    """delete_long_term_memories"""

    memory_ids: Annotated[list[MemoryId], Meta(description='Which, also where it is one: ["id"].')]


class Compact(Arguments, frozen=True, kw_only=True):
    """compact_long_term_memories"""

    namespace: Namespace = None
    user_id: User = None
    session_id: Annotated[
        str | None,
        Meta(description="Accepted, and narrows nothing: what says the same is looked for among all memories of the user."),
    ] = None


class Nothing(Arguments, frozen=True, kw_only=True):
    """get_current_datetime, scheduler_status"""


class RecordEvent(Arguments, frozen=True, kw_only=True):
    """record_event"""

    session_id: Session
    text: Annotated[str, Meta(description="What was said or done, word for word.")]
    role: Annotated[str, Meta(description="Who: user, assistant, system or tool.")] = "user"
    event_type: Annotated[EventType, Meta(description="What kind of event.")] = "user_message"
    event_id: Annotated[str | None, Meta(description="Your own id: the same event again counts once.")] = None
    timestamp: Annotated[Moment | None, Meta(description="When it happened; now, when left out.")] = None
    metadata: Annotated[dict[str, str] | None, Meta(description='What else is known of it, as texts: {"tool_name": "Read"}.')] = (
        None
    )
    agent: str | None = None
    namespace: Namespace = None
    user_id: User = None


class AppendMessages(Arguments, frozen=True, kw_only=True):
    """append_messages"""

    session_id: Session
    messages: Annotated[list[NewMessage], Meta(description='What was said, the oldest first: [{"role": "user", "content": "Hi"}].')]
    namespace: Namespace = None
    user_id: User = None


class BrowseTimeline(Arguments, frozen=True, kw_only=True):
    """browse_timeline"""

    node_id: Annotated[NodeId | None, Meta(description="Node to look into, such as toc:week:2026-W05; null: the years.")] = None
    limit: Annotated[int, Meta(description="Most children, 1 to 100.")] = 20
    continuation_token: Annotated[str | None, Meta(description="Goes on where a page ended.")] = None
    namespace: Namespace = None
    user_id: User = None


class ExpandGrip(Arguments, frozen=True, kw_only=True):
    """expand_grip"""

    grip_id: Annotated[str, Meta(min_length=1, description="Grip of a bullet, as browse_timeline tells it.")]
    events_before: Annotated[int, Meta(description="How much of what was said before to show.")] = 3
    events_after: Annotated[int, Meta(description="How much of what was said after.")] = 3
    namespace: Namespace = None
    user_id: User = None


class SearchTimeline(Arguments, frozen=True, kw_only=True):
    """search_timeline"""

    text: Annotated[str, Meta(description="What to look for, in words.")]
    mode: Mode = "hybrid"
    kinds: Annotated[
        list[TimelineKind] | None,
        Meta(
            description="event: what was said; node: summaries of years, months, weeks, days and segments; grip: the words "
            "behind their bullets. An empty list: all. Given, the answer is in `matches`; null: events, in `events`."
        ),
    ] = None
    session_id: Annotated[str | None, Meta(description="Only in this conversation.")] = None
    from_: Annotated[str | int | None, Meta(description="Not before: ISO 8601, or UTC milliseconds.")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[str | int | None, Meta(description="Not after.")] = None
    limit: Limit = 10
    offset: Offset = 0
    namespace: Namespace = None
    user_id: User = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may go. With both ages: what is older than max_age_days and was of no use for max_inactive_days."""

    max_age_days: float | None = None
    max_inactive_days: float | None = None
    budget: Annotated[int | None, Meta(description="Keep at most so many, the most recent ones.")] = None
    memory_type_allowlist: Annotated[list[MemoryType] | None, Meta(description="Only these types may go.")] = None
    hard_age_multiplier: Annotated[float | None, Meta(description="So many times max_age_days, and it goes anyway; 12.")] = None


class Forget(Arguments, frozen=True, kw_only=True):
    """forget"""

    policy: Policy
    pinned_ids: Annotated[Names | None, Meta(description="Ids that stay in any case.")] = None
    session_id: Annotated[str | None, Meta(description="Only memories of this session.")] = None
    limit: Annotated[int, Meta(description="Most memories that go at once.")] = 1000
    dry_run: Annotated[bool, Meta(description="true: only tell what would go. Look at that before you say false.")] = True
    namespace: Namespace = None
    user_id: User = None
