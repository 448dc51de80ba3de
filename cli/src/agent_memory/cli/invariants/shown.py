"""What the read models hold now, thing by thing, as Redis has it."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.contracts.streams import document_prefix, working_memory_keys
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.generations import Generation

CHUNK = 500


class Document(msgspec.Struct, frozen=True):
    """A search document: its key without the generation, and its fields."""

    place: str
    fields: dict[bytes, bytes]

    @property
    def version(self) -> int:
        """The log position it comes from; 0 when it does not say."""
        return int(self.fields.get(b"version", b"0"))


class View(msgspec.Struct, frozen=True):
    """The view of a session: None for a part that is not there."""

    stream: str
    head: bytes
    document: bytes | None
    messages: bytes | None

    @property
    def version(self) -> int:
        """The version of the stream that it shows."""
        return int(self.head.partition(b"|")[0])

    @property
    def gone(self) -> bool:
        """Whether it says that there is no such session."""
        return self.head.endswith(b"|gone")


async def documents(redis: Redis, generation: Generation, places: Sequence[str] | None = None) -> AsyncIterator[Document]:
    """All documents of a generation, or those of the given places that are there."""
    start = document_prefix(generation.kind, generation.number)
    async for keys in _keys(redis, start, places):
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            for key, fields in zip(keys, await pipe.execute(), strict=True):
                if fields:
                    yield Document(key.removeprefix(start), fields)


async def views(redis: Redis, streams: Sequence[str] | None = None) -> AsyncIterator[View]:
    """All views of sessions, or those of the given streams that are there."""
    if streams is None:
        found = [_stream_of(key) async for keys in _keys(redis, "am:wm:", None) for key in keys if key.endswith("}:head")]
        streams = list(dict.fromkeys(found))
    for chunk in _chunks(streams):
        async with redis.pipeline(transaction=False) as pipe:
            for stream in chunk:
                pipe.mget(working_memory_keys(stream))
            for stream, (head, document, messages) in zip(chunk, await pipe.execute(), strict=True):
                # "behind": the view is absent, and only what is newer may be shown.
                if head is not None and not head.endswith(b"|behind"):
                    yield View(stream, head, document, messages)


async def indexed(redis: Redis, kind: Kind, name: str) -> int | None:
    """How many documents the search index itself counts; None when there is no such index."""
    try:
        answer = await redis.execute_command("FT.SEARCH", name, "*", "LIMIT", "0", "0")
    except ResponseError as error:
        if "no such index" in str(error).lower() or "unknown index" in str(error).lower():
            return None
        raise
    return int(answer[0])


async def _keys(redis: Redis, start: str, places: Sequence[str] | None) -> AsyncIterator[list[str]]:
    if places is not None:
        for chunk in _chunks(places):
            yield [start + place for place in chunk]
        return
    seen: set[bytes] = set()
    cursor = 0
    while True:
        cursor, keys = await redis.scan(cursor, match=f"{_literal(start)}*", count=CHUNK)
        # While a table grows, SCAN may show a key twice: twice would look like one that nobody expects.
        fresh = [key for key in keys if key not in seen]
        seen.update(fresh)
        if fresh:
            yield [key.decode(errors="surrogateescape") for key in fresh]
        if cursor == 0:
            return


def _literal(pattern: str) -> str:
    return pattern.replace("[", "\\[").replace("*", "\\*").replace("?", "\\?")


def _stream_of(key: str) -> str:
    return key.removeprefix("am:wm:{").rpartition("}:")[0]


def _chunks(items: Iterable[str]) -> Iterable[list[str]]:
    everything = list(items)
    return (everything[start : start + CHUNK] for start in range(0, len(everything), CHUNK))
