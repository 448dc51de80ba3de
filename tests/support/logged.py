"""Envelopes of a log that a test makes up: positions and versions are given out as the log would."""

from collections import Counter

import msgspec

from agent_memory.contracts import codec
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import AnyEvent, EventRecorded
from agent_memory.contracts.records import EventType, Scope, TimelineEvent
from agent_memory.contracts.streams import session_stream


class MadeUpLog:
    """Appends events and keeps them, oldest first."""

    def __init__(self) -> None:
        self.envelopes: list[EventEnvelope] = []
        self._versions: Counter[str] = Counter()

    def append(self, stream: str, event: AnyEvent, scope: Scope) -> EventEnvelope:
        self._versions[stream] += 1
        envelope = EventEnvelope(
            position=len(self.envelopes) + 1,
            stream=stream,
            version=self._versions[stream],
            type=type(event).__name__,
            scope=scope,
            recorded_ms=0,
            data=msgspec.Raw(codec.encode(event)),
        )
        self.envelopes.append(envelope)
        return envelope

    def said(
        self,
        timestamp_ms: int,
        session: str = "s",
        *,
        text: str = "hello",
        scope: Scope | None = None,
        kind: EventType = "user_message",
    ) -> EventEnvelope:
        scope = scope or Scope()
        event_id = f"{session}-{len(self.envelopes) + 1}"
        event = TimelineEvent(event_id=event_id, session_id=session, timestamp_ms=timestamp_ms, event_type=kind, text=text)
        return self.append(session_stream(scope, session), EventRecorded(event=event), scope)

    async def stream(self, stream: str) -> list[EventEnvelope]:
        return [envelope for envelope in self.envelopes if envelope.stream == stream]
