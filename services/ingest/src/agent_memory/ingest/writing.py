"""What one transaction writes and what is told about it afterwards, gathered decision by decision. Pure."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.envelope import CommandEnvelope, EventEnvelope
from agent_memory.contracts.errors import Conflict, Fault
from agent_memory.contracts.replies import AnyReply, Failed
from agent_memory.eventlog.relay import Published
from agent_memory.eventlog.rows import Batch, CommandOutcome, NewEvent, SessionRow
from agent_memory.ingest.domain import session_id_of, timeline_key
from agent_memory.ingest.facts import Decision, Emitted, Facts, Request, session_streams
from agent_memory.ingest.loading import due_snapshot
from agent_memory.ingest.views import view_write
from agent_memory.readmodels.sessions import ViewWrite


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept with each event: which command, which request, which trace."""

    causation_id: str
    correlation_id: str = ""
    traceparent: str = ""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """How one command ends if the batch is written. `last_event` is an index into the batch's events, -1 for none."""

    entry_id: bytes
    reply: AnyReply
    last_event: int = -1
    event_types: Mapping[str, int] = {}


class Plan(msgspec.Struct, kw_only=True):
    """A batch in the making. `quiet`: sessions that were asked about but not changed, with the version they were taken to be at."""

    batch: Batch = msgspec.field(default_factory=Batch)
    views: list[ViewWrite] = []
    planned: list[Planned] = []
    causes: list[Cause] = []
    quiet: dict[str, int] = {}
    touched: dict[str, Emitted] = {}
    first_events: dict[str, int] = {}

    def add(self, entry_id: bytes, envelope: CommandEnvelope, request: Request, decision: Decision, facts: Facts) -> None:
        """Takes a decision in."""
        cause = Cause(envelope.id, envelope.correlation_id, envelope.traceparent)
        metadata = encode(cause)
        by_session: dict[str, list[Emitted]] = {}
        for emitted in decision.events:
            self.batch.events.append(_row(emitted, metadata))
            self.causes.append(cause)
            if emitted.stream in decision.touched:
                self.first_events.setdefault(emitted.stream, len(self.batch.events))
                by_session.setdefault(emitted.stream, []).append(emitted)
        for stream, emitted_here in by_session.items():
            self.touched[stream] = emitted_here[-1]
            session, was_alive = facts.sessions[stream], decision.touched[stream]
            write = view_write(stream, emitted_here, request.command, session, was_alive=was_alive, now_ms=request.now_ms)
            if write is not None:
                self.views.append(write)
        for stream in session_streams(request):
            if stream not in decision.touched:
                self.quiet.setdefault(stream, facts.sessions[stream].version)
        self.batch.commands.append(_outcome(envelope, decision.reply, len(self.batch.events)))
        self.planned.append(
            Planned(
                entry_id=entry_id,
                reply=decision.reply,
                last_event=len(self.batch.events) - 1 if decision.events else -1,
                event_types=Counter(type(emitted.event).__name__ for emitted in decision.events),
            )
        )

    def refuse(self, entry_id: bytes, fault: Fault) -> None:
        """A command that ends without a trace in the log."""
        self.planned.append(Planned(entry_id=entry_id, reply=Failed(fault=fault)))

    @property
    def lost_races(self) -> bool:
        """Whether a command was refused because of what somebody else did."""
        return any(isinstance(one.reply, Failed) and one.reply.fault.name == Conflict.__name__ for one in self.planned)

    def finish(self, facts: Facts) -> None:
        """Adds what is written once per session, however many commands changed it."""
        for stream, last in self.touched.items():
            session = facts.sessions[stream]
            self.quiet.pop(stream, None)
            self.batch.sessions.append(
                SessionRow(
                    stream=stream,
                    scope=last.scope,
                    session_id=session_id_of(last.event),
                    version=session.version,
                    alive=session.alive,
                    expires_ms=session.expires_ms,
                    first_event=self.first_events[stream],
                )
            )
            if snapshot := due_snapshot(stream, session):
                self.batch.snapshots.append(snapshot)
        self.batch.claims = facts.claims.changes()

    def published(self, first: int, recorded_ms: int) -> list[Published]:
        """The events of the batch as they go on the bus, once it is written at position `first` and on."""
        return [
            Published(position, event.type, encode(_envelope(position, event, cause, recorded_ms)))
            for position, (event, cause) in enumerate(zip(self.batch.events, self.causes, strict=True), start=first)
        ]


def _row(emitted: Emitted, metadata: bytes) -> NewEvent:
    event_id, timestamp_ms = timeline_key(emitted.event)
    return NewEvent(
        stream=emitted.stream,
        version=emitted.version,
        type=type(emitted.event).__name__,
        scope=emitted.scope,
        data=encode(emitted.event),
        metadata=metadata,
        event_id=event_id,
        timestamp_ms=timestamp_ms,
    )


def _envelope(position: int, event: NewEvent, cause: Cause, recorded_ms: int) -> EventEnvelope:
    return EventEnvelope(
        position=position,
        stream=event.stream,
        version=event.version,
        type=event.type,
        scope=event.scope,
        recorded_ms=recorded_ms,
        data=msgspec.Raw(event.data),
        correlation_id=cause.correlation_id,
        causation_id=cause.causation_id,
        traceparent=cause.traceparent,
    )


def _outcome(envelope: CommandEnvelope, reply: AnyReply, position: int) -> CommandOutcome:
    return CommandOutcome(
        id=envelope.id,
        tenant=envelope.scope.tenant,
        outcome=encode(reply),
        idempotency_key=envelope.idempotency_key or None,
        fingerprint=envelope.fingerprint,
        position=position,
    )
