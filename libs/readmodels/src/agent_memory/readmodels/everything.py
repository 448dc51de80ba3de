"""All memories that pass filters, however many: page after page, in a total order."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.queries import DateFilter, MemoryFilters, SearchMemories
from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels.search import SearchPage

PAGE = 200
_record = msgspec.json.Decoder(MemoryRecord).decode


class Search(Protocol):
    """Listing by filters (`MemorySearch`)."""

    async def search(self, query: SearchMemories, vector: bytes | None) -> SearchPage: ...


async def everything(search: Search, tenant: str, filters: MemoryFilters, *, page: int = PAGE) -> AsyncIterator[MemoryRecord]:
    """Each memory once, newest first.

    A page begins at the time where the one before it ended, not at a number: so memories that come and go meanwhile neither
    hide another nor show it twice. Raises Unavailable as the search does.
    """
    last: datetime | None = None
    seen: set[str] = set()
    offset = 0
    while True:
        query = SearchMemories(tenant=tenant, filters=_from(filters, last), limit=page, offset=offset)
        hits = (await search.search(query, None)).hits
        records = [_record(hit.record) for hit in hits]
        for record in records:
            if record.id not in seen:
                seen.add(record.id)
                yield record
        if len(hits) < page:
            return
        # All of a page at one moment: more of the same moment may follow, which only an offset reaches.
        offset = offset + page if records[-1].created_at == last else 0
        last = records[-1].created_at


def _from(filters: MemoryFilters, last: datetime | None) -> MemoryFilters:
    return filters if last is None else replace(filters, created_at=replace(filters.created_at or DateFilter(), lte=last))
