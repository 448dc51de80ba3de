"""The job that compares the search indexes with the log.

What a projection has not got to yet it gets to by itself. But documents that were written and are gone, because somebody deleted
them or Redis evicted them, nobody would miss: only counting tells. An index that differs is built anew, once for the same
difference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.streams import CONTENTS_INDEX, MEMORY_INDEX, TIMELINE_INDEX, index_alias
from agent_memory.readmodels import retiring
from agent_memory.readmodels.documents import Kind, has_words
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime import telemetry

PROJECTION_OF: Mapping[Kind, str] = {"memory": MEMORY_INDEX, "timeline": TIMELINE_INDEX, "contents": CONTENTS_INDEX}
ATTEMPTS = 5
SETTLE_SECONDS = 60.0
LOOK_SECONDS = 0.1
SHOW_SECONDS = 10.0

log = structlog.get_logger(__name__)
Rebuild = Callable[[], Awaitable[None]]


class Counts(Protocol):
    """How much the log holds (`eventlog.counts.CountReader`)."""

    async def head(self) -> int: ...
    async def memories(self) -> int: ...
    async def events(self, since_ms: int | None = None) -> int: ...
    async def nodes_and_grips(self) -> int: ...
    async def faint_texts(self, since_ms: int | None = None) -> list[str]: ...


class Differs(Exception):
    """An index holds something else than the log says, also after it was built anew."""


class CheckIndexes:
    """Body of the job. `rebuild`: builds an index anew from the log and returns when readers have it. Done again it does no harm.

    With `messages_too` the memory index holds messages as well, so that it can only be told when it holds too little.
    `since`: from which time on the events of the timeline are found; what is older is taken out first.
    """

    def __init__(
        self,
        redis: Redis,
        counts: Counts,
        rebuild: Mapping[Kind, Rebuild],
        *,
        messages_too: bool = False,
        since: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._since = since
        self._counts = counts
        self._rebuild = rebuild
        self._messages_too = messages_too

    async def check(self, due_ms: int) -> dict[str, str]:
        """All indexes. Raises Differs when building one anew did not help, Unavailable, redis.RedisError."""
        told: dict[str, str] = {}
        lasting: list[str] = []
        for kind in self._rebuild:
            if kind == "timeline" and (retired := await retiring.retire(self._redis, self._since())):
                told["timeline_retired"] = str(retired)
            difference = await self._difference(kind, told)
            if difference and await self._left(kind) != difference:
                log.warning("index differs from the log; it is built anew", index=kind, documents_more=difference)
                await self._rebuild[kind]()
                told[f"{kind}_rebuilt"] = "yes"
                difference = await self._difference(kind, told)
            await self._redis.set(_left_key(kind), difference)
            if difference:
                lasting.append(f"the {kind} index holds {told[f'{kind}_documents']} documents, the log {told[f'{kind}_expected']}")
        if lasting:
            raise Differs("; ".join(lasting))
        return told

    async def run(self) -> None:
        """Shows what the last check left, whichever replica made it: what each had counted itself would stand for hours. Until
        cancelled.
        """
        while True:
            with suppress(RedisError, OSError):
                await self.show()
            await asyncio.sleep(SHOW_SECONDS)

    async def show(self) -> None:
        """Sets the metric. Raises redis.RedisError."""
        for kind in self._rebuild:
            telemetry.INDEX_DIFFERENCE.labels(kind).set(await self._left(kind))

    async def _difference(self, kind: Kind, told: dict[str, str]) -> int:
        """How many documents there are too many, at a moment at which nothing is written. 0 when there is no such moment."""
        for _ in range(ATTEMPTS):
            head = await self._counts.head()
            await self._covered(kind, head)
            documents, expected = await self._documents(kind), await self._expected(kind)
            if documents != expected and kind == "timeline":
                expected -= sum(not has_words(text) for text in await self._counts.faint_texts(self._since()))
            told |= {f"{kind}_documents": str(documents), f"{kind}_expected": str(expected)}
            if documents == expected or (kind == "memory" and self._messages_too and documents > expected):
                return 0
            if await self._counts.head() == head:
                return documents - expected
        told[f"{kind}_busy"] = "yes"
        return 0

    async def _expected(self, kind: Kind) -> int:
        if kind == "timeline":
            return await self._counts.events(self._since())
        return await (self._counts.memories() if kind == "memory" else self._counts.nodes_and_grips())

    async def _documents(self, kind: Kind) -> int:
        found = await self._redis.execute_command("FT.SEARCH", index_alias(kind), "*", "LIMIT", 0, 0)
        return int(found[0])

    async def _covered(self, kind: Kind, position: int) -> None:
        deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while not await Ledger(self._redis, PROJECTION_OF[kind]).covers(position):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{PROJECTION_OF[kind]} has not reached position {position} yet")
            await asyncio.sleep(LOOK_SECONDS)

    async def _left(self, kind: Kind) -> int:
        """The difference that the last check could not do anything about."""
        return int(await self._redis.get(_left_key(kind)) or 0)


def _left_key(kind: Kind) -> str:
    return f"am:index-check:{kind}:left"
