"""What the gateway needs from outside. Implementations come as arguments to `create_app`."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from agent_memory.contracts.bundles import Restored
from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.compaction import Compacted
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.jobs import JobRun, SchedulerStatus
from agent_memory.contracts.queries import GetEvents, ListSessions, SearchMemories, SearchTimeline, TimelineKind
from agent_memory.contracts.records import Partition, Scope, SummaryView, Task
from agent_memory.contracts.replies import AnyReply, ReplyEnvelope
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.eventlog.neighbours import Around
from agent_memory.eventlog.reader import EventPage, SessionPage
from agent_memory.readmodels.progress import Progress
from agent_memory.readmodels.standing import Found
from agent_memory.runtime.metrics_server import Check


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command led to. `position` is where the log holds the effect; 0 when there was none."""

    command_id: str
    position: int
    reply: AnyReply


class CommandBus(Protocol):
    """The way to the only writer of the log."""

    async def ask(
        self,
        scope: Scope,
        command: AnyCommand,
        *,
        idempotency_key: str = "",
        fingerprint: str = "",
        correlation_id: str = "",
        traceparent: str = "",
    ) -> Answer:
        """Send a command and wait for what happened. Raises MemoryFault; Unavailable carries the command id."""
        ...


class Log(Protocol):
    """The log, as readers see it. Every method raises Unavailable when it cannot be reached."""

    async def memory_record(self, tenant: str, memory_id: str) -> tuple[bytes, int] | None:
        """JSON of a MemoryRecord and its position."""
        ...

    async def sessions(self, query: ListSessions) -> SessionPage:
        """A page of session ids."""
        ...

    async def timeline(self, query: GetEvents) -> EventPage:
        """A page of raw events. Raises Invalid for a cursor that no page gave out."""
        ...

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None:
        """How a command was answered, if it took effect."""
        ...

    async def head(self) -> int:
        """Position of the newest committed event."""
        ...


class Past(Protocol):
    """How things were. Every method raises Unavailable when that cannot be told."""

    async def memory(self, tenant: str, memory_id: str) -> list[EventEnvelope]:
        """All events of a memory, oldest first."""
        ...

    async def session(self, scope: Scope, session_id: str) -> list[EventEnvelope]:
        """All events of a session, oldest first; an empty namespace or user finds it as `Sessions.read` does."""
        ...

    async def recorded_ms(self, position: int) -> int | None:
        """When the log got to a position, UTC milliseconds; None when it has not."""
        ...


class Compaction(Protocol):
    """Merging memories that say the same."""

    async def compact(self, tenant: str, position: int, namespace: str | None, user_id: str | None) -> Compacted:
        """What became of all that was stored up to a log position. None leaves namespace or user open."""
        ...


class Document(Protocol):
    """A session's working memory. `meta`: JSON object without its messages; `messages`: JSON objects joined by commas."""

    @property
    def meta(self) -> bytes: ...
    @property
    def messages(self) -> bytes: ...
    @property
    def version(self) -> int: ...


class Sessions(Protocol):
    """Working memory by session."""

    async def read(self, scope: Scope, session_id: str) -> Document | None:
        """None: there is no such session. An empty namespace or user finds the session stored without it, else the only one."""
        ...


class Summaries(Protocol):
    """What the summarizer still has to do."""

    async def pending(self, scope: Scope, session_id: str, position: int) -> bool:
        """Whether the session, as a write at that position left it, still waits to be summarised. Raises Unavailable."""
        ...


class Hit(Protocol):
    """One thing found. `record`: its JSON object; `dist`: cosine distance; `score`: 0 to 1, None in a listing."""

    @property
    def record(self) -> bytes: ...
    @property
    def score(self) -> float | None: ...
    @property
    def dist(self) -> float: ...
    @property
    def score_type(self) -> str | None: ...


class Page(Protocol):
    """Hits in order; `total` counts all that match."""

    @property
    def hits(self) -> Sequence[Hit]: ...
    @property
    def total(self) -> int: ...
    @property
    def next_offset(self) -> int | None: ...


class Memories(Protocol):
    """Search of long-term memories."""

    async def search(self, query: SearchMemories, vector: bytes | None) -> Page: ...


class WorkingPage(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in working memory and matches, all of it, in order. `complete`: whether every session was looked at."""

    found: Sequence[Found]
    complete: bool


class WorkingMemories(Protocol):
    """Search of what stands in sessions."""

    async def find(self, query: SearchMemories, vector: bytes | None) -> WorkingPage: ...


class Group(Protocol):
    """A session that was found: how well, 0 to 1, and its best events."""

    @property
    def score(self) -> float: ...
    @property
    def hits(self) -> Sequence[Hit]: ...


class Groups(Protocol):
    """Sessions in order; `total` counts those that were ranked."""

    @property
    def groups(self) -> Sequence[Group]: ...
    @property
    def total(self) -> int: ...
    @property
    def next_offset(self) -> int | None: ...


class Match(Protocol):
    """A node, a grip or an event that was found. `record`: JSON of its Revision, Grip or TimelineEvent; `score`: 0 to 1."""

    @property
    def kind(self) -> TimelineKind: ...
    @property
    def id(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def record(self) -> bytes: ...


class Matches(Protocol):
    """Matches in order; `total` counts all."""

    @property
    def matches(self) -> Sequence[Match]: ...
    @property
    def total(self) -> int: ...
    @property
    def next_offset(self) -> int | None: ...


class Timeline(Protocol):
    """Search of what was said and of what was written about it. Raises Unavailable without an index."""

    async def search(self, query: SearchTimeline, vector: bytes | None) -> Page: ...
    async def search_sessions(self, query: SearchTimeline, vector: bytes | None) -> Groups: ...
    async def search_all(self, query: SearchTimeline, vector: bytes | None) -> Matches: ...


class Contents(Protocol):
    """The table of contents of one scope. Ids are accepted in their older forms too. Raises Unavailable when it cannot be read."""

    async def years(self, scope: Scope) -> Sequence[TocNode]:
        """The years, newest first."""
        ...

    async def node(self, scope: Scope, node_id: str) -> TocNode | None:
        """The node as it is now; None when there is none."""
        ...

    async def node_at(self, scope: Scope, node_id: str, version: int) -> TocNode | None:
        """The node as it was at a version; None when it never had that."""
        ...

    async def named(self, scope: Scope, node_ids: Sequence[str]) -> Sequence[TocNode]:
        """Those of the nodes that are there, in the order asked for."""
        ...

    async def children(self, scope: Scope, parent_id: str, *, offset: int, limit: int) -> tuple[Sequence[TocNode], bool]:
        """A page of what stands directly under a node, in order of time, and whether there is more. Unknown parent: nothing."""
        ...

    async def grip(self, scope: Scope, grip_id: str) -> Grip | None:
        """The grip; None when there is none."""
        ...

    async def around(self, scope: Scope, session_id: str, first: str, last: str, *, before: int, after: int) -> Around:
        """What a session holds from one event to another (ids), and so many before and after, in order of time."""
        ...


class SummaryViews(Protocol):
    """Summary views, their partitions, and the tasks that make them. Every method raises Unavailable when it cannot be told."""

    async def view(self, tenant: str, view_id: str) -> SummaryView | None:
        """One view; None when it is not there."""
        ...

    async def views(self, tenant: str) -> Sequence[SummaryView]:
        """All views, the oldest first."""
        ...

    async def partitions(self, tenant: str, view_id: str) -> Sequence[Partition]:
        """All partitions of a view, in order of their groups."""
        ...

    async def task(self, tenant: str, task_id: str) -> Task | None:
        """One task; None when it is not there, or ended too long ago."""
        ...

    async def run(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition:
        """Have one group summarised now. Raises NotFound without such a view."""
        ...


class Jobs(Protocol):
    """Scheduled jobs of the whole system. Every method raises Unavailable when it cannot be told or done; those that name a job
    raise NotFound ("Job not found: <name>") for one that is not there. `about`: what `CommandBus.ask` takes beside a command.
    """

    async def status(self) -> SchedulerStatus:
        """All jobs, always in the same order."""
        ...

    async def history(self, job: str, limit: int = 50) -> Sequence[JobRun]:
        """The last runs of a job, at most 50, the newest first."""
        ...

    async def pause(self, job: str, **about: str) -> Answer:
        """Pass over what comes due; that it is paused already is as well. The next `status` shows it."""
        ...

    async def resume(self, job: str, **about: str) -> Answer:
        """Run again what comes due. Raises Refused for a job that the settings have off."""
        ...

    async def run_now(self, job: str, **about: str) -> Answer:
        """Have it run at once, paused or not. Raises Conflict ("Job is running: <name>") while a run goes on."""
        ...


class Bundles(Protocol):
    """All that the log holds of a tenant, carried elsewhere and back. Raises Unavailable when the log cannot be reached."""

    def exported(
        self, tenant: str, *, namespace: str | None, user_id: str | None, embeddings: bool, answers: bool
    ) -> AsyncGenerator[bytes, None]:
        """A bundle in pieces. None leaves namespace or user open. Raises Refused for answers that cannot be told apart."""
        ...

    async def restored(self, tenant: str, chunks: AsyncIterator[bytes], *, dry_run: bool, keep: bool) -> Restored:
        """Takes a bundle in, or nothing of it. Raises Refused for one that is not whole, Conflict where the log differs; with
        `keep` that stays as it is, and the rest is taken in.
        """
        ...


class Embedder(Protocol):
    """Text to vectors (float32, little endian). Raises Unavailable when the model cannot be reached."""

    async def embed(self, texts: Sequence[str], /) -> Sequence[bytes]: ...


class Projections(Protocol):
    """How far the views are. Raises Unavailable when it cannot be told."""

    async def read(self, projection: str) -> Progress:
        """Checkpoint and counters of a projection."""
        ...

    async def covers(self, projection: str, position: int) -> bool:
        """Whether the effect of this position is visible."""
        ...


class TokenCounter(Protocol):
    """Counts tokens of texts."""

    async def count(self, texts: Sequence[str]) -> list[int]: ...


Checks = Mapping[str, Check]
"""Parts that must work, by name."""
WORKING_MEMORY = "working memory"
"""The one without which a gateway is still ready: sessions alone are answered 503."""
