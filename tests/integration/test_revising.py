"""What is written about the table of contents: by the texts themselves or a model, once, and again when something changes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.events import NodeRevised
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.toc import TocNode
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.said import SaidReader
from agent_memory.readmodels import due
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer.revising import Revising
from agent_memory.summarizer.revisions import Revisions
from agent_memory.summarizer.vectors import KnownVectors
from support.controls import wait_until
from support.small_system import SmallSystem
from support.stub_model import StubModel, Trouble, stub_model
from support.view_worker import pump

NOON = 1_769_774_400_000
MINUTE = 60_000
TEXTS = (
    "We move the booking database from MySQL to Postgres before the summer season begins.",
    "The migration needs a rehearsal on a staging server with a copy of all bookings.",
    "The rehearsal found 37 double bookings of the same seat on two sailings.",
)

_BULLET = {"text": "37 double bookings", "quotes": [{"event": 3, "quote": "37 double bookings"}]}
ANSWER = msgspec.json.encode(
    {"title": "Booking rehearsal", "summary": "It found faults.", "bullets": [_BULLET], "keywords": ["rehearsal"]}
).decode()


class Desk:
    """A system whose commands are heard, and a worker that writes."""

    def __init__(self, system: SmallSystem, model_url: str, stack: AsyncExitStack) -> None:
        self.system = system
        self.connections = Connections(system.database_url)
        stack.push_async_callback(self.connections.close)
        model = create_completer(Settings(openai_api_base=model_url, generation_model="stub")) if model_url else None
        journal = None if model is None else Journal(model, CompletionStore(self.connections))
        if journal is not None:
            stack.push_async_callback(journal.close)
        self.toc = TableOfContents(system.redis)
        vectors = KnownVectors(system.embedder, EmbeddingStore(self.connections))
        self.made = Revisions(system.redis, self.toc, SaidReader(self.connections), journal, vectors, models_at_once=2)
        commands = Commanding(system.redis, system.log, "desk")
        self.worker = Revising(system.redis, self.made, commands, system.log.head, at_once=8)

    async def say(self, *told: tuple[str, int], session: str = "talk") -> None:
        """Messages by text and minute after noon."""
        events = [
            TimelineEvent(event_id=f"{session}-{minute}", session_id=session, timestamp_ms=NOON + minute * MINUTE, text=text)
            for text, minute in told
        ]
        await self.system.send(RecordEvents(events=events))
        await self.system.catch_up()

    async def write(self) -> None:
        """Have everything seen to that waits."""

        async def nothing_waits() -> bool:
            now = 2**45
            await due.hasten(self.system.redis, "segments", 1, until_ms=now)
            await due.hasten(self.system.redis, "periods", 1, until_ms=now)
            await self.worker.look()
            return not sum((await due.waiting(self.system.redis)).values())

        await wait_until(nothing_waits, "everything that changed is written about", 30)

    async def path(self) -> list[TocNode]:
        """From the year down to the first segment."""
        found = [(await self.toc.years(Scope()))[0]]
        while found[-1].level != "segment":
            found.append((await self.toc.children(Scope(), found[-1].node_id, offset=0, limit=1))[0][0])
        return found

    async def revisions(self) -> list[NodeRevised]:
        """All that was ever written."""
        rows = await self.system.log.after(0, types=["NodeRevised"])
        return [event for row in rows if isinstance(event := decode_event(row.type, row.data), NodeRevised)]


Desks = Callable[..., Desk]


@pytest.fixture
async def stub() -> AsyncIterator[StubModel]:
    async with stub_model(dimensions=64) as provider:
        yield provider


@pytest.fixture
async def desks(database_url: str, redis_url: str) -> AsyncIterator[Desks]:
    system = SmallSystem(database_url, redis_url)
    await system.catch_up()
    enough = asyncio.Event()
    async with AsyncExitStack() as stack:
        pumping = asyncio.create_task(pump(system, enough))
        yield lambda model_url="": Desk(system, model_url, stack)
        enough.set()
        await pumping
    await system.close()


def told() -> list[tuple[str, int]]:
    return [(text, minute) for minute, text in enumerate(TEXTS)]


async def test_every_level_is_written_about_and_keeps_the_grips_of_what_it_quotes(desks: Desks) -> None:
    desk: Desk = desks()
    await desk.say(*told())
    await desk.write()
    path = await desk.path()
    assert [node.version for node in path] == [2] * 5
    assert all(node.summary and node.keywords and node.bullets for node in path)
    texts = {f"talk-{minute}": text for minute, text in enumerate(TEXTS)}
    for node in path:
        for grip_id in (one for bullet in node.bullets for one in bullet.grip_ids):
            grip = await desk.toc.grip(Scope(), grip_id)
            assert grip is not None
            assert " ".join(texts[span.event_id][span.start : span.end] for span in grip.spans) == grip.excerpt


async def test_what_did_not_change_is_not_written_about_again(desks: Desks) -> None:
    desk: Desk = desks()
    await desk.say(*told())
    await desk.write()
    before = len(await desk.revisions())
    await desk.system.redis.flushall()
    await desk.system.catch_up()
    await desk.write()
    assert len(await desk.revisions()) == before


async def test_what_comes_late_is_written_about_with_the_levels_above(desks: Desks) -> None:
    desk: Desk = desks()
    await desk.say(*told())
    await desk.say(("A quiet evening with nothing but rain and a book about lighthouses in Norway.", 600), session="other")
    await desk.write()
    before = {node.node_id: node.version for node in await desk.path()}
    await desk.say(("A late note: the exclusion constraint refuses the same seat twice.", -3))
    await desk.write()
    after = {node.node_id: node.version for node in await desk.path()}
    assert after.keys() == before.keys()
    assert all(after[node_id] > version for node_id, version in before.items())


async def test_a_segment_that_a_late_event_joins_to_another_is_gone(desks: Desks) -> None:
    desk: Desk = desks()
    await desk.say((TEXTS[0], 0), (TEXTS[1], 50))
    await desk.write()
    await desk.say((TEXTS[2], 25))
    await desk.write()
    day = (await desk.path())[3]
    assert (len(day.child_node_ids), day.events) == (1, 3)
    assert [one.revision.gone for one in await desk.revisions() if one.revision.level == "segment"].count(True) == 1


async def test_an_answer_of_no_use_is_asked_for_three_times_and_then_the_texts_speak(desks: Desks, stub: StubModel) -> None:
    stub.reply = "no JSON at all"
    desk: Desk = desks(stub.base_url)
    await desk.say(*told())
    await desk.write()
    assert {one.revision.made_by for one in await desk.revisions()} == {"extractive"}
    assert len(stub.requests) == 3 * 5


async def test_what_a_model_writes_is_recorded_with_what_it_took(desks: Desks, stub: StubModel) -> None:
    stub.reply = ANSWER
    desk: Desk = desks(stub.base_url)
    await desk.say(*told())
    await desk.write()
    segment = (await desk.path())[-1]
    made = {one.revision.level: one for one in await desk.revisions()}["segment"]
    assert (segment.title, made.revision.made_by, made.use.model != "") == ("Booking rehearsal", "model", True)


async def test_a_provider_that_is_away_is_waited_for(desks: Desks, stub: StubModel) -> None:
    stub.trouble = Trouble(mode="500", retry_after="0")
    desk = desks(stub.base_url)
    await desk.say(*told())
    await due.hasten(desk.system.redis, "segments", 1, until_ms=2**45)
    assert await desk.worker.look() == 1
    assert await desk.revisions() == []
    assert (await due.waiting(desk.system.redis))["segments"] == 1
    stub.trouble = Trouble()
    await desk.write()
    assert all(node.summary for node in await desk.path())


async def test_what_was_asked_before_a_worker_died_is_paid_once_and_recorded_once(desks: Desks, stub: StubModel) -> None:
    stub.reply = ANSWER
    desk = desks(stub.base_url)
    await desk.say(*told())
    node_id = (await desk.path())[-1].node_id
    # One has its answer and never gets to record it.
    assert await desk.made.revision(Scope(), node_id, await desk.made.read([(Scope(), node_id)])) is not None
    assert len(stub.charged) == 1
    await due.hasten(desk.system.redis, "segments", 1, until_ms=2**45)
    await desks(stub.base_url).worker.look()
    assert len(stub.charged) == 1
    assert [one.revision.title for one in await desk.revisions()] == ["Booking rehearsal"]


async def test_two_workers_write_one_revision(desks: Desks) -> None:
    desk, other = desks(), desks()
    await desk.say(*told())
    node_id = (await desk.path())[-1].node_id
    both = [await one.made.revision(Scope(), node_id, await one.made.read([(Scope(), node_id)])) for one in (desk, other)]
    assert both[0] == both[1] is not None
    await asyncio.gather(desk.write(), other.write())
    assert [node.version for node in await desk.path()][-1] == 2
