"""In-memory twins of the gateway's ports: what a door does can be seen without any server."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from agent_memory.contracts import commands, replies
from agent_memory.contracts.codec import encode
from agent_memory.contracts.compaction import Compacted
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict, NotFound
from agent_memory.contracts.queries import GetEvents, ListSessions, SearchMemories, SearchTimeline
from agent_memory.contracts.records import MemoryRecord, Reach, Scope, TimelineEvent, to_milliseconds
from agent_memory.contracts.replies import AnyReply, ReplyEnvelope
from agent_memory.eventlog.reader import EventPage, SessionPage
from agent_memory.gateway.gateway import utc_now
from agent_memory.gateway.memory_bundles import MemoryBundles
from agent_memory.gateway.memory_contents import MemoryContents
from agent_memory.gateway.memory_jobs import MemoryJobs
from agent_memory.gateway.memory_views import MemoryViews
from agent_memory.gateway.ports import Answer, WorkingPage
from agent_memory.gateway.sessions import replaced
from agent_memory.readmodels.progress import Progress
from agent_memory.readmodels.search import MatchPage
from agent_memory.readmodels.sessions import SessionDocument
from agent_memory.readmodels.standing import Standing, ordered, passing, records_of

NOWHERE = b"\x00" * 4
"""A vector that means nothing."""


class _Whose(msgspec.Struct):
    namespace: str | None = None
    user_id: str | None = None


class MemoryHit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found."""

    record: bytes
    score: float | None = None
    dist: float = 0.0
    score_type: str | None = None


class MemoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Hits and how many there are in all."""

    hits: list[MemoryHit] = []
    total: int = 0
    next_offset: int | None = None


class MemoryGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One session found."""

    score: float
    hits: list[MemoryHit] = []


class MemoryGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions found."""

    groups: list[MemoryGroup] = []
    total: int = 0
    next_offset: int | None = None


class MemorySystem:
    """Bus, log, sessions and searches in one, simple enough to be read. `sent` keeps every command that came through."""

    def __init__(self) -> None:
        self.sent: list[tuple[Scope, commands.AnyCommand]] = []
        self.fingerprints: list[str] = []
        self.documents: dict[tuple[str, str], SessionDocument] = {}
        self.records: dict[str, MemoryRecord] = {}
        self.events: dict[str, tuple[int, str, TimelineEvent]] = {}
        self.page = MemoryPage()
        self.matches = MatchPage(matches=[], total=0, next_offset=None)
        self.queries: list[SearchMemories | SearchTimeline] = []
        self.fault: Exception | None = None
        self.contents = MemoryContents()
        self.position = 0
        self.reached = 2**62
        self.superseding = False
        self.pasts: dict[str, list[EventEnvelope]] = {}
        self._keys: dict[str, Answer] = {}
        self._numbers = itertools.count(1)

    def ports(self) -> dict[str, Any]:
        """Itself in the place of everything that `create_app` asks for."""
        names = ("bus", "log", "past", "compaction", "sessions", "memories", "working", "timeline", "embedder")
        return {
            **dict.fromkeys(names, self),
            "contents": self.contents,
            "views": MemoryViews(self.sent),
            "jobs": MemoryJobs(self),
            "bundles": MemoryBundles(),
            "projections": MemoryProjections(self),
            "checks": {"everything": all_well},
        }

    async def ask(
        self,
        scope: Scope,
        command: commands.AnyCommand,
        *,
        idempotency_key: str = "",
        fingerprint: str = "",
        correlation_id: str = "",
        traceparent: str = "",
    ) -> Answer:
        """Does what the command says."""
        if self.fault is not None:
            raise self.fault
        if idempotency_key in self._keys:
            return self._keys[idempotency_key]
        self.sent.append((scope, command))
        self.fingerprints.append(fingerprint)
        self.position += 1
        reply = self._do(scope, command)
        answer = Answer(command_id=f"c{next(self._numbers)}", position=self.position, reply=reply)
        if idempotency_key:
            self._keys[idempotency_key] = answer
        return answer

    def _do(self, scope: Scope, command: commands.AnyCommand) -> AnyReply:
        match command:
            case commands.RecordEvents(events=events):
                created = [self._record(scope, event) for event in events]
                return replies.EventsRecorded(event_ids=[event.event_id for event in events], created=created)
            case commands.ReplaceWorkingMemory():
                return self._replace(scope, command)
            case commands.AppendMessages(session_id=session_id, messages=messages):
                self._demand(scope, command)
                old = self.documents.get((scope.path, session_id), SessionDocument(meta=b"{}", messages=b"", version=0))
                joined = b",".join(part for part in (old.messages, encode(messages)[1:-1]) if part)
                self.documents[scope.path, session_id] = SessionDocument(meta=old.meta, messages=joined, version=old.version + 1)
                return _changed(session_id, old.version + 1, created=[True] * len(messages))
            case commands.DeleteWorkingMemory(session_id=session_id):
                self._demand(scope, command)
                self.documents.pop((scope.path, session_id), None)
                return _changed(session_id, 0)
            case commands.StoreMemories(memories=memories):
                self.records.update({memory.id: memory for memory in memories})
                ids = [memory.id for memory in memories]
                return replies.MemoriesStored(memory_ids=ids, outcomes=["created"] * len(ids))
            case commands.EditMemory():
                return self._edit(command)
            case commands.UnmergeMemory(memory_id=memory_id, within=within):
                if not self._reached(memory_id, within):
                    raise NotFound("no such memory")
                return replies.MemoryChanged(record=msgspec.Raw(encode(self.records[memory_id])))
            case commands.ForgetMemories(memory_ids=memory_ids, within=within):
                gone = [each for each in memory_ids if self._reached(each, within)]
                for each in gone:
                    self.records.pop(each, None)
                return replies.MemoriesForgotten(memory_ids=gone)
            case _:
                return replies.Acknowledged()

    def _record(self, scope: Scope, event: TimelineEvent) -> bool:
        key = f"{scope.path}/{event.event_id}"
        new = key not in self.events
        self.events.setdefault(key, (self.position, scope.path, event))
        return new

    def _replace(self, scope: Scope, command: commands.ReplaceWorkingMemory) -> replies.WorkingMemoryChanged:
        key = scope.path, command.session_id
        self._demand(scope, command)
        if self.superseding:
            return msgspec.structs.replace(_changed(command.session_id, self.documents[key].version), superseded=True)
        version = self.documents[key].version + 1 if key in self.documents else 1
        reply = _changed(command.session_id, version)
        self.documents[key] = replaced(scope, command, reply)
        return reply

    def _demand(
        self, scope: Scope, command: commands.ReplaceWorkingMemory | commands.AppendMessages | commands.DeleteWorkingMemory
    ) -> None:
        document = self.documents.get((scope.path, command.session_id))
        if command.expected_version not in (None, document.version if document else 0):
            raise Conflict("the session has changed since it was read")

    def _reached(self, memory_id: str, within: Reach | None) -> bool:
        record = self.records.get(memory_id)
        return record is not None and (within is None or within.holds(record.namespace, record.user_id))

    def _edit(self, command: commands.EditMemory) -> replies.MemoryChanged:
        if not self._reached(command.memory_id, command.within):
            raise NotFound("no such memory")
        given = msgspec.structs.asdict(command).items()
        changes = {name: value for name, value in given if value is not None and name not in ("memory_id", "within")}
        record = msgspec.structs.replace(self.records[command.memory_id], **changes)
        self.records[record.id] = record
        return replies.MemoryChanged(record=msgspec.Raw(encode(record)))

    async def read(self, scope: Scope, session_id: str) -> SessionDocument | None:
        """The session of exactly that scope."""
        return self.documents.get((scope.path, session_id))

    async def memory_record(self, tenant: str, memory_id: str) -> tuple[bytes, int] | None:
        """A memory as JSON."""
        record = self.records.get(memory_id)
        return None if record is None else (encode(record), self.position)

    async def memory(self, tenant: str, memory_id: str) -> list[EventEnvelope]:
        """The past that was set for a memory."""
        return self.pasts.get(memory_id, [])

    async def session(self, scope: Scope, session_id: str) -> list[EventEnvelope]:
        """The past that was set for a session."""
        return self.pasts.get(session_id, [])

    async def recorded_ms(self, position: int) -> int | None:
        """When the set past got to a position."""
        times = [event.recorded_ms for events in self.pasts.values() for event in events if event.position == position]
        return times[0] if times else None

    async def compact(self, tenant: str, position: int, namespace: str | None, user_id: str | None) -> Compacted:
        """Merges nothing."""
        owned = [record for record in self.records.values() if namespace in (None, record.namespace)]
        return Compacted(remaining=sum(user_id in (None, record.user_id) for record in owned), position=position)

    async def sessions(self, query: ListSessions) -> SessionPage:
        """Session ids, whatever the scope."""
        ids = [session_id for _, session_id in self.documents]
        return SessionPage(ids[query.offset : query.offset + query.limit], len(ids))

    async def timeline(self, query: GetEvents) -> EventPage:
        """Events of the scope, in order of time."""
        mine = [(position, event) for position, path, event in self.events.values() if path == query.scope.path]
        low = -(2**63) if query.from_ms is None else query.from_ms
        high = 2**63 if query.to_ms is None else query.to_ms
        fitting = [each for each in mine if low <= each[1].timestamp_ms <= high and query.session_id in (None, each[1].session_id)]
        fitting.sort(key=lambda each: (each[1].timestamp_ms, each[1].event_id))
        return EventPage(fitting[: query.limit], "more" if len(fitting) > query.limit else None)

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None:
        """Nothing is ever lost here."""
        return None

    async def head(self) -> int:
        """Commands done so far."""
        return self.position

    async def search(self, query: SearchMemories | SearchTimeline, vector: bytes | None) -> MemoryPage:
        """Always the page that was set; `queries` keeps what was asked."""
        self.queries.append(query)
        return self.page

    async def search_sessions(self, query: SearchTimeline, vector: bytes | None) -> MemoryGroups:
        """One session with the hits of the page that was set."""
        self.queries.append(query)
        return MemoryGroups(groups=[MemoryGroup(score=1.0, hits=self.page.hits)], total=1)

    async def search_all(self, query: SearchTimeline, vector: bytes | None) -> MatchPage:
        """Always what was set."""
        self.queries.append(query)
        return self.matches

    async def find(self, query: SearchMemories, vector: bytes | None) -> WorkingPage:
        """What stands in the sessions; all texts are equally near."""
        records = [record for document in self._standing() for record in records_of(document)]
        fitting = passing(query, records)
        return WorkingPage(found=ordered(query, fitting, {one.text: NOWHERE for one in fitting}, vector, utc_now()), complete=True)

    def _standing(self) -> list[Standing]:
        whose = msgspec.json.Decoder(_Whose).decode
        found = [(session_id, document, whose(document.meta)) for (_, session_id), document in self.documents.items()]
        return [
            Standing(
                session_id=session_id,
                namespace=owner.namespace or "",
                user_id=owner.user_id or "",
                meta=document.meta,
                messages=document.messages,
            )
            for session_id, document, owner in found
        ]

    async def embed(self, texts: Sequence[str], /) -> list[bytes]:
        """Vectors that mean nothing."""
        return [NOWHERE for _ in texts]

    async def progress(self, projection: str) -> Progress:
        """As far as `reached`, but not beyond the log."""
        return Progress(checkpoint=min(self.reached, self.position), counters={"applied": self.position})

    async def covers(self, projection: str, position: int) -> bool:
        """Whether `reached` lies beyond."""
        return position <= min(self.reached, self.position)


class MemoryProjections:
    """The progress of a `MemorySystem`, under the names of the port."""

    def __init__(self, system: MemorySystem) -> None:
        self.read = system.progress
        self.covers = system.covers


def _changed(session_id: str, version: int, created: list[bool] | None = None) -> replies.WorkingMemoryChanged:
    now = utc_now()
    return replies.WorkingMemoryChanged(
        session_id=session_id, version=version, created=created or [], created_at=now, updated_ms=to_milliseconds(now)[0]
    )


async def all_well() -> str | None:
    """A check that always passes."""
    return None
