"""Writes that expect a version: nobody loses one to what a replica remembers, and a repeated one is told what became of it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AnyCommand, AppendMessages, DeleteWorkingMemory, ReplaceWorkingMemory
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import EPOCH, Message, Scope
from agent_memory.contracts.replies import AnyReply, Failed, WorkingMemoryChanged
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest.handlers import Ingest
from agent_memory.runtime.broker import Entry


class Replicas:
    """Two ingests on one log, each with its own memory of sessions."""

    def __init__(self, database_url: str, redis: Redis) -> None:
        self.connections = Connections(database_url)
        log = LogReader(self.connections)
        self.ingests = [Ingest(EventStore(self.connections), redis, Relay(database_url, log, redis)) for _ in range(2)]
        self._sequence = 100

    async def put(self, context: str, expected: int | None, *, replica: int = 0, key: str = "") -> AnyReply:
        command = ReplaceWorkingMemory(session_id="s", context=context, expected_version=expected)
        return await self.send(command, replica=replica, key=key)

    async def send(self, command: AnyCommand, *, replica: int = 0, key: str = "") -> AnyReply:
        self._sequence += 1
        envelope = CommandEnvelope(
            id=f"c{self._sequence}",
            scope=Scope(),
            issued_ms=1,
            command=command,
            reply_to="nobody",
            idempotency_key=key,
            fingerprint=repr(command),
        )
        answers = await self.ingests[replica].record([Entry(f"{self._sequence}-0".encode(), {b"__data__": encode(envelope)})])
        return answers.answered[0].reply


@pytest.fixture
async def replicas(database_url: str, redis_url: str) -> AsyncIterator[Replicas]:
    async with Redis.from_url(redis_url, protocol=2) as redis:
        system = Replicas(database_url, redis)
        yield system
        await system.connections.close()


def version(reply: AnyReply) -> int:
    assert isinstance(reply, WorkingMemoryChanged), reply
    return reply.version


async def test_a_replica_that_remembers_less_does_not_refuse_a_write_that_is_right(replicas: Replicas) -> None:
    assert version(await replicas.put("a", 0, replica=0)) == 1
    assert version(await replicas.put("b", 1, replica=1)) == 2
    assert version(await replicas.put("c", 2, replica=0)) == 3
    refused = await replicas.put("d", 2, replica=1)
    assert isinstance(refused, Failed)
    assert refused.fault.name == "Conflict"


async def test_a_conditional_write_that_is_sent_again_under_its_key_is_told_that_it_took_effect(replicas: Replicas) -> None:
    first = await replicas.put("a", 0, key="k")
    assert await replicas.put("a", 0, key="k") == first
    assert await replicas.put("a", 0, key="k", replica=1) == first
    assert isinstance(await replicas.put("a", 0, key="another"), Failed)


async def test_appending_and_forgetting_expect_a_version_as_replacing_does(replicas: Replicas) -> None:
    def append(expected: int) -> AppendMessages:
        said = Message(role="user", content="x", id=f"m{expected}", created_at=EPOCH)
        return AppendMessages(session_id="s", messages=[said], expected_version=expected)

    assert version(await replicas.send(append(0))) == 1
    assert version(await replicas.send(append(1), replica=1)) == 2
    for late in (append(1), append(0), DeleteWorkingMemory(session_id="s", expected_version=1)):
        refused = await replicas.send(late)
        assert isinstance(refused, Failed)
        assert refused.fault.name == "Conflict"
    assert version(await replicas.send(append(2))) == 3
    gone = await replicas.send(DeleteWorkingMemory(session_id="s", expected_version=3), replica=1)
    assert version(gone) == 4
    assert isinstance(await replicas.send(append(4)), Failed)
    assert version(await replicas.send(append(0), replica=1)) > 4
