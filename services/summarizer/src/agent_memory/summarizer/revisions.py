"""What is to be written about a node: read what it is made from, have it drafted by a model or from the texts themselves."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

from agent_memory.contracts.records import ModelUse, Scope
from agent_memory.contracts.toc import SEGMENT_PREFIX, Revision
from agent_memory.eventlog.said import SaidReader
from agent_memory.readmodels import contents
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.cutting import Segment
from agent_memory.readmodels.fingerprints import of_segment
from agent_memory.runtime import telemetry
from agent_memory.runtime.embed_vectors import EmbeddingRefused, Floats
from agent_memory.runtime.llm import CompletionRefused, CompletionUnusable, Messages
from agent_memory.runtime.llm_journal import Journal
from agent_memory.summarizer.domain import (
    child_draft,
    fingerprint_of_period,
    gone_revision,
    overlap,
    period_revision,
    said,
    segment_revision,
)
from agent_memory.summarizer.drafting import (
    Said,
    SegmentDraft,
    draft_period,
    draft_segment,
    period_request,
    read_period,
    read_segment,
    segment_request,
    worth_reading,
)
from agent_memory.summarizer.recording import used
from agent_memory.summarizer.vectors import KnownVectors

ATTEMPTS = 3
"""Times that a model is asked again for an answer of no use before the node is written about without it."""
SHORTER = 500
"""Characters of a text that are enough to tell what it is about, where its vector is not known yet."""

log = structlog.get_logger(__name__)
T = TypeVar("T")
Made = tuple[Revision, int, ModelUse]
Sessions = Mapping[tuple[Scope, str], Sequence[Segment]]


class Revisions:
    """Makes revisions. `model`: without a name, what is written comes from the texts alone."""

    def __init__(
        self,
        redis: Redis,
        toc: TableOfContents,
        log: SaidReader,
        model: Journal | None,
        vectors: KnownVectors,
        *,
        models_at_once: int,
    ) -> None:
        self._redis = redis
        self._toc = toc
        self._log = log
        self._model = model if model is not None and model.model else None
        self._vectors = vectors
        self.at_once = models_at_once if self._model is not None else 16

    async def read(self, nodes: Sequence[tuple[Scope, str]]) -> Sessions:
        """The segments of the sessions that segments among the nodes belong to. Raises redis.RedisError."""
        generation = (await contents.generations(self._redis)).live
        sessions: dict[tuple[Scope, str], None] = {}
        for scope, node_id in nodes:
            if node_id.startswith(SEGMENT_PREFIX) and (head := await self._toc.head(scope, node_id)) is not None:
                sessions[(scope, head.session_id)] = None
        states = await contents.states(self._redis, generation, list(sessions))
        return {session: state.segments for session, state in zip(sessions, states, strict=True)}

    async def revision(self, scope: Scope, node_id: str, sessions: Sessions) -> Made | None:
        """The next revision of a node, and after how many; None when there is nothing to write. Raises Unavailable, RedisError."""
        version, last = await self._toc.revised(scope, node_id)
        if node_id.startswith(SEGMENT_PREFIX):
            return await self._segment(scope, node_id, version, last, sessions)
        return await self._period(scope, node_id, version, last)

    async def _segment(self, scope: Scope, node_id: str, version: int, last: Revision | None, sessions: Sessions) -> Made | None:
        session_id, before, segment = _find(scope, node_id, sessions)
        if segment is None:
            return _gone(version, last)
        if last is not None and not last.gone and last.fingerprint == of_segment(segment):
            return None
        earlier = overlap(before, segment)
        events = await self._log.events(scope, [one.event_id for one in (*earlier, *segment.members)])
        told, context = said(segment.members, events), said(earlier, events)
        draft, use = await self._about_segment(scope, told, context)
        return segment_revision(segment, session_id, draft, told), version, use

    async def _about_segment(self, scope: Scope, told: Sequence[Said], context: Sequence[Said]) -> tuple[SegmentDraft, ModelUse]:
        if self._model is not None and any(one.text.strip() for one in told):
            messages, schema = segment_request(told, context)
            asked = await self._asked(scope, messages, schema, lambda text: read_segment(text, told))
            if asked is not None:
                return asked
        worth = worth_reading(told)
        texts = [one.text for one in worth]
        vectors = await self._vectors_of(texts) if texts else None
        return await asyncio.to_thread(draft_segment, told, vectors, context), ModelUse()

    async def _vectors_of(self, texts: Sequence[str]) -> Floats | None:
        """None when a provider will not have one of the texts: then their words alone count."""
        try:
            return await self._vectors.of(texts, [text[:SHORTER] for text in texts])
        except EmbeddingRefused as error:
            telemetry.ERRORS.labels("toc.vectors", type(error).__name__).inc()
            log.warning("written about without vectors", error=str(error))
            return None

    async def _period(self, scope: Scope, node_id: str, version: int, last: Revision | None) -> Made | None:
        node = await self._toc.node(scope, node_id)
        if node is None:
            return _gone(version, last)
        children = await self._toc.nodes(scope, node.child_node_ids)
        written = [one for one in children if one.version > 1]
        if not written or (last is not None and not last.gone and last.fingerprint == fingerprint_of_period(children)):
            return None
        weights = [(await self._toc.revised(scope, one.node_id))[1] for one in written]
        drafts = [child_draft(one, {} if about is None else about.keywords) for one, about in zip(written, weights, strict=True)]
        if self._model is not None:
            messages, schema = period_request(node.level, node.title, drafts)
            asked = await self._asked(scope, messages, schema, lambda text: read_period(text, drafts))
            if asked is not None:
                return period_revision(node, children, asked[0]), version, asked[1]
        draft = await asyncio.to_thread(draft_period, drafts)
        return period_revision(node, children, draft), version, ModelUse()

    async def _asked(
        self, scope: Scope, messages: Messages, schema: Mapping[str, Any], read: Callable[[str], T]
    ) -> tuple[T, ModelUse] | None:
        """What a model answered; None when it will not, or not in a way that is of use. Raises Unavailable when it is away."""
        assert self._model is not None
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._model.ask(scope.tenant, messages, read, schema=schema)
            except CompletionUnusable as error:
                telemetry.ERRORS.labels("toc.model", type(error).__name__).inc()
                log.warning("an answer of no use", attempt=attempt, error=error.detail)
            except CompletionRefused as error:
                telemetry.ERRORS.labels("toc.model", type(error).__name__).inc()
                log.warning("the model declined", error=str(error))
                return None
            else:
                return answer.value, used(answer.completion)
        return None


def _find(scope: Scope, node_id: str, sessions: Sessions) -> tuple[str, Segment | None, Segment | None]:
    """Session, the segment before, and the segment."""
    for (owner, session_id), segments in sessions.items():
        for at, segment in enumerate(segments):
            if owner == scope and segment.node_id == node_id:
                return session_id, segments[at - 1] if at else None, segment
    return "", None, None


def _gone(version: int, last: Revision | None) -> Made | None:
    return None if last is None or last.gone else (gone_revision(last), version, ModelUse())
