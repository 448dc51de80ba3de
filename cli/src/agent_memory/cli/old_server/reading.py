"""Reading the Redis of an older server. Nothing is written there."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.cli.importers.items import Unusable
from agent_memory.cli.importers.reading import decode
from agent_memory.cli.old_server.layout import FIELDS, OldSession, Unreadable, memory_of, session_of
from agent_memory.cli.output import CommandError
from agent_memory.cli.reach import NOT_RUNNING
from agent_memory.contracts.records import MemoryRecord

SESSIONS = "working_memory:"
NO_SESSIONS = frozenset({"working_memory:migration:complete", "working_memory:migration:remaining"})
PREFIXES = ("memory_idx", "memory")
"""What the keys of memories begin with, of this and of older servers."""
JSON = b"ReJSON-RL"


class Bad(msgspec.Struct, frozen=True):
    """A key that cannot be used, or a part of it, and why."""

    key: str
    reason: str


class OldServer:
    """Sessions and memories in one Redis. `batch`: keys that are asked for at once."""

    def __init__(self, redis: Redis, *, prefixes: Sequence[str] = PREFIXES, batch: int = 1_000) -> None:
        self._redis = redis
        self._prefixes = prefixes
        self._batch = batch
        self.bad: list[Bad] = []

    async def session_keys(self) -> list[str]:
        """Keys of all sessions, in order."""
        found = {key async for key in self._redis.scan_iter(match=f"{SESSIONS}*", count=self._batch)}
        return sorted(key for raw in found if (key := _text(raw)) not in NO_SESSIONS)

    async def memory_keys(self) -> list[str]:
        """Keys of all memories, in order."""
        found: set[bytes] = set()
        for prefix in self._prefixes:
            found |= {key async for key in self._redis.scan_iter(match=f"{prefix}:*", count=self._batch, _type="hash")}
        return sorted(map(_text, found))

    async def sessions(self, keys: Sequence[str], seen: Callable[[int], None]) -> AsyncIterator[tuple[str, OldSession]]:
        """The sessions of the keys, in that order; what cannot be read is noted in `bad`."""
        for start in range(0, len(keys), self._batch):
            chunk = keys[start : start + self._batch]
            for key, document in zip(chunk, await self._documents(chunk), strict=True):
                if document is None:  # its time was over, or somebody deleted it
                    continue
                try:
                    old = session_of(key, decode(document))
                except (Unreadable, Unusable) as fault:
                    self.refuse(key, str(fault))
                    continue
                yield key, old
            seen(start + len(chunk))

    async def memories(self, keys: Sequence[str], seen: Callable[[int], None]) -> AsyncIterator[tuple[str, MemoryRecord]]:
        """The memories of the keys, in that order; what cannot be read is noted in `bad`."""
        for start in range(0, len(keys), self._batch):
            chunk = keys[start : start + self._batch]
            pipeline = self._redis.pipeline(transaction=False)
            for key in chunk:
                pipeline.hmget(key, FIELDS)
            for key, values in zip(chunk, await pipeline.execute(), strict=True):
                try:
                    fields = {name: _decoded(value) for name, value in zip(FIELDS, values, strict=True) if value is not None}
                    if fields:
                        yield key, memory_of(fields)
                except Unreadable as fault:
                    self.refuse(key, str(fault))
            seen(start + len(chunk))

    def refuse(self, key: str, reason: str) -> None:
        """Notes what cannot be used."""
        self.bad.append(Bad(key, reason))

    async def _documents(self, keys: Sequence[str]) -> list[bytes | None]:
        types = self._redis.pipeline(transaction=False)
        for key in keys:
            types.type(key)
        reads = self._redis.pipeline(transaction=False)
        for key, kind in zip(keys, await types.execute(), strict=True):
            reads.execute_command(*(("JSON.GET", key) if kind == JSON else ("GET", key)))
        found: list[Any] = await reads.execute(raise_on_error=False)
        for key, value in zip(keys, found, strict=True):
            if isinstance(value, RedisError):
                self.refuse(key, str(value))
        return [None if isinstance(value, RedisError) else value for value in found]


async def connected(url: str) -> Redis:
    """The old server's Redis. Raises CommandError when it does not answer (code 3), or when that is no address (2)."""
    hint = "--from redis://host:port/0"
    try:
        redis: Redis = Redis.from_url(url, protocol=2, socket_connect_timeout=5)
        await redis.ping()
    except ValueError as error:
        raise CommandError(f"--from cannot be used: {error}", hint=hint, code=2) from None
    except (RedisError, OSError) as error:
        raise CommandError(f"the Redis of the old server does not answer: {error}", hint=hint, code=NOT_RUNNING) from None
    return redis


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable("it holds bytes that are no text") from None
