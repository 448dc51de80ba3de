"""Commands through ingest on real Postgres and Redis."""

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_reply, encode
from agent_memory.contracts.commands import AppendMessages, DeleteWorkingMemory, RecordEvents, ReplaceWorkingMemory
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.queries import GetEvents
from agent_memory.contracts.records import Message, Scope, TimelineEvent
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import DEAD_LETTERS, session_stream
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest.handlers import Ingest
from agent_memory.readmodels.sessions import SessionReader, assembled, fold, view_of
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry

SCOPE = Scope()


class Bench:
    """Ingest with its real stores; commands go straight into its handler, as the bus would hand them over."""

    def __init__(self, database_url, redis):
        self.connections = Connections(database_url)
        self.reader = LogReader(self.connections)
        self.redis = redis
        self.sessions = SessionReader(redis, self.reader)
        self.database_url = database_url
        self.sequence = 1_000
        self.ingest = self.another()

    def another(self):
        return Ingest(EventStore(self.connections), self.redis, Relay(self.database_url, self.reader, self.redis))

    async def send(self, *commands, ingest=None, key="", deliveries=1, ids=None, heard=True) -> list[ReplyEnvelope]:
        pubsub = self.redis.pubsub()
        await pubsub.subscribe("am:replies:test")
        await pubsub.get_message(timeout=60)
        entries = []
        for number, command in enumerate(commands):
            self.sequence += 1
            envelope = CommandEnvelope(
                id=ids[number] if ids else f"c{self.sequence}",
                scope=SCOPE,
                issued_ms=1,
                command=command,
                reply_to="test",
                idempotency_key=key,
                fingerprint="f",
            )
            entries.append(Entry(f"{self.sequence}-0".encode(), {b"__data__": encode(envelope)}, deliveries))
        await (ingest or self.ingest).handle(entries)
        replies = []
        while heard and len(replies) < len(commands):
            message = await pubsub.get_message(timeout=60, ignore_subscribe_messages=True)
            if message:
                replies.append(decode_reply(message["data"]))
        await pubsub.aclose()
        return replies

    async def view_equals_log(self, session_id):
        stream = session_stream(SCOPE, session_id)
        shown = await self.sessions.read(SCOPE, session_id)
        write = view_of(stream, await fold(self.reader, stream, SCOPE))
        assert (None if write.how == "delete" else assembled(write)) == shown
        return shown


@pytest.fixture
async def bench(database_url, redis_url):
    redis = Redis.from_url(redis_url, protocol=2)
    bench = Bench(database_url, redis)
    yield bench
    await bench.connections.close()
    await redis.aclose()


def event(id_, session="s1", text="hello", kind="user_message", at=1):
    return TimelineEvent(event_id=id_, session_id=session, timestamp_ms=at, event_type=kind, text=text)


def message(id_, content="hello", role="user"):
    return Message(id=id_, role=role, content=content, created_at=datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC))


async def test_an_event_is_recorded_once_and_stands_in_working_memory(bench):
    [first] = await bench.send(RecordEvents(events=[event("e1"), event("e2", kind="session_end", text="")]))
    [again] = await bench.send(RecordEvents(events=[event("e1"), event("e3", text="more")]))
    assert first.reply.created == [True, True]
    assert again.reply.created == [False, True]
    page = await bench.reader.timeline(GetEvents(scope=SCOPE))
    assert [e.event_id for _, e in page.events] == ["e1", "e2", "e3"]
    shown = await bench.view_equals_log("s1")
    assert b'"content":"more"' in shown.messages


async def test_a_message_put_into_working_memory_is_on_the_timeline_once(bench):
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("m1"), message("m2")], data={"a": 1}))
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("m1"), message("m2", "edited"), message("m3")]))
    page = await bench.reader.timeline(GetEvents(scope=SCOPE))
    assert [(e.event_id, e.text) for _, e in page.events] == [("m1", "hello"), ("m2", "hello"), ("m3", "hello")]
    shown = await bench.view_equals_log("s1")
    assert b'"content":"edited"' in shown.messages


async def test_the_same_message_id_in_two_sessions_is_two_facts(bench):
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("m1")]))
    [reply] = await bench.send(AppendMessages(session_id="s2", messages=[message("m1"), message("m1")]))
    assert reply.reply.created == [True, False]
    page = await bench.reader.timeline(GetEvents(scope=SCOPE))
    assert sorted(e.event_id for _, e in page.events) == ["m1", "s2:m1"]
    assert b'"id":"m1"' in (await bench.view_equals_log("s2")).messages


async def test_an_older_replacement_never_overwrites_a_newer_one(bench):
    bench.sequence = 5_000
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("new")]))
    bench.sequence = 4_000
    [late] = await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("old")]))
    assert late.reply.superseded
    assert b"old" not in (await bench.view_equals_log("s1")).messages
    assert [e.event_id for _, e in (await bench.reader.timeline(GetEvents(scope=SCOPE))).events] == ["new", "old"]


async def test_a_command_that_was_given_up_keeps_its_place_for_the_day_it_is_replayed(bench):
    bench.sequence = 4_000
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("old")]), deliveries=99, heard=False)
    ((_, letter),) = await bench.redis.xrange(DEAD_LETTERS)
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("new")]))
    replayed = Entry(b"9000-0", {b"__data__": letter[b"__data__"], b"sequence": letter[b"sequence"]})
    await bench.ingest.handle([replayed])
    assert b"old" not in (await bench.view_equals_log("s1")).messages


async def test_a_redelivered_command_takes_effect_once_and_is_answered_again(bench):
    command = AppendMessages(session_id="s1", messages=[message("m1")])
    [first] = await bench.send(command, ids=["same"])
    [second] = await bench.send(command, ids=["same"], deliveries=2)
    [unaware] = await bench.send(command, ids=["same"], ingest=bench.another())
    assert first == second == unaware
    assert await bench.reader.head() == 1


async def test_an_idempotency_key_takes_effect_once_even_twice_in_one_batch(bench):
    command = AppendMessages(session_id="s1", messages=[message("m1")])
    replies = await bench.send(command, command, key="k")
    assert replies[0].reply == replies[1].reply
    assert await bench.reader.head() == 1


async def test_two_replicas_that_remember_different_things_agree_through_the_log(bench):
    other = bench.another()
    await bench.send(AppendMessages(session_id="s1", messages=[message("m1")]))
    await bench.send(AppendMessages(session_id="s1", messages=[message("m2")]), ingest=other)
    await bench.send(AppendMessages(session_id="s1", messages=[message("m3")]))
    await bench.send(DeleteWorkingMemory(session_id="s1"), ingest=other)
    assert await bench.view_equals_log("s1") is None
    await bench.send(AppendMessages(session_id="s1", messages=[message("m1"), message("m4")]))
    shown = await bench.view_equals_log("s1")
    assert shown.messages.count(b'"id"') == 2


async def test_two_replicas_that_take_turns_with_a_session_are_contradicted_once_each(bench):
    replicas, retries = [bench.ingest, bench.another()], telemetry.RETRIES.labels("ingest")._value
    before = retries.get()
    for number in range(12):
        [reply] = await bench.send(RecordEvents(events=[event(f"e{number}")]), ingest=replicas[number % 2])
        assert reply.reply.created == [True]
    assert retries.get() - before == 2
    page = await bench.reader.timeline(GetEvents(scope=SCOPE))
    assert sorted(found.event_id for _, found in page.events) == sorted(f"e{number}" for number in range(12))
    assert (await bench.view_equals_log("s1")).messages.count(b'"id"') == 12


async def test_working_memory_comes_back_from_the_log_when_redis_lost_it(bench):
    await bench.send(ReplaceWorkingMemory(session_id="s1", messages=[message("m1")], data={"k": "v"}))
    before = await bench.sessions.read(SCOPE, "s1")
    await bench.redis.flushall()
    assert await bench.sessions.read(SCOPE, "s1") == before
