"""What every read model should hold, recounted from the log alone. Calls no model: vectors come from those kept with the log."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Literal, get_args

import msgspec

from agent_memory.cli.invariants.history import History, Row
from agent_memory.contracts.events import EventRecorded, JobDue, MemoryForgotten, TaskChanged
from agent_memory.contracts.records import TimelineEvent, content_hash, escape
from agent_memory.contracts.streams import JOBS
from agent_memory.readmodels import contents, enrichment, segments, session_work, tasks
from agent_memory.readmodels.calendar import path_of
from agent_memory.readmodels.cutting import evolve_all
from agent_memory.readmodels.documents import Delete, Kind, Upsert
from agent_memory.readmodels.duplicates import Content, owner_key
from agent_memory.readmodels.indexing import Wanted, in_session, newest, project
from agent_memory.readmodels.sameness import project as same_as
from agent_memory.readmodels.segments import Segmentation
from agent_memory.readmodels.session_document import Session, evolve
from agent_memory.readmodels.sessions import ViewWrite, view_of
from agent_memory.readmodels.tallies import tally
from agent_memory.readmodels.unfinished import Unfinished
from agent_memory.readmodels.unfinished import evolve as work_on
from agent_memory.runtime.tokens import TokenCounter

Model = Literal[
    "working memory",
    "memory index",
    "timeline index",
    "segments",
    "contents",
    "duplicates",
    "jobs",
    "session-work",
    "enrichment",
    "tasks",
]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing that a read model should hold: a digest of it, the log position or version it is as of, and its stream."""

    digest: bytes
    version: int
    stream: str


class Recount(msgspec.Struct, frozen=True):
    """Entries by read model and key; `gone`: place of each forgotten memory, to its stream; `deleted`: streams of sessions."""

    entries: dict[Model, dict[str, Entry]]
    gone: dict[str, str]
    deleted: set[str]


def digest_of(value: object) -> bytes:
    """128 bits for one JSON-like value."""
    return blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=16).digest()


def fields_digest(fields: Mapping[bytes, bytes]) -> bytes:
    """128 bits for a document as Redis keeps it."""
    found = blake2b(digest_size=16)
    for name, value in sorted(fields.items()):
        found.update(b"%d:%d:" % (len(name), len(value)) + name + value)
    return found.digest()


def stored_fields(document: Upsert) -> dict[bytes, bytes]:
    """A document as Redis keeps it."""
    fields = {**document.fields, "version": document.version}
    return {name.encode(): value if isinstance(value, bytes) else str(value).encode() for name, value in fields.items()}


class Recounting:
    """Folds one history after the other. Documents come out unfinished, until their vectors are known."""

    def __init__(self, *, messages_too: bool, share: float) -> None:
        self._messages_too = messages_too
        self._share = share
        self._counter = TokenCounter()
        self._years = _Contents()
        self._owners: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        self._jobs: dict[str, int] = {}
        self.recount = Recount({model: {} for model in get_args(Model)}, {}, set())

    def add(self, history: History) -> list[Wanted]:
        """Takes a stream in; returns its documents that still need their vector."""
        match history.stream.partition("/")[0]:
            case "session":
                self._session(history)
            case "memory":
                self._memory(history)
            case "task":
                self._task(history)
            case "job":
                last = max((row.event for row in history.rows if isinstance(row.event, JobDue)), key=lambda job: job.due_ms)
                self._jobs[last.job] = max(last.due_ms, self._jobs.get(last.job, last.due_ms))
        return self._documents(history)

    def finish(self, documents: Iterable[tuple[Wanted, str, bytes | None]]) -> None:
        """Takes documents in whose vectors were looked up (None: there is none)."""
        for wanted, stream, vector in documents:
            document = wanted.document(vector or b"")
            model: Model = "memory index" if document.kind == "memory" else "timeline index"
            key = document_place(document.scope_path, document.id)
            known = self.recount.entries[model].get(key)
            if known is None or known.version < document.version:
                self.recount.entries[model][key] = Entry(fields_digest(stored_fields(document)), document.version, stream)

    def close(self) -> Recount:
        """The views that gather many streams, at the end."""
        entries = self.recount.entries
        entries["contents"] = self._years.entries()
        entries["duplicates"] = {
            key: Entry(digest_of(sorted([list(pair) for pair in pairs])), 0, tenant)
            for key, (tenant, pairs) in self._owners.items()
        }
        entries["jobs"] = {job: Entry(digest_of(due_ms), due_ms, JOBS) for job, due_ms in self._jobs.items()}
        return self.recount

    def _session(self, history: History) -> None:
        session = Session()
        for row in history.rows:
            evolve(session, row.event, row.envelope.scope, row.envelope.recorded_ms)
        write = view_of(history.stream, session)
        self.recount.entries["working memory"][history.stream] = Entry(view_digest(write), write.version, history.stream)
        if write.how == "delete":
            self.recount.deleted.add(history.stream)
        said = [(row.envelope.version, _said(row)) for row in history.rows]
        state, closed = evolve_all(Segmentation(), said)
        fields = {"version": str(state.version), "state": _text(state)} | {str(one.number): _text(one) for one in closed}
        place = segments.session_key(history.stream)
        value = sorted([name, text] for name, text in fields.items())
        self.recount.entries["segments"][place] = Entry(digest_of(value), state.version, history.stream)
        self._years.add(history.rows)
        self._session_work(history, session)

    def _session_work(self, history: History, session: Session) -> None:
        state = Unfinished()
        for row in history.rows:
            work_on(state, row.event, row.envelope.recorded_ms)
        shown = [*session.messages.values()] if session.document else []
        over, _ = session_work.too_long(shown, state.limit, self._share, self._counter.count)
        too_long = session_work.Overfull(version=session.version, expires_ms=session.expires_ms) if over else None
        kept = {**session_work.fields(state), "examined": str(state.version)}
        score = state.newest_ms if state.count else None
        value = session_work.entry(kept, score, None if too_long is None else msgspec.json.encode(too_long))
        place = session_work.entry_key(history.stream)
        self.recount.entries["session-work"][place] = Entry(digest_of(value), state.version, history.stream)

    def _task(self, history: History) -> None:
        last = history.rows[-1]
        if isinstance(last.event, TaskChanged) and last.event.task.status not in tasks.ENDED:
            entry = Entry(digest_of(msgspec.to_builtins(last.event.task)), last.envelope.version, history.stream)
            self.recount.entries["tasks"][tasks.entry_key(history.stream)] = entry

    def _memory(self, history: History) -> None:
        last = history.rows[-1]
        changes = [enrichment.project(history.stream, row.envelope.version, row.event) for row in history.rows]
        lacking = [change for change in changes if change is not None][-1].lacking if any(changes) else None
        if lacking is not None:
            value = _text(lacking)
            place = enrichment.entry_key(history.stream)
            self.recount.entries["enrichment"][place] = Entry(digest_of(value), lacking.version, history.stream)
        content = same_as(last.envelope, last.event)
        if isinstance(last.event, MemoryForgotten):
            self.recount.gone[document_place(escape(last.envelope.scope.tenant), last.event.memory_id)] = history.stream
        if isinstance(content, Content):
            place = escape(content.owner.tenant)
            self._owners.setdefault(owner_key(content.owner), (place, []))[1].append((content.memory_id, content.content_hash))

    def _documents(self, history: History) -> list[Wanted]:
        kinds: tuple[Kind, ...] = ("memory", "timeline")
        found: list[Wanted] = []
        for kind in kinds:
            all_of_them = newest([project(row.envelope, kind, messages_too=self._messages_too) for row in history.rows])
            wanted = [one for one in all_of_them if not isinstance(one, Delete)]
            found += in_session(wanted) if kind == "timeline" else wanted
        return found


class _Contents:
    """The table of contents, added up in memory: per node its events and times, its sessions, its children."""

    def __init__(self) -> None:
        self._nodes: dict[str, list[int]] = {}
        self._sessions: dict[str, set[str]] = {}
        self._children: dict[str, set[tuple[int, str]]] = {}
        self._scopes: dict[str, str] = {}

    def add(self, rows: Sequence[Row]) -> None:
        recorded = [(row.envelope, row.event.event) for row in rows if isinstance(row.event, EventRecorded)]
        for day in tally(recorded):
            for period in path_of(day.day):
                node, sessions, children = (
                    contents.entry_key(day.scope, kind, name)
                    for kind, name in (("node", period.node_id), ("sessions", period.node_id), ("children", period.parent))
                )
                for key in (node, sessions, children):
                    self._scopes[key] = day.scope.path
                events = sum(len(session.versions) for session in day.sessions)
                before = self._nodes.get(node, [0, day.first_ms, day.last_ms])
                self._nodes[node] = [before[0] + events, min(before[1], day.first_ms), max(before[2], day.last_ms)]
                self._sessions.setdefault(sessions, set()).update(session.session_id for session in day.sessions)
                self._children.setdefault(children, set()).add((period.start_ms, period.node_id))

    def entries(self) -> dict[str, Entry]:
        names = ("events", "first_ms", "last_ms")
        values: dict[str, object] = {key: sorted([*zip(names, node, strict=True)]) for key, node in self._nodes.items()}
        values |= {key: sorted(sessions) for key, sessions in self._sessions.items()}
        values |= {key: [node for _, node in sorted(children)] for key, children in self._children.items()}
        return {key: Entry(digest_of(value), 0, self._scopes[key]) for key, value in values.items()}


def view_digest(write: ViewWrite) -> bytes:
    """128 bits for a session's view."""
    if write.how == "delete":
        return b"gone"
    return shown_digest(view_head(write), write.document, write.messages)


def view_head(write: ViewWrite) -> bytes:
    """The head of a view as Redis keeps it."""
    expires = b"" if write.expires_ms is None else b"%d" % write.expires_ms
    return b"|".join([b"%d" % write.version, write.updated_at, write.last_accessed, expires])


def shown_digest(head: bytes, document: bytes, messages: bytes) -> bytes:
    """128 bits for the three parts of a session's view."""
    return fields_digest({b"head": head, b"document": document, b"messages": messages})


def document_place(scope_path: str, document_id: str) -> str:
    """What the key of a search document says, whatever its generation."""
    return f"{{{scope_path}}}:{document_id}"


def text_hash(wanted: Wanted) -> bytes:
    """Under which hash the vector of a document is kept."""
    return content_hash(wanted.text)


def _said(row: Row) -> TimelineEvent | None:
    return row.event.event if isinstance(row.event, EventRecorded) else None


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
