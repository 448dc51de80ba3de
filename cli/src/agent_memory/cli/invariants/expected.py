"""What every read model should hold, recounted from the log alone. Calls no model: vectors come from those kept with the log."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Literal, get_args

import msgspec

from agent_memory.cli.invariants.history import History
from agent_memory.contracts.events import EventRecorded, MemoryForgotten, NodeRevised, TaskChanged
from agent_memory.contracts.records import content_hash, escape
from agent_memory.contracts.streams import JOBS
from agent_memory.readmodels import enrichment, jobs, session_work, tasks
from agent_memory.readmodels.contents import Written, Zoned
from agent_memory.readmodels.contents_twin import ContentsTwin
from agent_memory.readmodels.documents import Kind, Upsert
from agent_memory.readmodels.duplicates import Content, owner_key
from agent_memory.readmodels.projecting import Rewritten, Wanted, in_session, newest, project
from agent_memory.readmodels.retiring import too_old
from agent_memory.readmodels.sameness import project as same_as
from agent_memory.readmodels.session_document import Session, evolve
from agent_memory.readmodels.sessions import ViewWrite, view_of
from agent_memory.readmodels.unfinished import Unfinished
from agent_memory.readmodels.unfinished import evolve as work_on
from agent_memory.runtime.tokens import TokenCounter

Model = Literal[
    "working memory",
    "memory index",
    "timeline index",
    "contents index",
    "contents",
    "duplicates",
    "jobs",
    "session-work",
    "enrichment",
    "tasks",
]
INDEX_MODELS: dict[Kind, Model] = {"memory": "memory index", "timeline": "timeline index", "contents": "contents index"}


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing that a read model should hold: a digest of it, the log position or version it is as of, and its stream."""

    digest: bytes
    version: int
    stream: str


class Recount(msgspec.Struct, frozen=True):
    """Entries by read model and key; `gone`: place of each forgotten memory, to its stream; `deleted`: streams of sessions;
    `stalled`: nodes of the table of contents that somebody should be about to write about, by scope path and id.
    """

    entries: dict[Model, dict[str, Entry]]
    gone: dict[str, str]
    deleted: set[str]
    stalled: list[tuple[str, str]] = []


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

    def __init__(self, *, messages_too: bool, share: float, zones: Zoned, since: int | None = None) -> None:
        """`since`: how far back the index of the timeline reaches, UTC milliseconds."""
        self._messages_too = messages_too
        self._since = since
        self._share = share
        self._counter = TokenCounter()
        self._contents = ContentsTwin(zones)
        self._owners: dict[str, tuple[str, list[tuple[str, str]]]] = {}
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
            case "toc":
                for row in history.rows:
                    if isinstance(row.event, NodeRevised):
                        written = Written(scope=row.envelope.scope, version=row.envelope.version, revision=row.event.revision)
                        self._contents.write(written)
            case "job":
                for key, value in jobs.expected([(row.envelope.version, row.event) for row in history.rows]).items():
                    entry = Entry(digest_of(value), history.rows[-1].envelope.version, JOBS)
                    self.recount.entries["jobs"][key] = entry
        return self._documents(history)

    def finish(self, documents: Iterable[tuple[Wanted, str, bytes | None]]) -> None:
        """Takes documents in whose vectors were looked up (None: there is none)."""
        for wanted, stream, vector in documents:
            document = wanted.document(vector or b"")
            model = INDEX_MODELS[document.kind]
            key = document_place(document.scope_path, document.id)
            known = self.recount.entries[model].get(key)
            if known is None or known.version < document.version:
                self.recount.entries[model][key] = Entry(fields_digest(stored_fields(document)), document.version, stream)

    def close(self) -> Recount:
        """The views that gather many streams, at the end."""
        entries = self.recount.entries
        entries["contents"] = {
            place: Entry(digest_of(value), 0, place.partition("{")[2].partition("}")[0])
            for place, value in self._contents.entries().items()
        }
        entries["duplicates"] = {
            key: Entry(digest_of(sorted([list(pair) for pair in pairs])), 0, tenant)
            for key, (tenant, pairs) in self._owners.items()
        }
        self.recount.stalled.extend(self._contents.stalled())
        return self.recount

    def _session(self, history: History) -> None:
        session = Session()
        for row in history.rows:
            evolve(session, row.event, row.envelope.scope, row.envelope.recorded_ms)
        write = view_of(history.stream, session)
        self.recount.entries["working memory"][history.stream] = Entry(view_digest(write), write.version, history.stream)
        if write.how == "delete":
            self.recount.deleted.add(history.stream)
        said = [(row.envelope.version, row.event.event) for row in history.rows if isinstance(row.event, EventRecorded)]
        if said:
            self._contents.session(history.rows[0].envelope.scope, said[0][1].session_id, said)
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
        found: list[Wanted] = []
        for kind in INDEX_MODELS:
            all_of_them = newest([project(row.envelope, kind, messages_too=self._messages_too) for row in history.rows])
            wanted = [one for one in all_of_them if isinstance(one, Wanted) and not too_old(one, self._since)]
            found += in_session(wanted) if kind == "timeline" else wanted
            found += [part for one in all_of_them if isinstance(one, Rewritten) for part in one.parts]
        return found


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


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
