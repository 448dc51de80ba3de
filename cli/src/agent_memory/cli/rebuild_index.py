"""`agent-memory rebuild-index`: the search indexes anew from the log, beside the live ones, without a failed read."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, get_args

import msgspec
import typer
from rich.console import Console

from agent_memory.cli.invariants.documents_check import holds_messages
from agent_memory.cli.loading.summary import Meter, meter
from agent_memory.cli.output import CommandError
from agent_memory.cli.reach import Servers, servers
from agent_memory.contracts.errors import Conflict
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels import generations, retiring
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.indexing import Indexing, RebuildStep
from agent_memory.runtime.broker import connect_redis
from agent_memory.runtime.embed import Embedder, create_embedder, vector_identity
from agent_memory.runtime.settings import Settings, load


class Which(StrEnum):
    """The index that is rebuilt."""

    memory = "memory"
    timeline = "timeline"
    contents = "contents"
    all = "all"


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild did. `embedded`: texts whose vector had to be computed, because the log's side did not have it."""

    kind: str
    generation: int
    documents: int
    seconds: float
    embedded: int

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds if self.seconds else 0.0


def rebuild_index(
    kind: Annotated[Which, typer.Option("--kind", help="Which index.")] = Which.all,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Build the next generation of a search index from the log beside the live one, then swap.

    Searches and writes go on meanwhile. Vectors are kept with the log, so no model is called.
    """
    kinds: list[Kind] = list(get_args(Kind)) if kind is Which.all else [kind.value]  # type: ignore[list-item]
    try:
        done = asyncio.run(_rebuild_all(kinds, servers(os.environ), load(os.environ)))
    except Conflict as error:
        raise CommandError(error.detail, hint="wait until it is done") from error
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(done)).decode())
        return
    for one in done:
        calls = "no text had to be embedded" if not one.embedded else f"{one.embedded} texts had to be embedded"
        print(
            f"{one.kind} index: generation {one.generation}, {one.documents:,} documents in {one.seconds:.1f} s"
            f" ({one.rate:,.0f} a second), {calls}"
        )


async def _rebuild_all(kinds: list[Kind], where: Servers, settings: Settings) -> list[Rebuilt]:
    with meter(Console(stderr=True)) as bar:
        return [await rebuild(kind, where, settings, _shown_on(bar, kind)) for kind in kinds]


async def rebuild(kind: Kind, where: Servers, settings: Settings, tell: Callable[[RebuildStep], None]) -> Rebuilt:
    """Rebuilds one index; `tell` hears how far it is. Raises Conflict when somebody else does, Unavailable, CommandError."""
    redis, connections = connect_redis(where.redis_url), Connections(where.database_url, size=2)
    began = time.monotonic()
    try:
        live = (await generations.registry(redis, kind)).live
        if live is None:
            raise CommandError(f"there is no {kind} index", hint="the indexer makes it when it starts: `agent-memory status`")
        messages_too = settings.index_all_messages_in_long_term_memory or await holds_messages(redis)
        embedder = StoredFirst(live, settings)
        since = await retiring.told(redis)
        vectors = EmbeddingStore(connections)
        indexing = Indexing(kind, redis, embedder, vectors, messages_too=messages_too, since=lambda: since)
        last = RebuildStep(position=0, head=0, documents=0, embedded=0)
        async for last in indexing.rebuild(LogReader(connections), live.algorithm):
            tell(last)
        await embedder.close()
        now = (await generations.registry(redis, kind)).live or live
        seconds = round(time.monotonic() - began, 3)
        return Rebuilt(kind=kind, generation=now.number, documents=last.documents, seconds=seconds, embedded=last.embedded)
    finally:
        await redis.aclose()
        await connections.close()


class StoredFirst:
    """The embedder of the live index. It only comes into being for a text whose vector is not kept with the log, so that a rebuild
    needs no model at all, and cannot change the model by mistake: that is the indexer's, when its settings say so.
    """

    def __init__(self, live: Generation, settings: Settings) -> None:
        self.model = live.model
        self.dimensions = live.dimensions
        self._settings = settings
        self._embedder: Embedder | None = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Vectors of texts that were never embedded. Raises CommandError when the settings name another model."""
        if vector_identity(self._settings) != (self.model, self.dimensions):
            raise CommandError(
                f"{len(texts)} texts have no vector of {self.model} yet, and EMBEDDING_MODEL is another",
                hint="set EMBEDDING_MODEL as for the indexer, or wait until it has caught up",
            )
        self._embedder = self._embedder or create_embedder(self._settings)
        return await self._embedder.embed(texts)

    async def close(self) -> None:
        """Lets go of the model, if there was one."""
        if self._embedder:
            await self._embedder.close()


def _shown_on(bar: Meter, kind: Kind) -> Callable[[RebuildStep], None]:
    begun = False

    def tell(step: RebuildStep) -> None:
        nonlocal begun
        if not begun:
            bar.begin(f"Rebuilding the {kind} index", step.head)
            begun = True
        bar.show(step.position, f"{step.documents:,} documents")

    return tell
