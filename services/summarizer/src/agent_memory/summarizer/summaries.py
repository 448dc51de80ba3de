"""Makes the oldest messages of a document that is too long part of its summary."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.contracts.commands import SummarizeSession
from agent_memory.contracts.records import Message, ModelUse
from agent_memory.contracts.streams import owner_of
from agent_memory.readmodels import session_work
from agent_memory.readmodels.overflow import DEFAULT_LIMIT, counted, leaving
from agent_memory.runtime.embed_vectors import Floats
from agent_memory.runtime.llm import Completion, CompletionEmpty
from agent_memory.runtime.llm_catalogue import known
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer import extractive
from agent_memory.summarizer.documents import Document, Documents
from agent_memory.summarizer.prompts import SUMMARY
from agent_memory.summarizer.recording import Recorder, used
from agent_memory.summarizer.vectors import KnownVectors

NOTHING = "NONE"
STRANGE_MODEL = 16_000
"""Tokens that a model is taken to accept when nothing is known of it."""
LEAST_ROOM = 256
MOST_COUNTED = 1_000_000
_GAP = re.compile(r"\{(?:prev_summary|messages_joined)\}")

log = structlog.get_logger(__name__)


class Summaries:
    """Work: documents that are too long. Once by the id of the command, which names the document's version; a summary of a document
    that was replaced meanwhile has no effect.
    """

    name = "summary"

    def __init__(
        self,
        redis: Redis,
        documents: Documents,
        model: Journal,
        vectors: KnownVectors,
        recorder: Recorder,
        counter: TokenCounter,
        *,
        share: float,
        prompt: str = "",
        enabled: bool = True,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._documents = documents
        self._model = model
        self._vectors = vectors
        self._recorder = recorder
        self._counter = counter
        self._share = share
        self._prompt = prompt or SUMMARY
        self.ready = enabled
        self._clock_ms = clock_ms

    async def waiting(self) -> int:
        """Documents that are too long and have not ended by themselves."""
        return len(await self.due(MOST_COUNTED)) if self.ready else 0

    async def due(self, limit: int) -> list[str]:
        """Streams of the sessions whose document is too long."""
        now_ms = self._clock_ms()
        found = await session_work.overfull(self._redis)
        return [stream for stream, one in found.items() if one.expires_ms is None or one.expires_ms > now_ms][:limit]

    async def do(self, item: str) -> bool:
        """Summarises what is too much of one document."""
        state = await session_work.state(self._redis, item)
        document = await self._documents.read(item, at_least=state.version)
        if document is None or document.version != state.version:
            return False  # what was recorded since is not known here yet
        tokens = await asyncio.to_thread(self._counter.count, [counted(message) for message in document.messages])
        count = leaving(tokens, state.limit, self._share)
        if not count:
            return False
        scope, session_id = owner_of(item)
        limit = state.limit or DEFAULT_LIMIT
        context, use = await self._summarised(scope.tenant, document, document.messages[:count], limit)
        ids = [message.id for message in document.messages[:count]]
        command = SummarizeSession(
            session_id=session_id, context=context, message_ids=ids, document_sequence=state.sequence, use=use
        )
        digest = blake2b(msgspec.json.encode([item, document.version, ids]), digest_size=16).hexdigest()
        await self._recorder.record(scope, f"summarize/{scope.tenant}/{digest}", command)
        log.info("summarised", session=session_id, messages=count, characters=len(context), model=use.model)
        return True

    async def _summarised(
        self, tenant: str, document: Document, leaving_now: Sequence[Message], limit: int
    ) -> tuple[str, ModelUse]:
        if self._model.model:
            context, completions = await self._by_model(tenant, document.context or "", leaving_now)
            if context:
                return context, used(*completions)
            # The model found nothing worth keeping and there was no summary: what was said is not to vanish for that.
            return await self._by_vectors("", leaving_now, limit), used(*completions)
        return await self._by_vectors(document.context or "", leaving_now, limit), ModelUse()

    async def _by_model(self, tenant: str, context: str, messages: Sequence[Message]) -> tuple[str, list[Completion]]:
        completions: list[Completion] = []
        room = _room(self._model.model)
        for lines in await asyncio.to_thread(lambda: list(chunks(messages, room, self._counter))):
            asked = filled(self._prompt, context, lines)
            try:
                answer = await self._model.ask(tenant, [{"role": "user", "content": asked}], str.strip)
            except CompletionEmpty:
                continue
            completions.append(answer.completion)
            if answer.value.strip("\"'.*` ").upper() != NOTHING:
                context = answer.value
        return context, completions

    async def _by_vectors(self, context: str, messages: Sequence[Message], limit: int) -> str:
        """The old summary, shortened to half of the room if it must be, and what is central in the messages."""
        room = extractive.budget(limit)
        if len(context) > room // 2:
            parts = extractive.sentences(context)
            context = "\n".join(await self._chosen(await self._vectors.of(parts), parts, room // 2))
        told = [message for message in messages if message.content.strip()]
        excerpts = [extractive.excerpt(message.content) for message in told]
        lines = [f"{message.role}: {excerpt}" for message, excerpt in zip(told, excerpts, strict=True)]
        vectors = await self._vectors.of([message.content for message in told], excerpts) if told else None
        taken = [] if vectors is None else await self._chosen(vectors, lines, room - len(context))
        return "\n".join(part for part in (context, *taken) if part)

    async def _chosen(self, vectors: Floats, lines: Sequence[str], room: int) -> list[str]:
        taken = await asyncio.to_thread(extractive.chosen, vectors, [len(line) + 1 for line in lines], room)
        return [lines[number] for number in taken]


def filled(prompt: str, summary: str, lines: str) -> str:
    """The prompt with the summary so far and the new lines in it, whatever braces these hold."""
    given = {"{prev_summary}": summary, "{messages_joined}": lines}
    return _GAP.sub(lambda gap: given[gap.group()], prompt)


def chunks(messages: Sequence[Message], room: int, counter: TokenCounter) -> Iterator[str]:
    """The messages as lines, oldest first, in chunks of at most `room` tokens. A longer message is cut into several, nothing is
    left out.
    """
    gathered: list[str] = []
    filled = 0
    for line in (piece for message in messages for piece in _pieces(counted(message), room, counter)):
        (tokens,) = counter.count([line])
        if gathered and filled + tokens + 1 > room:
            yield "\n".join(gathered)
            gathered, filled = [], 0
        gathered.append(line)
        filled += tokens + 1
    if gathered:
        yield "\n".join(gathered)


def _pieces(text: str, room: int, counter: TokenCounter) -> Iterator[str]:
    if counter.count([text])[0] <= room or len(text) < 2:
        yield text
        return
    middle = len(text) // 2
    yield from _pieces(text[:middle], room, counter)
    yield from _pieces(text[middle:], room, counter)


def _room(model: str) -> int:
    """Tokens of a chunk: what the model takes, without the summary so far, the one to come, and a reserve."""
    takes = known(model).max_input_tokens or STRANGE_MODEL
    summary = max(512, takes // 8) if takes < 10_000 else max(1024, takes // 10) if takes < 50_000 else max(2048, takes // 20)
    reserve = min(max(230, takes // 100), 1000)
    return max(takes - 2 * summary - reserve, LEAST_ROOM)
