"""What happened. Past tense, immutable, tagged by class name; kept for ever, so old shapes are read through `upcasters.py`."""

from datetime import datetime
from typing import Literal

import msgspec

from agent_memory.contracts.jobs import JobState
from agent_memory.contracts.records import MemoryRecord, Message, ModelUse, Partition, Strategy, SummaryView, Task, TimelineEvent
from agent_memory.contracts.toc import Revision


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    """Base of all events. Unknown fields are ignored, so adding an optional one is always safe."""


class EventRecorded(Event, frozen=True, kw_only=True):
    """Something was said or done. Recorded once per event id, whichever door it came through.

    A message (user, assistant, tool) also stands at the end of its session's working memory.
    """

    event: TimelineEvent
    sequence: int = 0


class WorkingMemoryReplaced(Event, frozen=True, kw_only=True):
    """A client set the whole document. `order` names its messages; `edits` holds those that differ from what was recorded."""

    session_id: str
    order: list[str]
    edits: list[Message] = []
    memories: list[msgspec.Raw] = []
    data: dict[str, object] = {}
    context: str | None = None
    tokens: int = 0
    strategy: Strategy = Strategy()
    ttl_seconds: int | None = None
    created_at: datetime
    updated_at: datetime
    last_accessed: datetime
    sequence: int
    token_limit: int | None = None


class MessagesRestored(Event, frozen=True, kw_only=True):
    """Messages that were recorded earlier stand at the end of working memory again."""

    session_id: str
    messages: list[Message]
    at: datetime
    sequence: int


class WorkingMemoryDeleted(Event, frozen=True, kw_only=True):
    """The document is gone; what was said stays on the timeline."""

    session_id: str
    at: datetime
    sequence: int
    reason: Literal["requested", "expired"] = "requested"


class WorkingMemorySummarized(Event, frozen=True, kw_only=True):
    """The oldest messages of a document became part of its summary. They stay on the timeline."""

    session_id: str
    context: str
    message_ids: list[str]
    at: datetime
    sequence: int
    use: ModelUse = ModelUse()


class MemoriesExtracted(Event, frozen=True, kw_only=True):
    """Messages were read for what is worth keeping; each is read once. `memory_ids`: what came of it."""

    session_id: str
    message_ids: list[str]
    memory_ids: list[str] = []
    at: datetime
    sequence: int
    strategy: Strategy = Strategy()
    use: ModelUse = ModelUse()


class MemoryStored(Event, frozen=True, kw_only=True):
    """A long-term memory was created or replaced. The full record after the change, so that order does not matter to readers."""

    record: MemoryRecord
    sequence: int
    reason: Literal["requested", "promoted", "extracted", "unmerged"] = "requested"


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge made one: the survivor as it was before, and the sources as they were when they were forgotten."""

    before: MemoryRecord
    sources: list[MemoryRecord]
    use: ModelUse = ModelUse()


class MemoryEdited(Event, frozen=True, kw_only=True):
    """Some fields of a memory were changed; `changed` names them. The full record after the change.

    `merge`: of what it was made when the reason is a merge, and what was taken back when it is the end of one.
    """

    record: MemoryRecord
    changed: list[str]
    sequence: int
    reason: Literal["requested", "merged", "unmerged", "enriched", "accessed"] = "requested"
    merge: Merge | None = None
    use: ModelUse = ModelUse()


class MemoryForgotten(Event, frozen=True, kw_only=True):
    """A memory is gone from every view."""

    memory_id: str
    at: datetime
    sequence: int
    reason: str = "requested"
    into: str | None = None
    """The memory that it became part of, when the reason is a merge."""


class SummaryViewCreated(Event, frozen=True, kw_only=True):
    """A view was defined."""

    view: SummaryView
    at: datetime


class SummaryViewDeleted(Event, frozen=True, kw_only=True):
    """A view is gone, and with it its partitions."""

    view_id: str
    at: datetime


class PartitionSummarized(Event, frozen=True, kw_only=True):
    """One group of a view was summarised."""

    partition: Partition
    use: ModelUse = ModelUse()


class TaskChanged(Event, frozen=True, kw_only=True):
    """A task began, ran or ended; as it is now."""

    task: Task


class NodeRevised(Event, frozen=True, kw_only=True):
    """Something was written about a node of the table of contents. Its stream is the node's, so the version counts revisions."""

    revision: Revision
    use: ModelUse = ModelUse()


class JobDue(Event, frozen=True, kw_only=True):
    """The time of a job came, or somebody asked for it. `state`: where the job stands then."""

    job: str
    due_ms: int
    state: JobState = JobState()


class JobStarted(Event, frozen=True, kw_only=True):
    """The run `state.running` was begun."""

    job: str
    state: JobState


class JobFinished(Event, frozen=True, kw_only=True):
    """The run `state.last` ended, or was passed over."""

    job: str
    state: JobState


class JobPaused(Event, frozen=True, kw_only=True):
    """What comes due is passed over from now on."""

    job: str
    state: JobState


class JobResumed(Event, frozen=True, kw_only=True):
    """What comes due is run again."""

    job: str
    state: JobState


AnyEvent = (
    EventRecorded
    | WorkingMemoryReplaced
    | MessagesRestored
    | WorkingMemoryDeleted
    | WorkingMemorySummarized
    | MemoriesExtracted
    | MemoryStored
    | MemoryEdited
    | MemoryForgotten
    | SummaryViewCreated
    | SummaryViewDeleted
    | PartitionSummarized
    | TaskChanged
    | NodeRevised
    | JobDue
    | JobStarted
    | JobFinished
    | JobPaused
    | JobResumed
)
"""`sequence` is the bus position of the command that caused the event: a lower one never undoes a higher one."""
