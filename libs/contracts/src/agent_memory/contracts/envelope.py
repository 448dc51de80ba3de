"""What surrounds a command or an event: identity, tenant, cause and trace. Apart from the payload, so either can change alone."""

import msgspec

from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.records import Scope


class CommandEnvelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command on the bus.

    `id` takes effect once. `idempotency_key` is the caller's own id for the request and `fingerprint` the hash of what was
    asked, so that one key cannot stand for two requests. `reply_to` is the channel of the waiting gateway, empty when nobody
    waits. Times are UTC milliseconds.
    """

    id: str
    scope: Scope
    issued_ms: int
    command: AnyCommand
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    reply_to: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""


class EventEnvelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event in the log and on the bus, where its stream id is `<position>-0`.

    `data` is the event's JSON; it stays raw until someone asks, because most readers want few of the types.
    """

    position: int
    stream: str
    version: int
    type: str
    scope: Scope
    recorded_ms: int
    data: msgspec.Raw
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
