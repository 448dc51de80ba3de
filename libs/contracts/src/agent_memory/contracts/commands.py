"""What can be asked of the log. Imperative, immutable, tagged by class name; answered by a reply of `replies.py`."""

from datetime import datetime

import msgspec

from agent_memory.contracts.records import MemoryRecord, MemoryType, Message, Strategy, TimelineEvent


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    """Base of all commands. Unknown fields are ignored, so adding an optional one is always safe."""


class RecordEvents(Command, frozen=True, kw_only=True):
    """Record up to 1,000 timeline events of one scope. Answered with `EventsRecorded`, one `created` per event."""

    events: list[TimelineEvent]


class ReplaceWorkingMemory(Command, frozen=True, kw_only=True):
    """The whole document of a session, as its client last saw it."""

    session_id: str
    messages: list[Message] = []
    memories: list[msgspec.Raw] = []
    data: dict[str, object] = {}
    context: str | None = None
    tokens: int = 0
    strategy: Strategy = Strategy()
    ttl_seconds: int | None = None
    last_accessed: datetime | None = None


class AppendMessages(Command, frozen=True, kw_only=True):
    """Messages at the end of a session, which is made when absent. Its cost does not grow with the session."""

    session_id: str
    messages: list[Message]


class DeleteWorkingMemory(Command, frozen=True, kw_only=True):
    """Forget the document of a session. Its messages stay on the timeline."""

    session_id: str


class StoreMemories(Command, frozen=True, kw_only=True):
    """Create or replace long-term memories by id. The records' namespace and user are their own; the tenant is the scope's."""

    memories: list[MemoryRecord]
    deduplicate: bool = True


class EditMemory(Command, frozen=True, kw_only=True):
    """Change the given fields of one memory; None means not given."""

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


class ForgetMemories(Command, frozen=True, kw_only=True):
    """Delete memories by id; ids that do not exist are passed over."""

    memory_ids: list[str]
    reason: str = "requested"


class Tick(Command, frozen=True, kw_only=True):
    """A job is due. Job and due time are its identity: of several schedulers one is heard."""

    job: str
    due_ms: int


AnyCommand = (
    RecordEvents | ReplaceWorkingMemory | AppendMessages | DeleteWorkingMemory | StoreMemories | EditMemory | ForgetMemories | Tick
)
