"""What was recorded in the past shows the same today: in its old shape, and when replicas of two versions project it together."""

import asyncio
from collections.abc import Iterable
from typing import Any, get_args

import msgspec
import pytest

from agent_memory.contracts.codec import decode_json, encode, known_types
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.streams import PROJECTIONS
from agent_memory.contracts.upcasters import UPCASTERS, Upcaster
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.sessions import fold
from support.golden import SCOPE, SESSION, STREAMS, first_versions, golden_events, logged
from support.servers import Servers, flush, fresh_database
from support.small_system import SmallSystem

Shape = tuple[str, str, Upcaster]
"""The tag of today, that of the past, and how the one becomes the other."""

ONCE: tuple[Shape, ...] = (
    ("EventRecorded", "WordSaid", Upcaster("EventRecorded", lambda old: {"event": old["said"]})),
    ("MemoryStored", "MemoryKept", Upcaster("MemoryStored", lambda old: {"record": old["said"], "sequence": 7})),
    ("MemoryEdited", "MemoryRewritten", Upcaster("MemoryEdited", lambda old: {**old["said"], "sequence": 7})),
    ("WorkingMemoryReplaced", "DocumentPut", Upcaster("WorkingMemoryReplaced", lambda old: old["said"])),
    ("NodeRevised", "NodeWritten", Upcaster("NodeRevised", lambda old: {"revision": old["said"]})),
    ("JobFinished", "JobOver", Upcaster("JobEnded", lambda old: {"done": old["said"]})),
)
"""Shapes that there never were: as if today's were the second version of these events. The last one goes by two steps."""
NESTED = {"EventRecorded": "event", "MemoryStored": "record", "NodeRevised": "revision"}
SHOWING = ("memory index", "timeline index", "contents index", "contents", "duplicates", "jobs", "session-work")
"""Views that hold something when every event has happened once."""
HIDDEN = frozenset(name for name, _, _ in ONCE) | {"MemoryForgotten", "TaskChanged"}


def test_every_event_has_a_place_in_the_golden_log() -> None:
    assert set(STREAMS) == {kind.__name__ for kind in get_args(AnyEvent)} == set(first_versions())


def past(envelope: EventEnvelope) -> EventEnvelope:
    """The event in the shape that it would have had."""
    for today, once, _ in ONCE:
        if envelope.type == today:
            data: dict[str, Any] = decode_json(envelope.data)
            said = data[NESTED[today]] if today in NESTED else {key: value for key, value in data.items() if key != "type"}
            body = msgspec.Raw(encode({"type": once, "said": said}))
            return msgspec.structs.replace(envelope, type=once, data=body)
    return envelope


def written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that reads those shapes."""
    for _, once, step in ONCE:
        monkeypatch.setitem(UPCASTERS, once, step)  # type: ignore[arg-type]
    monkeypatch.setitem(UPCASTERS, "JobEnded", Upcaster("JobFinished", lambda old: old["done"]))  # type: ignore[arg-type]


async def recorded(system: SmallSystem, events: Iterable[EventEnvelope]) -> None:
    await EventStore(system.connections).append(logged(events), 5)


async def digests(system: SmallSystem) -> dict[str, str]:
    """Of every view, as it is; that it is what the log says, too."""
    found = (await system.examined())[4].digests
    assert {name: live for name, (_, live) in found.items()} == {name: wanted for name, (wanted, _) in found.items()}
    session = encode(await fold(system.log, SESSION, SCOPE))
    return {name: live for name, (_, live) in found.items()} | {"the session, folded": session.decode()}


@pytest.fixture(scope="module")
def today(servers: Servers) -> dict[str, str]:
    """What the golden events show, in the first shape that each was written in."""

    async def shown(database_url: str) -> dict[str, str]:
        system = SmallSystem(database_url, servers.redis_url)
        await recorded(system, first_versions().values())
        await system.catch_up()
        found = await digests(system)
        await system.close()
        return found

    flush(servers.redis_url)
    with fresh_database(servers) as database_url:
        found = asyncio.run(shown(database_url))
    assert all(int(found[view], 16) for view in SHOWING)
    return found


async def test_events_in_an_old_shape_show_what_they_show_in_todays(
    database_url: str, redis_url: str, today: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written_once(monkeypatch)
    system = SmallSystem(database_url, redis_url)
    old = [past(envelope) for envelope in first_versions().values()]
    assert {envelope.type for envelope in old} >= {once for _, once, _ in ONCE}
    await recorded(system, old)
    await system.catch_up()
    assert await digests(system) == today
    await system.close()


async def test_the_newest_golden_shape_of_every_event_shows_what_the_first_one_does(
    database_url: str, redis_url: str, today: dict[str, str]
) -> None:
    system = SmallSystem(database_url, redis_url)
    await recorded(system, golden_events().values())
    await system.catch_up()
    assert await digests(system) == today
    await system.close()


async def test_what_an_old_replica_of_every_view_passed_over_is_there_once_a_new_one_runs(
    database_url: str, redis_url: str, today: dict[str, str]
) -> None:
    old = SmallSystem(database_url, redis_url, known=known_types() - HIDDEN)
    await recorded(old, first_versions().values())
    await old.catch_up()
    assert {await Ledger(old.redis, name).checkpoint() for name in PROJECTIONS} == {len(STREAMS)}
    assert {await Ledger(old.redis, name).count_waiting() for name in PROJECTIONS} == {len(HIDDEN)}
    new = SmallSystem(database_url, redis_url)
    for runner in new.runners:
        await runner.take_up_waiting()
    assert await digests(new) == today
    assert (await new.examined())[3].examples == []
    await old.close()
    await new.close()
