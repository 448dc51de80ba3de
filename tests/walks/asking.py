"""Questions answered by walking and by a flat search, with the same budget of tokens."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from agent_memory.contracts.records import TimelineEvent
from agent_memory.runtime.embed import create_embedder, unpacked
from agent_memory.runtime.settings import load
from agent_memory.runtime.tokens import TokenCounter
from bench.sequences import Connection
from bench.sites import Site
from bench.workloads import http
from recall.asking import MODES
from recall.conversations import Conversation, Question
from recall.scores import fraction
from walks.tree import Tree
from walks.walking import Walked, flat, parts, walk

EVENTS_COUNT, ALL_COUNTS = "walk, what was said counts", "walk, all that is read counts"
WAYS = (EVENTS_COUNT, ALL_COUNTS, *(f"search by {mode}" for mode in MODES))
MOST_HITS = 100
AT_ONCE = 256


class Answered(msgspec.Struct, frozen=True):
    """One question, asked one way: the share of its evidence that was reached, and what that took."""

    conversation: str
    category: str
    way: str
    share: float
    turns: int
    nodes: int
    tokens: int


def answered(site: Site, conversation: Conversation, tree: Tree, *, budget: int, done: Callable[[], object]) -> Iterator[Answered]:
    """Every question every way. `done` is called after each question."""
    texts = sorted({text for node in tree.nodes() for text in parts(node)})
    near = _nearness(site, [question.text for question in conversation.questions], texts)
    said = {
        turn.id: TimelineEvent(event_id=turn.id, session_id=turn.session, timestamp_ms=turn.timestamp_ms, text=turn.text)
        for turn in conversation.turns
    }
    counter = TokenCounter()

    def tokens(text: str) -> int:
        return counter.count([text])[0]

    with Connection(site.host, site.port) as connection:
        for question, nearness in zip(conversation.questions, near, strict=True):
            ways: dict[str, Walked] = {
                EVENTS_COUNT: walk(tree, nearness, tokens, budget=budget, count_nodes=False),
                ALL_COUNTS: walk(tree, nearness, tokens, budget=budget, count_nodes=True),
            }
            for mode in MODES:
                hits = _found(connection, conversation.name, question, mode)
                ways[f"search by {mode}"] = flat((said[hit] for hit in hits), tokens, budget=budget)
            for way, walked in ways.items():
                share = fraction(list(walked.turns), question.evidence, len(walked.turns))
                yield Answered(conversation.name, question.category, way, share, len(walked.turns), walked.nodes, walked.tokens)
            done()


def _nearness(site: Site, questions: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, float]]:
    assert site.stack is not None
    environment = site.stack.environment

    async def vectors() -> list[bytes]:
        embedder = create_embedder(load(environment))
        every, found = [*questions, *texts], list[bytes]()
        for first in range(0, len(every), AT_ONCE):
            found += await embedder.embed(every[first : first + AT_ONCE])
        await embedder.close()
        return found

    found = unpacked(asyncio.run(vectors()))
    alike = np.asarray(found[: len(questions)] @ found[len(questions) :].T)
    return [dict(zip(texts, row.tolist(), strict=True)) for row in alike]


def _found(connection: Connection, namespace: str, question: Question, mode: str) -> list[str]:
    body = {"text": question.text, "namespace": namespace, "mode": mode, "limit": MOST_HITS}
    _, answer = connection.get_ok(http("POST", "/v1/timeline/search", body))
    return [one["event_id"] for one in msgspec.json.decode(answer)["events"]]
