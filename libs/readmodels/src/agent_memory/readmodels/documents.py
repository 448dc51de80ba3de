"""What is written into a search index: pure functions from records to documents."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent, escape
from agent_memory.readmodels.words import stem, words

Kind = Literal["memory", "timeline", "contents"]
"""Of a search index: long-term memories, what was said, and what was written about it with the grips."""
Value = bytes | str | int | float

SEPARATOR = "\x1f"
INDEXED_CHARACTERS = 10_000
"""Of a long text this much is searchable by word: about 2,500 tokens, beyond what embedding models read well. Insertion
time grows with it, and longer messages are tool output, whose beginning says what it is. The record is kept whole."""

CONTEXT_EVENTS = 2
"""An event is also found by the words of so many events before it in its session: an answer by those of its question."""
CONTEXT_BYTES = 600
"""Of each of them the beginning: about a hundred words. What a long tool result says further on is not what the talk is about."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSAFE = re.compile(rb"[^A-Za-z0-9]")
_MAX_TAG = 1_000


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event stands in its session: by time, then by log position."""

    session: str
    timestamp_ms: int


class Upsert(msgspec.Struct, frozen=True, kw_only=True):
    """Write a document. `version` is the log position it comes from; a document of a newer version stays as it is.

    With a `turn` it gets a place in its session: two more fields name what was said before it, and follow what comes in later.
    """

    kind: Kind
    scope_path: str
    id: str
    version: int
    fields: dict[str, Value]
    turn: Turn | None = None


class Amend(msgspec.Struct, frozen=True, kw_only=True):
    """Change a memory's document that has the text of the record already, so that its vector and words stay as they are."""

    kind: Kind = "memory"
    scope_path: str
    id: str
    version: int
    tenant: str
    record: MemoryRecord


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a document, and refuse older ones that arrive later."""

    kind: Kind
    scope_path: str
    id: str
    version: int


class Revise(msgspec.Struct, frozen=True, kw_only=True):
    """Write all that is found of a node of the table of contents, in one step: its own document and its grips', in place of those
    that it had. Without documents the node is gone, and older ones that arrive later are refused.
    """

    kind: Kind = "contents"
    scope_path: str
    id: str
    version: int
    documents: tuple[Upsert, ...] = ()


Write = Upsert | Amend | Delete | Revise


def memory_document(record: MemoryRecord, tenant: str, version: int, vector: bytes) -> Upsert:
    """The document of a long-term memory. `vector` is little-endian float32. Its key knows the tenant only: the rest may change."""
    fields = {**_about(record, tenant), **searchable(record.text), "record": encode(record), "vector": vector}
    return Upsert(kind="memory", scope_path=memory_scope(tenant), id=record.id, version=version, fields=fields)


def memory_amendment(record: MemoryRecord, tenant: str, version: int) -> Amend:
    """The change of a memory's document where its text stays."""
    return Amend(scope_path=memory_scope(tenant), id=record.id, version=version, tenant=tenant, record=record)


def amended(write: Amend) -> tuple[bytes, int, dict[str, Value], list[str]]:
    """The record, how much of it says what its text is, the other fields, and those that the document must not have."""
    record, fields = encode(write.record), _about(write.record, write.tenant)
    # Id and text come first; within them a quotation mark is escaped.
    return record, record.index(b',"session_id":'), fields, [name for name in _OPTIONAL if name not in fields]


_OPTIONAL = ("namespace", "user_id", "session_id", "topics", "entities", "event_date")


def _about(record: MemoryRecord, tenant: str) -> dict[str, Value]:
    """What a memory's document says beside its text."""
    fields: dict[str, Value] = {
        "tenant": tag(tenant),
        "memory_type": tag(record.memory_type),
        "extraction_strategy": tag(record.extraction_strategy),
        "created_at": micros(record.created_at),
        "last_accessed": micros(record.last_accessed),
        "pinned": int(record.pinned),
        "listing": listing_order(record.created_at, record.id),
    }
    for name, one in (("namespace", record.namespace), ("user_id", record.user_id), ("session_id", record.session_id)):
        if one is not None:
            fields[name] = tag(one)
    for name, many in (("topics", record.topics), ("entities", record.entities)):
        if many:
            fields[name] = SEPARATOR.join(tag(value) for value in many)
    if record.event_date is not None:
        fields["event_date"] = micros(record.event_date)
    return fields


def timeline_document(event: TimelineEvent, scope: Scope, version: int, vector: bytes) -> Upsert:
    """The document of a timeline event. Events whose text has no words are not searchable: see `has_words`."""
    fields: dict[str, Value] = {
        "scope": tag(scope.path),
        "session_id": tag(event.session_id),
        "event_type": tag(event.event_type),
        "role": tag(event.role),
        "timestamp_ms": event.timestamp_ms,
        **searchable(event.text),
        "record": encode(event),
        "vector": vector,
    }
    turn = Turn(session=tag(event.session_id), timestamp_ms=event.timestamp_ms)
    return Upsert(kind="timeline", scope_path=scope.path, id=event.event_id, version=version, fields=fields, turn=turn)


def context(before: Sequence[tuple[str, str]]) -> dict[str, Value]:
    """What an event's document says of the events before it, given as (id, stems), oldest first: as `lua/turn.lua` writes it."""
    nearest = list(before)[-CONTEXT_EVENTS:]
    if not nearest:
        return {}
    return {"previous": nearest[-1][0], "before": " ".join(beginning(stems) for _, stems in nearest)}


def beginning(stems: str) -> str:
    """The first stems of an event, as much as others are found by."""
    encoded = stems.encode()
    return stems if len(encoded) <= CONTEXT_BYTES else encoded[:CONTEXT_BYTES].rpartition(b" ")[0].decode()


def memory_scope(tenant: str) -> str:
    """Scope path of a tenant's memories in document keys."""
    return escape(tenant)


def has_words(text: str) -> bool:
    """Whether a text is worth a search document."""
    return bool(text.strip())


def searchable(text: str) -> dict[str, Value]:
    """A text as the index keeps it: its words, for what is quoted, and their stems, for everything else."""
    found = words(text[:INDEXED_CHARACTERS])
    return {"text": " ".join(found), "stems": " ".join(map(stem, found))}


@lru_cache(maxsize=16_384)
def tag(value: str) -> str:
    """A value as a TAG: letters and digits only, so that no query ever needs quoting; any string, the empty one too, is told
    apart from any other, and a prefix of the value is a prefix of the tag. Beyond 1,000 characters a digest stands for the rest.
    """
    encoded = prefix(value)
    if len(encoded) <= _MAX_TAG:
        return encoded
    return f"{encoded[:_MAX_TAG]}_h{hashlib.sha256(value.encode()).hexdigest()}"


def prefix(value: str) -> str:
    """What the tags of all values that start with `value` start with (for values of up to 1,000 characters once encoded)."""
    # The leading letter keeps the empty string indexable and every prefix above the index's minimum of two characters.
    return "v" + _UNSAFE.sub(lambda found: b"_%02X" % found[0][0], value.encode()).decode()


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC; a time without a zone is UTC. The index keeps them exactly from 1684 to 2255."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def listing_order(created_at: datetime, document_id: str) -> str:
    """Sort key of a listing: newest first, then by id."""
    return f"{(1 << 63) - 1 - micros(created_at):016x}{document_id}"
