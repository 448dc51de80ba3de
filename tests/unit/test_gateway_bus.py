"""The command bus on a real Redis, with a stand-in for ingest, and a line to Redis that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from agent_memory.contracts.codec import decode_command, encode
from agent_memory.contracts.commands import DeleteWorkingMemory, ForgetMemories
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Fault, NotFound, Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import Acknowledged, Failed, ReplyEnvelope
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, replies_channel
from agent_memory.gateway.bus import RedisCommandBus
from agent_memory.gateway.ids import Ids
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.pipelined import JoiningRedis
from support.controls import wait_until

SCOPE = Scope(tenant="t", namespace="n")
COMMAND = DeleteWorkingMemory(session_id="s")
SHOWS_NOTHING = ForgetMemories(memory_ids=["m"])
"""Changes no working memory: where the log has its outcome, Redis is not needed to answer it."""


class Line:
    """A TCP line to Redis that can be cut and mended."""

    def __init__(self, redis_url: str) -> None:
        self._target = urlsplit(redis_url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        credentials = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{credentials}@127.0.0.1:{self.port}"))

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self.hang_up()
            await self._server.wait_closed()
            self._server = None

    def hang_up(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._target.hostname, self._target.port)
        for source, sink in ((reader, there[1]), (there[0], writer)):
            self._writers.add(sink)
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(sink)
            sink.close()


class Outcomes(MemorySystem):
    """A log that knows how some commands were answered."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, ReplyEnvelope] = {}
        self.asked: list[tuple[str, str]] = []
        self.away = False

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None:
        self.asked.append((tenant, command_id))
        if self.away:
            raise Unavailable("the log is away")
        return self.known.get(command_id)


class Ingest:
    """Reads commands and answers them, unless it is told to keep quiet."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.seen: list[CommandEnvelope] = []
        self.quiet = False
        self.fault: Fault | None = None

    async def run(self) -> None:
        last = b"0"
        while True:
            for _, entries in await self._redis.xread({COMMANDS: last}, block=100) or []:
                for last, fields in entries:  # noqa: B007
                    envelope = decode_command(fields[DATA_FIELD.encode()])
                    self.seen.append(envelope)
                    if not self.quiet:
                        await self.answer(envelope)

    async def answer(self, envelope: CommandEnvelope) -> None:
        reply = Acknowledged() if self.fault is None else Failed(fault=self.fault)
        body = encode(ReplyEnvelope(command_id=envelope.id, position=len(self.seen), reply=reply))
        await self._redis.publish(replies_channel(envelope.reply_to), body)


class World:
    """Everything that a test of the bus needs."""

    def __init__(self, line: Line, ingest: Ingest, log: Outcomes, bus: RedisCommandBus) -> None:
        self.line, self.ingest, self.log, self.bus = line, ingest, log, bus


@asynccontextmanager
async def made(redis_url: str, *, timeout_seconds: float = 5.0, start: bool = True) -> AsyncIterator[World]:
    line = Line(redis_url)
    await line.mend()
    redis = Redis.from_url(redis_url)
    ingest = Ingest(redis)
    answering = asyncio.create_task(ingest.run())
    log = Outcomes()
    bus = RedisCommandBus(
        line.url, log, gateway_id="g1", timeout_seconds=timeout_seconds, new_id=Ids(), now_ms=lambda: 1_700_000_000_000
    )
    if start:
        await bus.start()
    try:
        yield World(line, ingest, log, bus)
    finally:
        await bus.stop()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        await line.cut()
        await redis.aclose()


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    async with made(redis_url) as found:
        yield found


async def test_a_command_carries_all_that_was_said_about_it_and_its_reply_comes_back(world: World) -> None:
    answer = await world.bus.ask(
        SCOPE,
        COMMAND,
        idempotency_key="k",
        fingerprint="f",
        correlation_id="c",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    assert (answer.position, answer.reply) == (1, Acknowledged())
    (envelope,) = world.ingest.seen
    assert (envelope.id, envelope.scope, envelope.command) == (answer.command_id, SCOPE, COMMAND)
    assert (envelope.idempotency_key, envelope.fingerprint, envelope.correlation_id) == ("k", "f", "c")
    assert (envelope.reply_to, envelope.issued_ms) == ("g1", 1_700_000_000_000)
    assert envelope.traceparent


async def test_many_commands_at_once_each_get_their_own_reply_in_the_order_they_were_sent(world: World) -> None:
    answers = await asyncio.gather(*(world.bus.ask(SCOPE, DeleteWorkingMemory(session_id=str(n))) for n in range(500)))
    assert [envelope.id for envelope in world.ingest.seen] == [answer.command_id for answer in answers]
    assert [answer.position for answer in answers] == list(range(1, 501))


async def test_a_refusal_is_raised_as_what_it_is(world: World) -> None:
    world.ingest.fault = Fault(name="NotFound", detail="none")
    with pytest.raises(NotFound, match="none"):
        await world.bus.ask(SCOPE, COMMAND)
    world.ingest.fault = Fault(name="Unavailable", detail="postgres")
    with pytest.raises(Unavailable) as caught:
        await world.bus.ask(SCOPE, COMMAND)
    assert caught.value.command_id == world.ingest.seen[-1].id


async def test_a_reply_that_never_comes_is_looked_up_in_the_log(redis_url: str) -> None:
    async with made(redis_url, timeout_seconds=0.2) as world:
        world.ingest.quiet = True
        asking = asyncio.create_task(world.bus.ask(SCOPE, COMMAND))
        await wait_until(lambda: world.ingest.seen, "the command arrives")
        id_ = world.ingest.seen[0].id
        world.log.known[id_] = ReplyEnvelope(command_id=id_, position=9, reply=Acknowledged())
        assert (await asking).position == 9
        assert ("t", id_) in world.log.asked


@pytest.mark.parametrize("away", [False, True])
async def test_a_command_of_which_nobody_knows_is_unavailable_with_its_id(redis_url: str, away: bool) -> None:
    async with made(redis_url, timeout_seconds=0.1) as world:
        world.ingest.quiet, world.log.away = True, away
        with pytest.raises(Unavailable) as caught:
            await world.bus.ask(SCOPE, COMMAND)
        assert caught.value.command_id == world.ingest.seen[0].id


async def test_without_redis_a_command_is_unavailable_at_once_and_works_again_when_it_is_back(world: World) -> None:
    await world.bus.ask(SCOPE, COMMAND)
    await world.line.cut()

    async def refused() -> bool:
        try:
            await world.bus.ask(SCOPE, COMMAND)
        except Unavailable as error:
            return error.command_id is not None
        return False

    await wait_until(refused, "commands are refused with their id")
    async with asyncio.timeout(5):
        assert await refused()
    await world.line.mend()
    await wait_until(world.bus.listening, "replies are heard again")
    assert (await world.bus.ask(SCOPE, COMMAND)).reply == Acknowledged()


async def test_commands_that_wait_when_redis_goes_away_are_told_at_once_or_answered_from_the_log(world: World) -> None:
    world.ingest.quiet = True
    asking = [asyncio.create_task(world.bus.ask(SCOPE, SHOWS_NOTHING)) for _ in range(2)]
    await wait_until(lambda: len(world.ingest.seen) == 2, "the commands arrive")
    done, lost = (envelope.id for envelope in world.ingest.seen)
    world.log.known[done] = ReplyEnvelope(command_id=done, position=4, reply=Acknowledged())
    await world.line.cut()
    found, missing = await asyncio.gather(*asking, return_exceptions=True)
    assert not isinstance(found, BaseException)
    assert found.position == 4
    assert isinstance(missing, Unavailable)
    assert missing.command_id == lost


async def test_a_connection_that_is_only_cut_loses_no_command(world: World) -> None:
    world.ingest.quiet = True
    asking = asyncio.create_task(world.bus.ask(SCOPE, COMMAND))
    await wait_until(lambda: world.ingest.seen, "the command arrives")
    world.line.hang_up()
    await wait_until(lambda: world.log.asked, "the log is asked, since a reply may have been missed")
    await wait_until(world.bus.listening, "replies are heard again")
    await world.ingest.answer(world.ingest.seen[0])
    assert (await asking).reply == Acknowledged()
    world.ingest.quiet = False
    assert (await world.bus.ask(SCOPE, COMMAND)).reply == Acknowledged()


async def test_a_gateway_that_starts_before_redis_works_once_it_is_there(redis_url: str) -> None:
    async with made(redis_url, start=False) as world:
        await world.line.cut()
        await world.bus.start()
        with pytest.raises(Unavailable):
            await world.bus.ask(SCOPE, COMMAND)
        await world.line.mend()
        await wait_until(world.bus.listening, "replies are heard")
        assert (await world.bus.ask(SCOPE, COMMAND)).reply == Acknowledged()


async def test_commands_that_wait_are_told_when_the_gateway_stops(world: World) -> None:
    world.ingest.quiet = True
    asking = asyncio.create_task(world.bus.ask(SCOPE, COMMAND))
    await wait_until(lambda: world.ingest.seen, "the command arrives")
    await world.bus.stop()
    with pytest.raises(Unavailable, match="stopping"):
        await asking


async def test_a_reply_that_cannot_be_read_harms_nobody(world: World, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        for body in (
            b"{",
            b'{"command_id":"x","reply":{"type":"Strange"}}',
            encode(ReplyEnvelope(command_id="x", reply=Acknowledged())),
        ):
            await redis.publish(replies_channel("g1"), body)
    assert (await world.bus.ask(SCOPE, COMMAND)).reply == Acknowledged()


async def test_reads_that_are_asked_together_each_get_their_own_values(redis_url: str) -> None:
    line = Line(redis_url)
    await line.mend()
    redis = JoiningRedis.joining(line.url)
    await asyncio.gather(*(redis.set(f"k{n}", n) for n in range(50)))
    found = await asyncio.gather(*(redis.mget([f"k{n}", "none", f"k{n + 1}"]) for n in range(49)))
    assert found == [[str(n).encode(), None, str(n + 1).encode()] for n in range(49)]
    line.hang_up()
    assert await redis.mget("k1", "k2") == [b"1", b"2"]
    await redis.aclose()
    await line.cut()


async def test_searches_that_are_asked_together_keep_their_order_and_their_own_errors(redis_url: str) -> None:
    line = Line(redis_url)
    await line.mend()
    redis = JoiningRedis.joining(line.url)

    async def ask(n: int) -> list[object]:
        return await redis.together([("SET", f"k{n}", n), ("GET", f"k{n}"), ("HGET", f"k{n}", "field"), ("ECHO", b"end %d" % n)])

    for n, found in enumerate(await asyncio.gather(*(ask(n) for n in range(60)))):
        assert found[:2] == [b"OK", str(n).encode()]
        assert isinstance(found[2], ResponseError)
        assert found[3] == b"end %d" % n
    line.hang_up()
    assert await redis.together([("GET", "k7"), ("GET", "k8")]) == [b"7", b"8"]
    await line.cut()
    line.hang_up()
    with pytest.raises(RedisConnectionError):
        await redis.together([("GET", "k7")])
    await redis.aclose()


async def test_a_search_whose_caller_has_gone_harms_nobody(redis_url: str) -> None:
    redis = JoiningRedis.joining(redis_url)
    asking = [asyncio.create_task(redis.together([("ECHO", b"%d" % n)])) for n in range(20)]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert found[1::2] == [[b"%d" % n] for n in range(1, 20, 2)]
    assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])
    await redis.aclose()
