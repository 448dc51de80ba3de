"""What was said around some words, on real Postgres."""

import random
from collections.abc import AsyncIterator

import pytest

from agent_memory.contracts.codec import encode
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import session_stream
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.neighbours import Around, NeighbourReader
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore

ANA, BEN = Scope(user_id="ana"), Scope(user_id="ben")
ORDER = [(1, "b"), (2, "a"), (2, "ü"), (3, "c"), (3, "d"), (9, "e")]
"""(timestamp_ms, event id) of the session s1, as it is read."""


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[NeighbourReader]:
    """Two sessions of Ana's at the same times, and one of Ben's with the same ids; recorded in no order."""
    said = [(scope, session, at, mark + name) for scope, session, mark in THREE for at, name in ORDER]
    random.Random(7).shuffle(said)
    versions: dict[str, int] = {}
    connections = Connections(database_url)
    for scope, session, at, event_id in said:
        stream = session_stream(scope, session)
        versions[stream] = versions.get(stream, 0) + 1
        event = TimelineEvent(event_id=event_id, session_id=session, timestamp_ms=at, text=f"{scope.user_id} {event_id}")
        new = NewEvent(
            stream=stream,
            version=versions[stream],
            type="EventRecorded",
            scope=scope,
            data=encode(EventRecorded(event=event)),
            event_id=event_id,
            timestamp_ms=at,
        )
        await EventStore(connections).append(Batch(events=[new]), 1)
    yield NeighbourReader(connections)
    await connections.close()


THREE = [(ANA, "s1", ""), (ANA, "s2", "other-"), (BEN, "s1", "")]


def names(found: Around) -> list[list[str]]:
    return [[event.event_id for event in part] for part in (found.before, found.within, found.after)]


@pytest.mark.parametrize(
    ("first", "last", "before", "after", "parts"),
    [
        ("ü", "c", 1, 1, [["a"], ["ü", "c"], ["d"]]),
        ("a", "a", 3, 3, [["b"], ["a"], ["ü", "c", "d"]]),
        ("b", "e", 9, 9, [[], ["b", "a", "ü", "c", "d", "e"], []]),
        ("d", "d", 0, 0, [[], ["d"], []]),
    ],
)
async def test_events_of_a_session_come_in_order_of_time_and_id(
    reader: NeighbourReader, first: str, last: str, before: int, after: int, parts: list[list[str]]
) -> None:
    found = await reader.around(ANA, "s1", first, last, before=before, after=after)
    assert names(found) == parts
    assert {event.text.partition(" ")[0] for part in (found.before, found.within, found.after) for event in part} == {"ana"}


@pytest.mark.parametrize(("first", "last"), [("none", "a"), ("a", "none"), ("other-a", "a"), ("a", "other-a")])
async def test_what_is_not_of_the_session_has_no_neighbours(reader: NeighbourReader, first: str, last: str) -> None:
    assert await reader.around(ANA, "s1", first, last, before=3, after=3) == Around()
    assert await reader.around(Scope(), "s1", "a", "a", before=3, after=3) == Around()
