"""Looks for topics and entities in memories that lack them; what is found is added to what is there."""

import asyncio

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.contracts.commands import EnrichMemory
from agent_memory.contracts.records import MemoryRecord, ModelUse, Scope
from agent_memory.contracts.streams import owner_of
from agent_memory.readmodels import enrichment
from agent_memory.runtime.llm import Messages
from agent_memory.runtime.llm_journal import Journal
from agent_memory.summarizer import prompts
from agent_memory.summarizer.bert import Find
from agent_memory.summarizer.extraction import History
from agent_memory.summarizer.recording import Recorder, used
from agent_memory.summarizer.strategies import tags

LONGEST_TEXT = 20_000

log = structlog.get_logger(__name__)


class Finders(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks: "model", a model on this machine, or nobody (None)."""

    topics: str | Find | None = None
    entities: str | Find | None = None
    most_topics: int = 3


class Tags(msgspec.Struct):
    """What a model answers."""

    topics: list[str] = []
    entities: list[str] = []


_tags = msgspec.json.Decoder(Tags)


class Enrichment:
    """Work: memories that lack topics or entities. Once by the id of the command, which names the memory and what it says."""

    name = "enrichment"

    def __init__(self, redis: Redis, history: History, model: Journal, recorder: Recorder, finders: Finders) -> None:
        self._redis = redis
        self._history = history
        self._model = model
        self._recorder = recorder
        self._finders = finders

    @property
    def ready(self) -> bool:
        """Whether anybody looks."""
        return self._able(self._finders.topics) or self._able(self._finders.entities)

    async def waiting(self) -> int:
        """Memories that lack something which somebody is to look for, model or not."""
        wanted = self._finders.topics is not None or self._finders.entities is not None
        return await enrichment.waiting(self._redis) if wanted else 0

    async def due(self, limit: int) -> list[str]:
        """Streams of memories in which something can be found."""
        topics, entities = self._able(self._finders.topics), self._able(self._finders.entities)
        return list(await enrichment.lacking(self._redis, limit=limit, topics=topics, entities=entities))

    async def do(self, item: str) -> bool:
        """Looks at one memory, unless it says something else by now."""
        lacking = await enrichment.of(self._redis, item)
        scope, memory_id = owner_of(item)
        known = await self._history.memory_record(scope.tenant, memory_id)
        if lacking is None or known is None:
            return False
        record = msgspec.json.decode(known[0], type=MemoryRecord)
        if (record.memory_hash or "") != lacking.memory_hash:
            return False  # what it says now comes by itself
        found, use = await self._found(scope.tenant, record.text[:LONGEST_TEXT], topics=lacking.topics, entities=lacking.entities)
        command = EnrichMemory(
            memory_id=memory_id,
            memory_hash=lacking.memory_hash,
            topics=tags(found.topics, self._finders.most_topics),
            entities=tags(found.entities),
            use=use,
        )
        name = f"enrich/{scope.tenant}/{memory_id}/{lacking.memory_hash}/{lacking.version}"
        await self._recorder.record(Scope(tenant=scope.tenant), name, command)
        return True

    async def _found(self, tenant: str, text: str, *, topics: bool, entities: bool) -> tuple[Tags, ModelUse]:
        found, use = Tags(), ModelUse()
        by_model = {
            "topics": topics and self._finders.topics == "model" and self._able("model"),
            "entities": entities and self._finders.entities == "model" and self._able("model"),
        }
        if any(by_model.values()):
            answer = await self._model.ask(
                tenant, question(text, self._finders.most_topics), answered, schema=prompts.LOOK_CLOSER_SCHEMA
            )
            use = used(answer.completion)
            found = Tags(
                topics=answer.value.topics if by_model["topics"] else [],
                entities=answer.value.entities if by_model["entities"] else [],
            )
        if topics and callable(self._finders.topics):
            found.topics = await asyncio.to_thread(self._finders.topics, text)
        if entities and callable(self._finders.entities):
            found.entities = await asyncio.to_thread(self._finders.entities, text)
        return found, use

    def _able(self, finder: str | Find | None) -> bool:
        return bool(self._model.model) if finder == "model" else finder is not None


def question(text: str, most_topics: int) -> Messages:
    """What the model is asked about a memory."""
    return [
        {"role": "system", "content": prompts.LOOK_CLOSER.format(topics=most_topics)},
        {"role": "user", "content": f"----------\n{text}\n----------"},
    ]


def answered(text: str) -> Tags:
    """What it found. Raises ValueError for an answer of another shape."""
    try:
        return _tags.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
