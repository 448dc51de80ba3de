"""What can be asked of the log. Imperative, immutable, tagged by class name; answered by a reply of `replies.py`."""

from datetime import datetime

import msgspec

from agent_memory.contracts.jobs import JobResult
from agent_memory.contracts.records import (
    MemoryRecord,
    MemoryType,
    Message,
    ModelUse,
    Partition,
    Reach,
    Strategy,
    SummaryView,
    Task,
    TimelineEvent,
)
from agent_memory.contracts.toc import Revision


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    """Base of all commands. Unknown fields are ignored, so adding an optional one is always safe."""


class RecordEvents(Command, frozen=True, kw_only=True):
    """Record up to 1,000 timeline events of one scope. Answered with `EventsRecorded`, one `created` per event."""

    events: list[TimelineEvent]


class ReplaceWorkingMemory(Command, frozen=True, kw_only=True):
    """The whole document of a session, as its client last saw it. `token_limit`: how many tokens its model takes, which decides
    when it is summarised. `promote`: its memories become long-term memories.
    """

    session_id: str
    messages: list[Message] = []
    memories: list[msgspec.Raw] = []
    data: dict[str, object] = {}
    context: str | None = None
    tokens: int = 0
    strategy: Strategy = Strategy()
    ttl_seconds: int | None = None
    last_accessed: datetime | None = None
    token_limit: int | None = None
    promote: bool = False
    expected_version: int | None = None
    """Version that the caller saw (0: there was none): if the session is at another one, nothing happens but a Conflict."""


class AppendMessages(Command, frozen=True, kw_only=True):
    """Messages at the end of a session, which is made when absent. Its cost does not grow with the session."""

    session_id: str
    messages: list[Message]
    expected_version: int | None = None
    """As that of `ReplaceWorkingMemory`."""


class DeleteWorkingMemory(Command, frozen=True, kw_only=True):
    """Forget the document of a session. Its messages stay on the timeline."""

    session_id: str
    expected_version: int | None = None
    """As that of `ReplaceWorkingMemory`."""


class StoreMemories(Command, frozen=True, kw_only=True):
    """Create or replace long-term memories by id. The records' namespace and user are their own; the tenant is the scope's.

    An id that stands for a memory out of `within` is not replaced: the new one gets an id of its own.
    """

    memories: list[MemoryRecord]
    deduplicate: bool = True
    within: Reach | None = None


class EditMemory(Command, frozen=True, kw_only=True):
    """Change the given fields of one memory; None means not given. One out of `within` is not found."""

    memory_id: str
    text: str | None = None
    topics: list[str] | None = None
    entities: list[str] | None = None
    memory_type: MemoryType | None = None
    namespace: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    event_date: datetime | None = None
    pinned: bool | None = None
    within: Reach | None = None


class MergeMemories(Command, frozen=True, kw_only=True):
    """Make one memory of several that say the same. `record` is the survivor afterwards; `versions` are those of the survivor
    and of each source that the decision was made on: when one has changed since, nothing happens but a Conflict.
    """

    record: MemoryRecord
    source_ids: list[str]
    versions: dict[str, int]
    use: ModelUse = ModelUse()


class UnmergeMemory(Command, frozen=True, kw_only=True):
    """Take the newest merge of a memory back: its sources are memories again, and it says what it said before.

    One out of `within` is not found.
    """

    memory_id: str
    within: Reach | None = None


class EnrichMemory(Command, frozen=True, kw_only=True):
    """Topics and entities that were found in a memory's text; they are added to those it has. `memory_hash`: of what was read."""

    memory_id: str
    memory_hash: str
    topics: list[str] = []
    entities: list[str] = []
    use: ModelUse = ModelUse()


class TouchMemories(Command, frozen=True, kw_only=True):
    """Memories that a search returned. Counted at most once in `every_seconds` for each."""

    memory_ids: list[str]
    every_seconds: int = 900


class SummarizeSession(Command, frozen=True, kw_only=True):
    """The oldest messages of a document become part of its summary. `document_sequence`: of the whole-document change that the
    summary was made on; when there was another since, nothing happens.
    """

    session_id: str
    context: str
    message_ids: list[str]
    document_sequence: int
    use: ModelUse = ModelUse()


class RecordExtraction(Command, frozen=True, kw_only=True):
    """What was drawn from messages. Each message counts once: what was extracted before makes no memory again."""

    session_id: str
    message_ids: list[str]
    memories: list[MemoryRecord] = []
    strategy: Strategy = Strategy()
    use: ModelUse = ModelUse()


class CreateSummaryView(Command, frozen=True, kw_only=True):
    """Define a view; its id is new."""

    view: SummaryView


class DeleteSummaryView(Command, frozen=True, kw_only=True):
    """Forget a view and its partitions; that there was none is as well."""

    view_id: str


class RecordPartition(Command, frozen=True, kw_only=True):
    """The summary of one group of a view."""

    partition: Partition
    use: ModelUse = ModelUse()


class ChangeTask(Command, frozen=True, kw_only=True):
    """A task as it is now. One that has ended does not change any more; a new one names a view that exists."""

    task: Task


class RecordRevision(Command, frozen=True, kw_only=True):
    """What was written about a node of the table of contents. `expected_version`: how many revisions of it there were when its
    inputs were read; when there was another since, nothing happens but a Conflict. Refused when a grip is not what was said.
    """

    revision: Revision
    expected_version: int
    use: ModelUse = ModelUse()


class ForgetMemories(Command, frozen=True, kw_only=True):
    """Delete memories by id; ids that do not exist, or are out of `within`, are passed over."""

    memory_ids: list[str]
    reason: str = "requested"
    within: Reach | None = None


class Tick(Command, frozen=True, kw_only=True):
    """A job is due. Job and due time are its identity: of several schedulers one is heard."""

    job: str
    due_ms: int


class StartJob(Command, frozen=True, kw_only=True):
    """Begin the run that waits. One that was begun, or does not wait any more, is a Conflict: of several runners one begins it."""

    job: str
    due_ms: int
    runner: str
    jitter_ms: int = 0
    timeout_ms: int = 0


class FinishJob(Command, frozen=True, kw_only=True):
    """How a run ended; that it has ended already changes nothing."""

    job: str
    due_ms: int
    result: JobResult
    error: str | None = None
    metadata: dict[str, str] = {}


class PauseJob(Command, frozen=True, kw_only=True):
    """Pass over what comes due, until the job is resumed; a run that goes on is left alone."""

    job: str


class ResumeJob(Command, frozen=True, kw_only=True):
    """Run again what comes due."""

    job: str


class RunJobNow(Command, frozen=True, kw_only=True):
    """Have a run at once, also of a job that is paused. A Conflict while one goes on, or is about to."""

    job: str


AnyCommand = (
    RecordEvents
    | ReplaceWorkingMemory
    | AppendMessages
    | DeleteWorkingMemory
    | SummarizeSession
    | RecordExtraction
    | StoreMemories
    | EditMemory
    | EnrichMemory
    | TouchMemories
    | MergeMemories
    | UnmergeMemory
    | ForgetMemories
    | CreateSummaryView
    | DeleteSummaryView
    | RecordPartition
    | ChangeTask
    | RecordRevision
    | Tick
    | StartJob
    | FinishJob
    | PauseJob
    | ResumeJob
    | RunJobNow
)
