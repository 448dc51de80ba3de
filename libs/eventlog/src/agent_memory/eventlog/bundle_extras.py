"""What a bundle holds beside the log when it is asked to: vectors of its texts, answers of models."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from msgspec import Raw
from psycopg import AsyncConnection

from agent_memory.contracts.bundles import AnswerLine, EmbeddingLine
from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.records import content_hash

CHUNK = 1_000
FOUND = "SELECT content_hash, vector FROM embeddings WHERE model = %s AND content_hash = ANY(%s)"
ANSWERS = "SELECT request_hash, answer::text, recorded_ms FROM completions ORDER BY request_hash"

Texts = Callable[[AnyEvent], Iterable[str]]
"""What is embedded of an event."""


async def embeddings(
    connection: AsyncConnection, model: str, texts: Texts, rows: AsyncIterator[tuple[Any, ...]]
) -> AsyncIterator[EmbeddingLine]:
    """The vectors that are kept for the texts of events, each once, in the order in which the texts were first recorded."""
    seen: set[bytes] = set()
    wanted: list[bytes] = []
    async for inside, _, _, _, type_, _, _, _, data, _ in rows:
        for text in texts(decode_event(type_, data.encode())) if inside else ():
            if (digest := content_hash(text)) not in seen:
                seen.add(digest)
                wanted.append(digest)
        if len(wanted) >= CHUNK:
            for line in await _vectors(connection, model, wanted):
                yield line
            wanted = []
    for line in await _vectors(connection, model, wanted):
        yield line


async def answers(connection: AsyncConnection) -> AsyncIterator[AnswerLine]:
    """The journal of what models answered."""
    async with connection.cursor(name="bundle_answers") as cursor:
        cursor.itersize = CHUNK
        await cursor.execute(ANSWERS)
        async for request_hash, answer, recorded_ms in cursor:
            yield AnswerLine(request_hash=bytes(request_hash), answer=Raw(answer.encode()), recorded_ms=recorded_ms)


async def _vectors(connection: AsyncConnection, model: str, wanted: list[bytes]) -> list[EmbeddingLine]:
    rows = await (await connection.execute(FOUND, (model, wanted))).fetchall()
    found = {bytes(digest): bytes(vector) for digest, vector in rows}
    return [EmbeddingLine(model=model, content_hash=digest, vector=found[digest]) for digest in wanted if digest in found]
