"""A year of conversations, straight into the log as ingest appends it; on request with what was written about each segment."""

from collections.abc import Iterator

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import EventRecorded, NodeRevised
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import node_stream, session_stream
from agent_memory.contracts.toc import Revision
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.rows import Batch, NewEvent, SessionRow
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels.cutting import cut, member
from agent_memory.summarizer.domain import said, segment_revision
from agent_memory.summarizer.drafting import draft_segment
from bench.texts import Texts
from bench.workloads import YEAR_MS, YEAR_START_MS

STRETCH, STRETCHES = 22, 2
"""Messages of a segment, and segments of a session."""
SESSION = STRETCH * STRETCHES
STEP_MS, PAUSE_MS = 20_000, 45 * 60_000
"""Between messages, and between the stretches of a session."""
AT_ONCE = 500


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """So many messages, evenly over the year 2025, in one scope; equal seeds give equal conversations."""

    seed: int
    namespace: str
    events: int

    @property
    def scope(self) -> Scope:
        """Whose year it is."""
        return Scope(namespace=self.namespace)

    def sessions(self) -> Iterator[list[TimelineEvent]]:
        """Session by session, in order of time."""
        texts, count = Texts(self.seed), max(1, self.events // SESSION)
        for number in range(count):
            began = YEAR_START_MS + YEAR_MS * number // count
            name = f"{self.namespace}-{number:06}"
            yield [
                TimelineEvent(
                    event_id=f"{name}-{at:02}",
                    session_id=name,
                    timestamp_ms=began + at * STEP_MS + at // STRETCH * PAUSE_MS,
                    event_type="assistant_message" if at % 2 else "user_message",
                    role="assistant" if at % 2 else "user",
                    text=texts.message(),
                )
                for at in range(SESSION)
            ]


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """What a year was in the log: head of it, and the ids by which it can be read."""

    position: int
    events: int
    segments: list[str] = []
    grips: list[str] = []


async def seed(database_url: str, year: Year, *, written: bool) -> Seeded:
    """Appends a year, in batches. `written`: with an extractive revision of each segment, as the summarizer would record it
    where no vectors are to be had; what stands above is left to be written.
    """
    connections = Connections(database_url, size=1, longest=None)
    store, position, count = EventStore(connections), 0, 0
    segments: list[str] = []
    grips: list[str] = []
    batch = Batch()

    async def flush() -> int:
        rows = len(batch.events)
        first = await store.append(batch, YEAR_START_MS + YEAR_MS) if rows else position
        batch.events, batch.sessions = [], []
        return first + rows - 1

    for events in year.sessions():
        stream = session_stream(year.scope, events[0].session_id)
        row = SessionRow(
            stream=stream,
            scope=year.scope,
            session_id=events[0].session_id,
            version=len(events),
            alive=False,
            first_event=len(batch.events) + 1,
        )
        batch.sessions.append(row)
        batch.events += [_recorded(year.scope, stream, version, event) for version, event in enumerate(events, 1)]
        count += len(events)
        if written:
            for revision in _revisions(stream, events):
                segments.append(revision.node_id)
                grips += [grip.grip_id for grip in revision.grips]
                batch.events.append(_revised(year.scope, revision))
        if len(batch.events) >= AT_ONCE:
            position = await flush()
    position = await flush()
    await connections.close()
    return Seeded(position=position, events=count, segments=segments, grips=grips)


def _revisions(stream: str, events: list[TimelineEvent]) -> Iterator[Revision]:
    by_id = {event.event_id: event for event in events}
    for segment in cut(stream, [member(version, event) for version, event in enumerate(events, 1)]):
        told = said(segment.members, by_id)
        yield segment_revision(segment, events[0].session_id, draft_segment(told, None), told)


def _recorded(scope: Scope, stream: str, version: int, event: TimelineEvent) -> NewEvent:
    return NewEvent(
        stream=stream,
        version=version,
        type=EventRecorded.__name__,
        scope=scope,
        data=encode(EventRecorded(event=event)),
        event_id=event.event_id,
        timestamp_ms=event.timestamp_ms,
    )


def _revised(scope: Scope, revision: Revision) -> NewEvent:
    return NewEvent(
        stream=node_stream(scope, revision.node_id),
        version=1,
        type=NodeRevised.__name__,
        scope=scope,
        data=encode(NodeRevised(revision=revision)),
    )
