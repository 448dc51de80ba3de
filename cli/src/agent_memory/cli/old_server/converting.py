"""Sessions and memories of an older server as the events that would have made them here. Pure: the same gives the same again."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from agent_memory.cli.old_server.layout import OldSession, Unreadable
from agent_memory.contracts.bundles import (
    FORMAT,
    VERSION,
    ClaimLine,
    Content,
    EventLine,
    Manifest,
    SessionLine,
    Writer,
    plural,
    without_tenant,
)
from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import Event, EventRecorded, MemoryStored, WorkingMemoryReplaced
from agent_memory.contracts.records import MemoryRecord, Message, Scope, event_of, is_message, message_of, to_milliseconds
from agent_memory.contracts.streams import memory_stream, session_stream

PROVENANCE = msgspec.Raw(b'{"correlation_id":"migrate-memories"}')
TENANT = "default"
"""It stands in no line: whoever imports says whose it becomes."""
SEQUENCE_BITS = 20
"""Places of commands are milliseconds and a counter; whatever is commanded from now on comes later."""

Taken = dict[tuple[str, str], str]
"""(scope path, event id) to the session that has it."""


def session_lines(old: OldSession, taken: Taken) -> list[Content]:
    """What was said in a session, and then its document. Message ids are a session's own, event ids a scope's: the second session
    with an id has it behind its own.
    """
    scope = Scope(tenant=TENANT, namespace=old.namespace, user_id=old.user_id)
    stream, at_ms = session_stream(scope, old.session_id), _recorded_ms(old)
    sequence = max(at_ms << SEQUENCE_BITS, 1)
    events: list[Event] = []
    edits: list[Message] = []
    for message in old.messages:
        event_id = _event_id(message.id, old.session_id, scope.path, stream, taken)
        event = None if event_id is None else event_of(message, old.session_id, event_id)
        if event is not None:
            events.append(EventRecorded(event=event, sequence=sequence))
        if event is None or message_of(event) != message or not is_message(event):
            edits.append(message)
    events.append(
        WorkingMemoryReplaced(
            session_id=old.session_id,
            order=[message.id for message in old.messages],
            edits=edits,
            memories=[msgspec.Raw(encode(memory)) for memory in old.memories],
            data=old.data,
            context=old.context,
            tokens=old.tokens,
            strategy=old.strategy,
            ttl_seconds=old.ttl_seconds,
            created_at=old.created_at,
            updated_at=old.updated_at,
            last_accessed=old.last_accessed,
            sequence=sequence,
        )
    )
    lines: list[Content] = [
        _line(stream, version, event, old.namespace, old.user_id, at_ms) for version, event in enumerate(events, start=1)
    ]
    expires_ms = None if old.ttl_seconds is None else at_ms + old.ttl_seconds * 1_000
    return [*lines, SessionLine(stream=without_tenant(stream), version=len(events), alive=True, expires_ms=expires_ms)]


def memory_lines(record: MemoryRecord, claimed: set[str]) -> list[Content]:
    """A memory, and that it stands for what it says unless another does."""
    at_ms = max(to_milliseconds(record.updated_at)[0], 0)
    event = MemoryStored(record=record, sequence=max(at_ms << SEQUENCE_BITS, 1))
    lines: list[Content] = [_line(memory_stream(TENANT, record.id), 1, event, record.namespace or "", record.user_id or "", at_ms)]
    digest = record.memory_hash or ""
    if digest not in claimed:
        claimed.add(digest)
        lines.append(ClaimLine(memory_hash=digest, memory_id=record.id))
    return lines


class Draft:
    """A bundle in the making: what comes first in it is known when all of it is there."""

    def __init__(self, folder: Path) -> None:
        self._paths = {"events": folder / "events", "sessions": folder / "sessions", "claims": folder / "claims"}
        self._files: dict[str, IO[bytes]] = {}
        self.counts = dict.fromkeys(sorted(self._paths), 0) | {"commands": 0}

    def __enter__(self) -> "Draft":
        self._files = {name: path.open("wb") for name, path in self._paths.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, lines: list[Content]) -> None:
        """Takes lines in, all or none. Raises Unreadable when one cannot be stored."""
        written = [(plural(line), encode(line)) for line in lines]
        if any(b"\\u0000" in line for _, line in written):
            raise Unreadable("it holds a NUL character")
        for name, line in written:
            self._files[name].write(line + b"\n")
            self.counts[name] += 1

    def finish(self, path: Path) -> None:
        """Writes the bundle."""
        writer = Writer()
        with path.open("wb") as out:
            out.write(writer.line(Manifest(format=FORMAT, version=VERSION, counts=self.counts)))
            for line in self._lines():
                out.write(writer.line(line))
            out.write(writer.seal())

    def _lines(self) -> Iterator[Content]:
        decode = msgspec.json.Decoder(Content).decode
        for file in self._files.values():
            file.flush()
        for path in self._paths.values():
            with path.open("rb") as file:
                for line in file:
                    yield decode(line)


def _recorded_ms(old: OldSession) -> int:
    return max(to_milliseconds(old.updated_at)[0], 0)


def _event_id(message_id: str, session_id: str, path: str, stream: str, taken: Taken) -> str | None:
    """Under which id a message is recorded; None when there is none that is free."""
    for event_id in (message_id, f"{session_id}:{message_id}"):
        if taken.setdefault((path, event_id), stream) == stream:
            return event_id
    return None


def _line(stream: str, version: int, event: Event, namespace: str, user_id: str, at_ms: int) -> EventLine:
    return EventLine(
        stream=without_tenant(stream),
        version=version,
        type=type(event).__name__,
        namespace=namespace,
        user_id=user_id,
        recorded_ms=at_ms,
        data=msgspec.Raw(encode(event)),
        metadata=PROVENANCE,
    )
