"""The table of contents against what people noted of the same conversations: pure functions of a tree and a conversation."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from agent_memory.contracts.toc import Span, TocNode
from agent_memory.readmodels.words import COMMON, stem, words
from recall.conversations import Conversation, Turn
from walks.tree import Tree

LEVELS = ("segment", "day", "week", "month", "year")


class Anchored(msgspec.Struct, frozen=True):
    """Bullets of a level, and how many of them have a grip with a turn that a noted fact names."""

    level: str
    bullets: int
    gold: int


class Inexact(msgspec.Struct, frozen=True):
    """A bullet or grip that is not what was said, and why."""

    conversation: str
    node_id: str
    what: str


class Covered(msgspec.Struct, frozen=True):
    """What some words say of a session: how many they are, and the share of the summary's stems that is among them."""

    said_by: str
    words: int
    share: float


def anchored(tree: Tree, conversation: Conversation) -> list[Anchored]:
    """By level. Gold turns are all that a fact names."""
    gold = gold_turns(conversation)
    found = []
    for level in LEVELS:
        hits = [bool(gold & quoted(tree, bullet.grip_ids)) for node, bullet in tree.bullets() if node.level == level]
        found.append(Anchored(level, len(hits), sum(hits)))
    return found


def gold_turns(conversation: Conversation) -> frozenset[str]:
    """The turns that facts name."""
    return frozenset[str]().union(*(fact.evidence for fact in conversation.facts))


def quoted(tree: Tree, grip_ids: Iterable[str]) -> frozenset[str]:
    """The turns that grips quote."""
    return frozenset(span.event_id for grip_id in grip_ids for span in tree.grips[grip_id].grip.spans)


def facts_quoted(tree: Tree, conversation: Conversation) -> int:
    """Facts of which a segment's bullet quotes a turn."""
    told = quoted(tree, (grip for node, bullet in tree.bullets() if node.level == "segment" for grip in bullet.grip_ids))
    return sum(bool(fact.evidence & told) for fact in conversation.facts)


def inexact(tree: Tree, conversation: Conversation) -> Iterator[Inexact]:
    """Bullets without a grip, and grips whose excerpt is not the text of their spans, in one session."""
    said = {turn.id: turn for turn in conversation.turns}
    for node, bullet in tree.bullets():
        if not bullet.grip_ids:
            yield Inexact(conversation.name, node.node_id, f"no grip: {bullet.text}")
    for grip_id, expanded in tree.grips.items():
        grip = expanded.grip
        pieces = [said[one.event_id].text[one.start : one.end] for one in grip.spans if _lies_in(said.get(one.event_id), one)]
        sessions = {said[one.event_id].session for one in grip.spans if one.event_id in said}
        if len(pieces) != len(grip.spans) or " ".join(pieces) != grip.excerpt or sessions != {grip.session_id}:
            yield Inexact(conversation.name, grip.node_id, f"{grip_id}: {grip.excerpt}")


def covered(tree: Tree, conversation: Conversation) -> Iterator[Covered]:
    """For each session that somebody summed up: what is written about it, as many words of its beginning, and all of it."""
    by_session: dict[str, list[TocNode]] = {}
    for node in tree.segments():
        by_session.setdefault(node.session_id or "", []).append(node)
    turns: dict[str, list[Turn]] = {}
    for turn in conversation.turns:
        turns.setdefault(turn.session, []).append(turn)
    for session, nodes in by_session.items():
        wanted = stems(conversation.summaries.get(session, ""))
        if wanted:
            whole = " ".join(turn.text for turn in turns[session])
            yield from _covered(wanted, nodes, whole)


def _covered(wanted: frozenset[str], nodes: list[TocNode], whole: str) -> Iterator[Covered]:
    texts: dict[str, Callable[[TocNode], Iterable[str]]] = {
        "keywords": lambda node: node.keywords,
        "title and summary": lambda node: [node.title, node.summary or ""],
        "bullets": lambda node: [bullet.text for bullet in node.bullets],
        "all of the node": lambda node: [
            node.title,
            node.summary or "",
            *(bullet.text for bullet in node.bullets),
            *node.keywords,
        ],
    }
    longest = 0
    for said_by, of in texts.items():
        text = " ".join(part for node in nodes for part in of(node))
        longest = len(text.split())
        yield Covered(said_by, longest, len(wanted & stems(text)) / len(wanted))
    beginning = " ".join(whole.split()[:longest])
    yield Covered("as many first words", len(beginning.split()), len(wanted & stems(beginning)) / len(wanted))
    yield Covered("all that was said", len(whole.split()), len(wanted & stems(whole)) / len(wanted))


def keywords_shared(tree: Tree, conversation: Conversation) -> tuple[int, int]:
    """Keywords of segments whose session is summed up, and how many of them have all their words in the summary."""
    shared = [
        stems(keyword) <= stems(conversation.summaries[node.session_id or ""])
        for node in tree.segments()
        if (node.session_id or "") in conversation.summaries
        for keyword in node.keywords
    ]
    return len(shared), sum(shared)


def stems(text: str) -> frozenset[str]:
    """The stems of a text's telling words."""
    return frozenset(stem(word) for word in words(text) if word not in COMMON)


def _lies_in(turn: Turn | None, span: Span) -> bool:
    return turn is not None and 0 <= span.start < span.end <= len(turn.text)
