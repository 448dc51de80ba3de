"""Working memory as something to search: what stands in the sessions of a scope now, with the vectors that the log keeps."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from agent_memory.contracts.queries import MemoryFilters, SearchMemories
from agent_memory.contracts.records import MemoryRecord
from agent_memory.eventlog.rows import SessionRow
from agent_memory.gateway.gateway import Clock
from agent_memory.gateway.ports import Sessions, WorkingPage
from agent_memory.readmodels.standing import Standing, ordered, passing, records_of, texts_to_compare
from agent_memory.runtime.embed_vectors import Embedder

MOST_SESSIONS = 200
MOST_RECORDS = 5_000
"""Beyond these the newest count, and the answer says that it is not complete."""
EMBEDDED_AT_ONCE = 64


class LivingSessions(Protocol):
    """The sessions that have a working memory."""

    async def living_sessions(self, tenant: str, filters: MemoryFilters, *, limit: int) -> tuple[list[SessionRow], int]: ...


class Vectors(Protocol):
    """Vectors that were computed before."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> None: ...


class WorkingSearch:
    """Searches by comparing everything, so a message is found as soon as it is written. Raises Unavailable."""

    def __init__(
        self,
        log: LivingSessions,
        sessions: Sessions,
        vectors: Vectors,
        embedder: Embedder,
        clock: Clock,
        *,
        messages_too: bool = True,
    ) -> None:
        self._log = log
        self._sessions = sessions
        self._vectors = vectors
        self._embedder = embedder
        self._clock = clock
        self._messages_too = messages_too

    async def find(self, query: SearchMemories, vector: bytes | None) -> WorkingPage:
        """All that matches, in the order of the search."""
        rows, total = await self._log.living_sessions(query.tenant, query.filters, limit=MOST_SESSIONS)
        documents = await asyncio.gather(*(self._sessions.read(row.scope, row.session_id) for row in rows))
        records: list[MemoryRecord] = []
        for row, document in zip(rows, documents, strict=True):
            if document is not None:
                place = row.scope
                held = Standing(
                    session_id=row.session_id,
                    namespace=place.namespace,
                    user_id=place.user_id,
                    meta=document.meta,
                    messages=document.messages,
                )
                records += records_of(held, messages_too=self._messages_too)
        complete = total <= len(rows) and len(records) <= MOST_RECORDS
        fitting = passing(query, records[:MOST_RECORDS])
        known = await self._known(texts_to_compare(query, fitting))
        return WorkingPage(found=ordered(query, fitting, known, vector, self._clock()), complete=complete)

    async def _known(self, hashes: Mapping[str, bytes]) -> dict[str, bytes]:
        """Vectors by text. What nobody has computed yet is computed, and kept for whoever comes next."""
        if not hashes:
            return {}
        stored = await self._vectors.find(self._embedder.model, list(dict.fromkeys(hashes.values())))
        found = {text: stored[digest] for text, digest in hashes.items() if digest in stored}
        missing = [text for text in hashes if text not in found]
        for start in range(0, len(missing), EMBEDDED_AT_ONCE):
            part = missing[start : start + EMBEDDED_AT_ONCE]
            found.update(zip(part, await self._embedder.embed(part), strict=True))
        if missing:
            await self._vectors.keep(self._embedder.model, {hashes[text]: found[text] for text in missing})
        return found
