"""Making one memory of those that say the same: an owner's new and changed memories, each compared with what is near it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.compactor import domain
from agent_memory.compactor.settings import CompactorSettings
from agent_memory.contracts.commands import MergeMemories
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord, ModelUse, Scope, content_hash
from agent_memory.contracts.replies import MemoryChanged, ReplyEnvelope
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.eventlog.rows import KnownMemory
from agent_memory.readmodels import duplicates, generations
from agent_memory.readmodels.nearness import Nearness
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.search import MemorySearch
from agent_memory.runtime import telemetry
from agent_memory.runtime.leases import Leases
from agent_memory.runtime.llm import CompletionRefused, NoModel
from agent_memory.runtime.llm_journal import Journal

log = structlog.get_logger("compaction")

EVERYTHING = 2**62
BUSY_SECONDS = 0.2


class Memories(Protocol):
    """What is asked of the log (`eventlog.memories.MemoryLog`)."""

    async def memories(self, tenant: str, memory_ids: Sequence[str], *, causes: bool = False) -> dict[str, KnownMemory]: ...


class Vectors(Protocol):
    """Vectors of texts that were embedded before (`eventlog.embeddings.EmbeddingStore`)."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...


class Sender(Protocol):
    """The way to the writer of the log (`runtime.commanding.Commanding`)."""

    async def send(self, envelopes: Sequence[CommandEnvelope]) -> dict[str, ReplyEnvelope]: ...


class Done(msgspec.Struct, kw_only=True):
    """Memories that became part of others, and the log position of the last change."""

    merged: int = 0
    position: int = 0

    def add(self, other: "Done") -> None:
        """Count the other in."""
        self.merged += other.merged
        self.position = max(self.position, other.position)


class Near(msgspec.Struct, frozen=True):
    """What a step knows: memories by id, the ids near each memory to be looked at, and distances."""

    known: Mapping[str, KnownMemory]
    ids: Mapping[str, Sequence[str]]
    nearness: Nearness


class Compaction:
    """Looks at what is on the owners' work lists. Idempotent: a merge is recorded only if nothing it was decided on has changed."""

    def __init__(
        self,
        redis: Redis,
        memories: Memories,
        vectors: Vectors,
        sender: Sender,
        judge: Journal,
        own: CompactorSettings,
        *,
        semantic: bool = True,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._memories = memories
        self._vectors = vectors
        self._sender = sender
        self._judge = judge
        self._own = own
        self._semantic = semantic
        self._now_ms = now_ms
        self._search = MemorySearch(redis)
        self._leases = Leases(redis, "compaction")

    async def tenant(self, tenant: str, cause: str, *, wanted: Callable[[Scope], bool], patient: bool = False) -> Done:
        """Every wanted owner of a tenant who has work. Patient: waits for an owner whom another replica has in hand.

        Raises Unavailable and redis.RedisError; what was not looked at stays on the lists.
        """
        done = Done()
        for owner in await duplicates.waiting(self._redis, tenant):
            if wanted(owner):
                async with self._in_hand(owner, patient=patient) as free:
                    if free:
                        done.add(await self._owner(owner, cause))
        return done

    @asynccontextmanager
    async def _in_hand(self, owner: Scope, *, patient: bool) -> AsyncIterator[bool]:
        while True:
            async with self._leases.held(owner.path) as held:
                if held or not patient:
                    yield held
                    return
            await asyncio.sleep(BUSY_SECONDS)

    async def _owner(self, owner: Scope, cause: str) -> Done:
        done, skip, same = Done(), 0, await self._of_one_text(owner)
        while True:
            # A memory is compared when the search knows it and all that came before: of two, the later one finds the other.
            up_to = await Ledger(self._redis, MEMORY_INDEX).checkpoint() if self._semantic else EVERYTHING
            work = await duplicates.work(self._redis, owner, up_to=up_to, limit=self._own.together, skip=skip)
            if not work:
                return done
            step, left = await self._step(owner, [memory_id for memory_id, _ in work], same, cause)
            done.add(step)
            await duplicates.looked_at(self._redis, owner, [one for one in work if one[0] not in left])
            skip += sum(memory_id in left for memory_id, _ in work)

    async def _of_one_text(self, owner: Scope) -> dict[str, list[str]]:
        """Of each memory that is not alone with its text, all that have it."""
        groups = await duplicates.duplicates(self._redis, owner)
        return {memory_id: group for group in groups for memory_id in group}

    async def _step(self, owner: Scope, ids: Sequence[str], same: Mapping[str, Sequence[str]], cause: str) -> tuple[Done, set[str]]:
        """Returns what was done, and which memories are to be looked at again."""
        near, left = await self._around(owner, ids, same)
        merges: list[MergeMemories] = []
        taken: set[str] = set()
        for memory_id in ids:
            seed = near.known.get(memory_id)
            if seed is None or memory_id in taken or memory_id in left:
                continue
            others = [near.known[one] for one in near.ids[memory_id] if one in near.known and one not in taken]
            try:
                found = await self._agreed(owner.tenant, seed, others, near.nearness)
            except Unavailable as error:
                log.warning("put off", memory_id=memory_id, error=f"{type(error).__name__}: {error.detail}")
                left.add(memory_id)
                continue
            if found is not None:
                merges.append(found)
                taken |= found.versions.keys()
        done, again = await self._record(owner, merges, cause)
        return done, left | again

    async def _agreed(
        self, tenant: str, seed: KnownMemory, others: Sequence[KnownMemory], nearness: Nearness
    ) -> MergeMemories | None:
        """The merge of a memory with those that say the same. Raises Unavailable while the model cannot be asked."""

        def near(one: KnownMemory, other: KnownMemory) -> bool:
            return self._semantic and nearness.distance(one.record.id, other.record.id) <= self._own.farthest

        in_words = domain.group(seed, others, lambda one, other: near(one, other) and domain.restated(one, other))
        if len(in_words) > 1:
            return domain.merge(in_words)
        members = domain.oldest_first(domain.group(seed, others, near))
        if len(members) < 2 or not self._judge.model:
            return None
        try:
            read = await self._judge.ask(tenant, domain.question(members), domain.verdict_of, schema=domain.VERDICT_SCHEMA)
        except NoModel:
            return None
        except CompletionRefused as error:
            log.warning("kept apart", memory_ids=[one.record.id for one in members], error=error.detail)
            return None
        chosen = domain.chosen(members, read.value)
        if not chosen:
            return None
        used = read.completion.usage
        use = ModelUse(
            model=read.completion.model,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cost=used.cost,
        )
        return domain.merge(chosen, read.value.text.strip(), use)

    async def _record(self, owner: Scope, merges: Sequence[MergeMemories], cause: str) -> tuple[Done, set[str]]:
        """The survivors are looked at once more, because there may be others that agree with them; and what was not merged is."""
        sent = {(one := domain.envelope(owner.tenant, merge, cause, self._now_ms())).id: (one, merge) for merge in merges}
        replies = await self._sender.send([envelope for envelope, _ in sent.values()])
        done, again = Done(), set[str]()
        for command_id, (_, merge) in sent.items():
            reply = replies.get(command_id)
            if reply is not None and isinstance(reply.reply, MemoryChanged):
                done.add(Done(merged=len(merge.source_ids), position=reply.position))
                again.add(merge.record.id)
                telemetry.MERGED.labels("model" if merge.use.model else "words").inc(len(merge.source_ids))
                log.info("merged", into=merge.record.id, sources=merge.source_ids, model=merge.use.model)
            else:
                again |= merge.versions.keys()
        return done, again

    async def _around(self, owner: Scope, ids: Sequence[str], same: Mapping[str, Sequence[str]]) -> tuple[Near, set[str]]:
        """What is near the memories to be looked at, and those of them of which it cannot be told yet."""
        known = await self._memories.memories(owner.tenant, ids, causes=True)
        near = {memory_id: dict.fromkeys(one for one in same.get(memory_id, ()) if one != memory_id) for memory_id in ids}
        left: set[str] = set()
        model = await self._model() if self._semantic else ""
        if model:
            vectors = await self._vectors_of(model, known)
            left = {memory_id for memory_id in ids if memory_id in known and memory_id not in vectors}
            seeds = [memory_id for memory_id in ids if memory_id in vectors]
            found = await asyncio.gather(*(self._neighbours(owner, known[one].record, vectors[one]) for one in seeds))
            for memory_id, neighbours in zip(seeds, found, strict=True):
                near[memory_id] |= dict.fromkeys(neighbours)
        elif self._semantic:
            left = set(ids)
        others = {one for found_near in near.values() for one in found_near} - known.keys()
        known |= await self._memories.memories(owner.tenant, sorted(others), causes=True)
        nearness = Nearness(await self._vectors_of(model, known)) if model else Nearness({})
        return Near(known, {memory_id: list(found_near) for memory_id, found_near in near.items()}, nearness), left

    async def _model(self) -> str:
        """The model of the vectors that are searched; empty when there is no index."""
        live = (await generations.registry(self._redis, "memory")).live
        return "" if live is None else live.model

    async def _vectors_of(self, model: str, known: Mapping[str, KnownMemory]) -> dict[str, bytes]:
        hashes = {memory_id: content_hash(one.record.text) for memory_id, one in known.items()}
        found = await self._vectors.find(model, list(set(hashes.values()))) if hashes else {}
        return {memory_id: found[digest] for memory_id, digest in hashes.items() if digest in found}

    async def _neighbours(self, owner: Scope, record: MemoryRecord, vector: bytes) -> list[str]:
        query = SearchMemories(
            tenant=owner.tenant,
            text=record.text,
            filters=MemoryFilters(
                namespace=_exactly(owner.namespace), user_id=_exactly(owner.user_id), memory_type=TagFilter(eq=record.memory_type)
            ),
            distance_threshold=self._own.farthest,
            limit=self._own.neighbours + 1,
        )
        return [hit.id for hit in (await self._search.search(query, vector)).hits if hit.id != record.id]


def _exactly(name: str) -> TagFilter:
    return TagFilter(eq=name) if name else TagFilter(none=True)


def owners_like(namespace: str | None, user_id: str | None) -> Callable[[Scope], bool]:
    """Which owners a caller means; None leaves namespace or user open."""
    return lambda owner: namespace in (None, owner.namespace) and user_id in (None, owner.user_id)


async def remaining(redis: Redis, tenant: str, wanted: Callable[[Scope], bool]) -> int:
    """How many memories the wanted owners of a tenant have."""
    sizes = [await duplicates.size(redis, owner) for owner in await duplicates.owners(redis, tenant) if wanted(owner)]
    return sum(sizes)
