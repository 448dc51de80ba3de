"""An agent without a model that walks the table of contents: it goes where what is written is most like the question. Pure."""

import heapq
from collections.abc import Callable, Iterable, Mapping

import msgspec

from agent_memory.contracts.records import TimelineEvent
from agent_memory.contracts.toc import TocNode
from walks.tree import Tree

Near = Mapping[str, float]
"""How like a question is to each text that stands in the tree."""
Tokens = Callable[[str], int]


class Walked(msgspec.Struct, frozen=True):
    """What was reached: the turns that were read, how many nodes were looked at, and the tokens that counted."""

    turns: frozenset[str]
    nodes: int
    tokens: int


def parts(node: TocNode) -> list[str]:
    """The texts by which a node is judged: title with keywords, summary, and each bullet by itself."""
    named = f"{node.title}: {', '.join(node.keywords)}" if node.keywords else node.title
    return [named, *([node.summary] if node.summary else []), *(bullet.text for bullet in node.bullets)]


def walk(tree: Tree, near: Near, tokens: Tokens, *, budget: int, count_nodes: bool) -> Walked:
    """Best first from the years down: of all that is in sight, a period is opened, which shows its parts, or a bullet's grip
    expanded, whichever is most like the question, until no more fits into the budget.

    What was said counts; with `count_nodes` every node that is shown counts as well.
    """
    sight: list[tuple[float, str, str]] = []
    seen: set[str] = set()
    reading = _Reading(tokens, budget)

    def show(nodes: Iterable[TocNode]) -> bool:
        for node in nodes:
            texts = parts(node)
            if count_nodes and not reading.fits(sum(map(tokens, texts))):
                return False
            reading.nodes += 1
            if node.level != "segment":
                _put(sight, max(near[text] for text in texts), "node", node.node_id)
            for bullet in node.bullets:
                for grip_id in bullet.grip_ids:
                    if grip_id not in seen:
                        seen.add(grip_id)
                        _put(sight, near[bullet.text], "grip", grip_id)
        return True

    more = show(tree.children[""])
    while more and sight:
        _, kind, name = heapq.heappop(sight)
        more = show(tree.children[name]) if kind == "node" else reading.read(tree.grips[name].nearest_first())
    return Walked(frozenset(reading.turns), reading.nodes, reading.spent)


def flat(hits: Iterable[TimelineEvent], tokens: Tokens, *, budget: int) -> Walked:
    """What a search found, from the best on, as long as it fits into the same budget."""
    reading = _Reading(tokens, budget)
    reading.read(hits)
    return Walked(frozenset(reading.turns), 0, reading.spent)


class _Reading:
    """What was read so far."""

    def __init__(self, tokens: Tokens, budget: int) -> None:
        self.turns: set[str] = set()
        self.nodes = 0
        self.spent = 0
        self._tokens = tokens
        self._budget = budget

    def fits(self, size: int) -> bool:
        """Takes so many tokens, if there is room."""
        if self.spent + size > self._budget:
            return False
        self.spent += size
        return True

    def read(self, events: Iterable[TimelineEvent]) -> bool:
        """Whether all of them were read, or known already."""
        for event in events:
            if event.event_id not in self.turns:
                if not self.fits(self._tokens(event.text)):
                    return False
                self.turns.add(event.event_id)
        return True


def _put(sight: list[tuple[float, str, str]], score: float, kind: str, name: str) -> None:
    # Of equals a grip before a node: the node is only as near as the bullet that stands in it.
    heapq.heappush(sight, (-score, kind, name))
