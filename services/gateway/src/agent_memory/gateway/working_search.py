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
MOST_EMBEDDED = 512
"""What was said in the last moments and is not indexed yet. A caller does not wait for more: the indexer comes by it soon."""


class LivingSessions(Protocol):
    """The sessions that have a working memory."""

    async def living_sessions(self, tenant: str, filters: MemoryFilters, *, limit: int) -> tuple[list[SessionRow], int]: ...


class Vectors(Protocol):
    """Vectors that were computed before."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> dict[bytes, bytes]: ...


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
        documents, complete = await self._documents(query)
        fitting, whole = await asyncio.to_thread(self._fitting, query, documents)
        known = await self._known(texts_to_compare(query, fitting))
        compared = fitting if known is None else [record for record in fitting if record.text in known]
        found = await asyncio.to_thread(ordered, query, compared, known or {}, vector, self._clock())
        return WorkingPage(found=found, complete=complete and whole and len(compared) == len(fitting))

    async def _documents(self, query: SearchMemories) -> tuple[list[Standing], bool]:
        """What the newest sessions hold, and whether these are all."""
        rows, total = await self._log.living_sessions(query.tenant, query.filters, limit=MOST_SESSIONS)
        documents = await asyncio.gather(*(self._sessions.read(row.scope, row.session_id) for row in rows))
        held = [
            Standing(
                session_id=row.session_id,
                namespace=row.scope.namespace,
                user_id=row.scope.user_id,
                meta=document.meta,
                messages=document.messages,
            )
            for row, document in zip(rows, documents, strict=True)
            if document is not None
        ]
        return held, total <= len(rows)

    def _fitting(self, query: SearchMemories, documents: Sequence[Standing]) -> tuple[list[MemoryRecord], bool]:
        """What matches without its vectors; and whether everything was looked at."""
        records = [record for document in documents for record in records_of(document, messages_too=self._messages_too)]
        return passing(query, records[:MOST_RECORDS]), len(records) <= MOST_RECORDS

    async def _known(self, hashes: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Vectors by text; None when none are needed. What nobody has computed yet is computed, within bounds, and kept."""
        if not hashes:
            return None
        stored = await self._vectors.find(self._embedder.model, list(dict.fromkeys(hashes.values())))
        found = {text: stored[digest] for text, digest in hashes.items() if digest in stored}
        missing = [text for text in hashes if text not in found][:MOST_EMBEDDED]
        for start in range(0, len(missing), EMBEDDED_AT_ONCE):
            part = missing[start : start + EMBEDDED_AT_ONCE]
            found.update(zip(part, await self._embedder.embed(part), strict=True))
        if missing:
            kept = await self._vectors.keep(self._embedder.model, {hashes[text]: found[text] for text in missing})
            found.update((text, kept[hashes[text]]) for text in missing)
        return found
