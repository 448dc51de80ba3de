"""FastStream on Redis Streams, made to survive: a missing group is made again, a lost server waited for, batches stay raw.

What FastStream gives: the reading and claiming loops, their life with the application, graceful stop. What is added here:
a group is always created at 0 (its own start, `$`, would skip what was published before the first start), NOGROUP and
connection errors never end a subscriber, and the handler gets entries undecoded, so one bad message cannot fail a batch.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from faststream import AckPolicy
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.configs.state import RedisConnectionState
from faststream.redis.message import RedisBatchStreamMessage, RedisStreamMessage
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent_memory.contracts.streams import SEQUENCE_FIELD
from agent_memory.runtime import telemetry
from agent_memory.runtime.redis_connection import connect_redis, connection_class
from agent_memory.runtime.settings import Settings

__all__ = [
    "Entry",
    "HealingBroker",
    "Place",
    "connect_redis",
    "connected",
    "ensure_group",
    "forget_dead_consumers",
    "give_back",
    "leave",
    "make_broker",
    "replica_name",
    "subscribe",
]

log = structlog.get_logger("broker")

POLL_MS = 1000
CLAIM_POLL_MS = 500
RECONNECT_SECONDS = 0.3
COUNTER_BITS = 20
"""Of a command's sequence those that hold the counter of its stream id."""
# At once, because a read that was cut off on this side may be served on the other in between.
_LEAVE = """
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if held.err then return string.find(held.err, 'NOGROUP', 1, true) and 0 or held end
if #held > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
_GIVE_BACK = """
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])
if held.err then return string.find(held.err, 'NOGROUP', 1, true) and 0 or held end
for _, entry in ipairs(held) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'IDLE', 86400000, 'JUSTID')
end
return #held
"""


class Entry(msgspec.Struct, frozen=True):
    """A message of a stream as it lies there. `deliveries`: how often it was handed out, this time included."""

    id: bytes
    fields: Mapping[bytes, bytes]
    deliveries: int = 1

    @property
    def sequence(self) -> int:
        """The stream id as one growing number: milliseconds, 20 bits of counter. A replayed entry keeps what it had."""
        given = self.fields.get(SEQUENCE_FIELD.encode(), b"")
        if given.isdigit():
            return int(given)
        milliseconds, _, counter = self.id.partition(b"-")
        # Added, not put beside it: where a clock went back Redis counts on within one millisecond, for as long as that takes.
        return (int(milliseconds) << COUNTER_BITS) + int(counter)


Handler = Callable[[Sequence[Entry]], Awaitable[None]]


class HealingRedis(Redis):  # type: ignore[misc]
    """A client whose group reads create the group when it is missing and sit out the loss of the server."""

    async def xgroup_create(self, name: str, groupname: str, **kwargs: Any) -> Any:
        # FastStream asks for `$`, and what was put on the stream before the first start would be skipped in silence.
        return await super().xgroup_create(name, groupname, **{**kwargs, "id": "0"})

    async def xreadgroup(self, *args: Any, **kwargs: Any) -> Any:
        return await self._healed(super().xreadgroup, kwargs["groupname"], next(iter(kwargs["streams"])), (), *args, **kwargs)

    async def xautoclaim(self, *args: Any, **kwargs: Any) -> Any:
        return await self._healed(super().xautoclaim, kwargs["groupname"], kwargs["name"], (b"0-0", []), *args, **kwargs)

    async def _healed(
        self, command: Callable[..., Awaitable[Any]], group: str, stream: str, nothing: Any, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            return await command(*args, **kwargs)
        except ResponseError as error:
            if not await self._made_again(stream, group, error):
                # FastStream would begin to read again at once, thousands of times a second, and keep something of each time.
                log.error("cannot be read", stream=stream, group=group, error=str(error))
                telemetry.ERRORS.labels(group, type(error).__name__).inc()
                await asyncio.sleep(RECONNECT_SECONDS)
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            log.warning("redis away", stream=stream, error=f"{type(error).__name__}: {error}")
            telemetry.RECONNECTS.labels("redis").inc()
            await asyncio.sleep(RECONNECT_SECONDS)
        return nothing

    async def _made_again(self, stream: str, group: str, error: ResponseError) -> bool:
        if "NOGROUP" not in str(error) and "UNBLOCKED" not in str(error):
            return False
        try:
            await ensure_group(self, stream, group)
        except ResponseError:  # a full server, say
            return False
        log.warning("consumer group made again", stream=stream, group=group)
        return True


class _HealingState(RedisConnectionState):
    def __init__(self, options: dict[str, Any], kind: type[Any]) -> None:
        super().__init__(options)
        self._kind = kind

    async def connect(self) -> Redis:
        options = {**self._options, "protocol": 2, "connection_class": self._kind}
        self._client = HealingRedis.from_pool(ConnectionPool(**options))
        self._connected = True
        return self._client


class Place(msgspec.Struct, frozen=True):
    """What a replica reads a stream as."""

    stream: str
    group: str
    consumer: str


class HealingBroker(RedisBroker):
    """A Redis broker whose connection heals. `places`: what its subscribers read as."""

    def __init__(self, url: str, **kwargs: Any) -> None:
        self._kind = connection_class(url)
        super().__init__(url, **kwargs)
        self.places: list[Place] = []

    def _make_connection_state(self, connection_options: dict[str, Any], kwargs: dict[str, Any]) -> _HealingState:
        return _HealingState(connection_options, self._kind)


async def ensure_group(redis: Redis, stream: str, group: str) -> None:
    """Makes the consumer group, from the beginning of the stream; one that exists stays as it is."""
    try:
        await redis.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    except (RedisConnectionError, RedisTimeoutError, OSError):
        await asyncio.sleep(RECONNECT_SECONDS)


@cache
def _replica() -> str:
    # At the first use, not at import: services are forked from a process that has imported this.
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"


def replica_name(settings: Settings) -> str:
    """A name that no other replica has: two consumers of one name would steal from each other."""
    return settings.service_replica or _replica()


def make_broker(settings: Settings) -> HealingBroker:
    """The broker of a service. Nothing is connected yet. Silent: it would write two lines for every message."""
    return HealingBroker(settings.redis_url, graceful_timeout=10, logger=None)


def subscribe(
    broker: HealingBroker, stream: str, group: str, consumer: str, handler: Handler, *, batch: int, claim_after_ms: int
) -> None:
    """Hands new entries to `handler` in batches, and, one by one, those that some replica took and never acknowledged.

    The handler acknowledges: what it leaves pending comes back after `claim_after_ms`.
    """

    async def handle(entries: Sequence[Entry]) -> None:
        try:
            await handler(entries)
        except Exception as error:
            # outermost loop: what was not acknowledged is claimed again; the subscriber must live on
            telemetry.ERRORS.labels(group, type(error).__name__).inc()
            log.error("batch failed; it stays pending", stream=stream, group=group, entries=len(entries), exc_info=error)

    async def parse_batch(message: Mapping[str, Any]) -> RedisBatchStreamMessage:
        return RedisBatchStreamMessage(raw_message=message, body=b"", consumer=None, group=None)  # type: ignore[arg-type]

    async def parse_one(message: Mapping[str, Any]) -> RedisStreamMessage:
        return RedisStreamMessage(raw_message=message, body=b"", consumer=None, group=None)  # type: ignore[arg-type]

    async def keep_raw(message: Any) -> Any:
        return message.raw_message

    broker.places.append(Place(stream, group, consumer))
    new = StreamSub(stream, group=group, consumer=consumer, batch=True, max_records=batch, polling_interval=POLL_MS)
    left = StreamSub(
        stream, group=group, consumer=consumer, min_idle_time=claim_after_ms, max_records=1, polling_interval=CLAIM_POLL_MS
    )

    @broker.subscriber(stream=new, parser=parse_batch, decoder=keep_raw, ack_policy=AckPolicy.MANUAL)
    async def handle_new(raw: Any) -> None:
        await handle([Entry(id_, fields) for id_, fields in zip(raw["message_ids"], raw["data"], strict=True)])

    @broker.subscriber(stream=left, parser=parse_one, decoder=keep_raw, ack_policy=AckPolicy.MANUAL)
    async def handle_left(raw: Any) -> None:
        id_ = raw["message_ids"][0]
        pending = await connected(broker).xpending_range(stream, group, min=id_, max=id_, count=1)
        deliveries = int(pending[0]["times_delivered"]) if pending else 1
        await handle([Entry(id_, raw["data"], deliveries)])


def connected(broker: HealingBroker) -> Redis:
    """The client of a started broker."""
    return broker.config.broker_config.connection.client


async def forget_dead_consumers(
    redis: Redis, stream: str, group: str, *, idle_ms: int = 600_000, living: Container[bytes | str] = ()
) -> int:
    """Removes consumers that have nothing pending and were not heard for long, save the living. Returns how many."""
    gone = 0
    for consumer in await redis.xinfo_consumers(stream, group):
        if consumer["pending"] == 0 and consumer["idle"] > idle_ms and consumer["name"] not in living:
            gone += await leave(redis, Place(stream, group, consumer["name"]))
    return gone


async def leave(redis: Redis, place: Place) -> bool:
    """Takes a consumer out of its group; whether that was done. Raises redis.RedisError.

    One that still has entries stays, until others have claimed them: Redis would drop them together with their consumer.
    """
    return bool(await redis.eval(_LEAVE, 1, place.stream, place.group, place.consumer))


async def give_back(redis: Redis, place: Place) -> int:
    """Has what a consumer still holds (read, never begun) claimed by others at once, not after their patience; how much it was.

    For one that reads no more. Raises redis.RedisError.
    """
    return int(await redis.eval(_GIVE_BACK, 1, place.stream, place.group, place.consumer))
