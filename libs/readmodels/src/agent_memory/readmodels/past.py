"""How things were: memories and sessions as of a time or a log position, and what happened to a memory. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import MemoryEdited, MemoryForgotten, MemoryStored, Merge
from agent_memory.contracts.records import MemoryRecord, ModelUse, to_datetime
from agent_memory.readmodels.session_document import Session, evolve
from agent_memory.readmodels.sessions import SessionDocument, assembled, view_of


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A log position, or a time in UTC milliseconds: one of them."""

    position: int | None = None
    ms: int | None = None

    def covers(self, event: EventEnvelope) -> bool:
        """Whether the event had happened by then."""
        if self.position is not None:
            return event.position <= self.position
        return self.ms is None or event.recorded_ms <= self.ms


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a memory. `at`: when it was recorded; `command_id`: what caused it; `record`: as it was after.

    `merge` has the survivor before and the sources of a merge, whether it was made or taken back.
    """

    position: int
    version: int
    at: datetime
    event: str
    reason: str
    changed: list[str]
    command_id: str
    correlation_id: str
    record: MemoryRecord | None = None
    merge: Merge | None = None
    merged_into: str | None = None
    use: ModelUse | None = None


def memory_as_of(history: Iterable[EventEnvelope], moment: Moment) -> tuple[MemoryRecord, int] | None:
    """A memory as it was, with the position of the event that made it so; None when there was none then."""
    last = None
    for event in history:
        if moment.covers(event):
            last = event
    if last is None:
        return None
    found = decode_event(last.type, last.data)
    return (found.record, last.position) if isinstance(found, MemoryStored | MemoryEdited) else None


def session_as_of(history: Sequence[EventEnvelope], moment: Moment, at_ms: int) -> tuple[SessionDocument, int] | None:
    """A session's working memory as it was, with the position of the last event in it; None when there was none then.

    `at_ms`: the time of the moment, which tells whether the session had expired. What a command changed became visible at once, so
    a position in the middle of its events shows none of it.
    """
    session, position = Session(), 0
    unfinished = {event.causation_id for event in history if not moment.covers(event)} - {""}
    for event in history:
        if moment.covers(event) and event.causation_id not in unfinished:
            evolve(session, decode_event(event.type, event.data), event.scope, event.recorded_ms)
            position = event.position
    if session.document is None or (session.expires_ms is not None and session.expires_ms <= at_ms):
        return None
    return assembled(view_of(history[0].stream, session)), position


def changes(history: Iterable[EventEnvelope]) -> Iterator[Change]:
    """What happened to a memory, oldest first."""
    before: MemoryRecord | None = None
    for envelope in history:
        event = decode_event(envelope.type, envelope.data)
        match event:
            case MemoryStored(record=record, reason=reason):
                changed = _differing(before, record) if before is not None else []
                yield _change(envelope, "stored", reason, changed, record=record)
                before = record
            case MemoryEdited(record=record, reason=reason, changed=changed, merge=merge, use=use):
                yield _change(envelope, "edited", reason, changed, record=record, merge=merge, use=use)
                before = record
            case MemoryForgotten(reason=reason, into=into):
                yield _change(envelope, "forgotten", reason, [], merged_into=into)
                before = None
            case _:
                pass


def owned_by(event: EventEnvelope) -> MemoryRecord | None:
    """The record after an event of a memory; None for one that left none."""
    found = decode_event(event.type, event.data)
    return found.record if isinstance(found, MemoryStored | MemoryEdited) else None


def _change(
    envelope: EventEnvelope,
    event: str,
    reason: str,
    changed: list[str],
    *,
    record: MemoryRecord | None = None,
    merge: Merge | None = None,
    merged_into: str | None = None,
    use: ModelUse | None = None,
) -> Change:
    return Change(
        position=envelope.position,
        version=envelope.version,
        at=to_datetime(envelope.recorded_ms),
        event=event,
        reason=reason,
        changed=changed,
        command_id=envelope.causation_id,
        correlation_id=envelope.correlation_id,
        record=record,
        merge=merge,
        merged_into=merged_into,
        use=use if use is not None and use.model else None,
    )


def _differing(before: MemoryRecord, after: MemoryRecord) -> list[str]:
    return sorted(name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name))
