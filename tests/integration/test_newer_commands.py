"""A command that ingest cannot read: a newer one waits for a newer ingest, whoever sent it is told, nothing goes in silence."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_command, decode_reply, encode
from agent_memory.contracts.commands import AppendMessages
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import NeedsUpgrade, Unavailable
from agent_memory.contracts.records import Message, Scope
from agent_memory.contracts.replies import Failed, ReplyEnvelope, WorkingMemoryChanged
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, DEAD_LETTERS, INGEST_GROUP, replies_channel, session_stream
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.rows import Batch, NewEvent, SessionRow
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest import handlers, unread
from agent_memory.ingest.handlers import Ingest
from agent_memory.ingest.settings import DEFAULTS
from agent_memory.runtime.broker import Entry, ensure_group, make_broker, subscribe
from agent_memory.runtime.settings import Settings
from support.controls import wait_until

SCOPE = Scope()
MESSAGE = Message(role="user", content="hello", id="m1", created_at=datetime(2026, 1, 1, tzinfo=UTC))
COMMAND = AppendMessages(session_id="s1", messages=[MESSAGE])
SENT = CommandEnvelope(id="c1", scope=SCOPE, issued_ms=1, command=COMMAND, reply_to="test")


class Bench:
    """Ingest, the log, and somebody who listens for replies."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.redis_url = redis_url
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.connections = Connections(database_url)
        self.log = LogReader(self.connections)
        self.store = EventStore(self.connections)
        self.ingest = Ingest(self.store, self.redis, Relay(database_url, self.log, self.redis))
        self.replies = self.redis.pubsub()

    async def heard(self) -> ReplyEnvelope:
        """The next reply."""
        found: list[ReplyEnvelope] = []

        async def said() -> bool:
            message = await self.replies.get_message(ignore_subscribe_messages=True, timeout=0.05)
            found.extend([decode_reply(message["data"])] if message else [])
            return bool(found)

        await wait_until(said, "a reply")
        return found[0]

    async def fault(self) -> tuple[str, str]:
        """The name of the fault that the next reply tells, and the id of its command."""
        reply = await self.heard()
        assert isinstance(reply.reply, Failed)
        return reply.reply.fault.name, reply.command_id


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Bench]:
    bench = Bench(database_url, redis_url)
    await ensure_group(bench.redis, COMMANDS, INGEST_GROUP)
    await bench.replies.subscribe(replies_channel("test"))
    yield bench
    await bench.replies.aclose()  # type: ignore[no-untyped-call]
    await bench.connections.close()
    await bench.redis.aclose()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def entry(body: bytes, *, sent_ms: int | None = None, deliveries: int = 1) -> Entry:
    return Entry(b"%d-0" % (sent_ms or now_ms()), {DATA_FIELD.encode(): body}, deliveries)


def of_a_newer_version(sent: CommandEnvelope = SENT) -> bytes:
    return encode(sent).replace(b'"AppendMessages"', b'"AppendThoughts"')


def never_heard_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest as it was before there were appends."""

    def decode(body: bytes) -> CommandEnvelope:
        if b'"AppendMessages"' in body:
            raise msgspec.ValidationError("Invalid value 'AppendMessages' - at `$.command.type`")
        return decode_command(body)

    monkeypatch.setattr(handlers, "decode_command", decode)
    monkeypatch.setattr(unread, "KNOWN", unread.KNOWN - {"AppendMessages"})


async def test_a_newer_command_is_answered_at_once_and_recorded_when_ingest_is_upgraded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_heard_of_it(monkeypatch)
    broker = make_broker(Settings(redis_url=bench.redis_url))
    subscribe(broker, COMMANDS, INGEST_GROUP, "one", bench.ingest.handle, batch=10, claim_after_ms=100)
    await broker.start()
    try:
        await bench.redis.xadd(COMMANDS, {DATA_FIELD: encode(SENT)})
        assert await bench.fault() == ("NeedsUpgrade", "c1")
        assert await bench.fault() == ("NeedsUpgrade", "c1")  # it is claimed, and left again
        assert await bench.log.head() == 0
        monkeypatch.undo()

        async def recorded() -> bool:
            return await bench.log.head() == 1

        await wait_until(recorded, "the command is recorded")
        while isinstance((reply := await bench.heard()).reply, Failed):
            pass
        assert isinstance(reply.reply, WorkingMemoryChanged)

        async def done() -> bool:
            return int(await bench.redis.xlen(COMMANDS)) == 0

        await wait_until(done, "nothing waits")
    finally:
        await broker.stop()
    assert await bench.redis.xlen(DEAD_LETTERS) == 0


async def test_it_is_chance_who_finds_what_was_left_first(bench: Bench) -> None:
    for number in range(20):
        await bench.redis.xadd(COMMANDS, {DATA_FIELD: of_a_newer_version(msgspec.structs.replace(SENT, id=f"c{number}"))})
    [[_, found]] = await bench.redis.xreadgroup(INGEST_GROUP, "old", {COMMANDS: ">"})
    await bench.ingest.handle([Entry(id_, fields) for id_, fields in found])
    left = await bench.redis.xpending_range(COMMANDS, INGEST_GROUP, min="-", max="+", count=100)
    lies = [one["time_since_delivered"] for one in left]
    assert len(lies) == 20
    assert max(lies) - min(lies) > DEFAULTS.claim_after_ms / 10  # left at once, and found at different times


async def test_what_no_newer_ingest_took_within_an_hour_is_a_dead_letter_that_keeps_its_place(bench: Bench) -> None:
    sent_ms = now_ms() - unread.PATIENCE_MS - 1
    await bench.ingest.handle([entry(of_a_newer_version(), sent_ms=sent_ms)])
    assert await bench.fault() == ("Unavailable", "c1")
    [(_, letter)] = await bench.redis.xrange(DEAD_LETTERS)
    assert letter[b"error_name"] == b"NeedsUpgrade"
    assert b"AppendThoughts" in letter[b"error"]
    assert letter[b"sequence"] == b"%d" % (sent_ms << 20)


@pytest.mark.parametrize("deliveries", [1, 99])
async def test_a_command_that_is_broken_is_a_dead_letter_and_whoever_sent_it_is_told(bench: Bench, deliveries: int) -> None:
    body = encode(SENT) if deliveries > 1 else encode(SENT).replace(b'"session_id":"s1"', b'"session_id":1')
    await bench.ingest.handle([entry(body, deliveries=deliveries)])
    assert await bench.fault() == ("Unavailable", "c1")
    assert await bench.redis.xlen(DEAD_LETTERS) == 1


async def test_what_is_no_command_at_all_is_a_dead_letter_and_nothing_waits_behind_it(bench: Bench) -> None:
    await bench.ingest.handle([entry(b"{"), entry(encode(SENT), sent_ms=now_ms() + 1)])
    assert (await bench.heard()).position == 1
    assert await bench.redis.xlen(DEAD_LETTERS) == 1


async def test_a_command_about_what_a_newer_version_wrote_waits_for_it_and_others_go_on(bench: Bench) -> None:
    stream = session_stream(SCOPE, "s1")
    newer = NewEvent(stream=stream, version=1, type="ThoughtRecorded", scope=SCOPE, data=b'{"type":"ThoughtRecorded"}')
    session = SessionRow(stream=stream, scope=SCOPE, session_id="s1", version=1, alive=True)
    await bench.store.append(Batch(events=[newer], sessions=[session]), 1)
    other = msgspec.structs.replace(SENT, id="c2", command=msgspec.structs.replace(COMMAND, session_id="s2"))
    await bench.ingest.handle([entry(encode(SENT)), entry(encode(other), sent_ms=now_ms() + 1)])
    told = {reply.command_id: reply for reply in [await bench.heard(), await bench.heard()]}
    failed = told["c1"].reply
    assert isinstance(failed, Failed)
    assert failed.fault.name == "NeedsUpgrade"
    assert isinstance(told["c2"].reply, WorkingMemoryChanged)
    assert await bench.redis.xlen(DEAD_LETTERS) == 0


async def test_what_a_newer_version_did_with_a_request_is_told_by_an_older_one_that_is_asked_again(bench: Bench) -> None:
    once = msgspec.structs.replace(SENT, idempotency_key="k", fingerprint="f")
    await bench.ingest.handle([entry(encode(once))])
    done = await bench.heard()
    newer = NewEvent(stream=session_stream(SCOPE, "s1"), version=2, type="ThoughtRecorded", scope=SCOPE, data=b"{}")
    session = SessionRow(stream=newer.stream, scope=SCOPE, session_id="s1", version=2, alive=True)
    await bench.store.append(Batch(events=[newer], sessions=[session]), 1)
    restarted = Ingest(bench.store, bench.redis, Relay("", bench.log, bench.redis))
    await restarted.handle([entry(encode(msgspec.structs.replace(once, id="c2")))])
    told = await bench.heard()
    assert (told.command_id, told.reply, told.position) == ("c2", done.reply, done.position)


def test_a_gateway_tells_it_as_something_that_may_be_tried_again() -> None:
    raised = unread.LEFT_FOR_NEWER.error("c1")
    assert isinstance(raised, NeedsUpgrade)
    assert isinstance(raised, Unavailable)
    assert raised.command_id == "c1"
