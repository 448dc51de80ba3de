"""Which of many sentences to show: those that matter, none like another. Pure."""

from collections.abc import Callable, Sequence

from agent_memory.summarizer import draft_words
from agent_memory.summarizer.draft_lines import Lexicon, Line, is_unspaced
from agent_memory.summarizer.extractive import RELEVANCE

SHORT, LONG = 45, 200
"""Characters below which a sentence seldom stands for itself, and above which it makes no single point any more."""


def picked(scores: Sequence[float], alike: Callable[[int, int], float], most: int) -> list[int]:
    """Numbers of at most so many, the best first, by maximal marginal relevance. Scores and likeness lie between 0 and 1."""
    left = list(range(len(scores)))
    nearest = [0.0] * len(scores)
    taken: list[int] = []
    while left and len(taken) < most:
        best = max(left, key=lambda at: (RELEVANCE * scores[at] - (1 - RELEVANCE) * nearest[at], -at))
        left.remove(best)
        taken.append(best)
        for at in left:
            nearest[at] = max(nearest[at], alike(best, at))
    return taken


def shared(one: frozenset[str], other: frozenset[str]) -> float:
    """How much of the smaller set is in the larger one."""
    return len(one & other) / min(len(one), len(other)) if one and other else 0.0


def standing(line: Line, length: int, known: Lexicon) -> float:
    """How well a sentence of so many characters stands for itself: whole, neither short nor long, and telling of what is or was
    rather than that somebody thanks, praises or urges.
    """
    characters = length * 3 if is_unspaced(line.first[:1]) else length
    worth = 0.6 if characters < SHORT else 0.85 if characters > LONG else 1.0
    if line.first in draft_words.LEANING:
        worth *= 0.7
    if line.first in known.polite:
        worth *= 0.75
    if line.own and not line.other:
        worth *= 1.2 * (1.15 if line.happened else 1.0)
    elif line.other and not line.own:
        worth *= 0.65
    if line.when:
        worth *= 1.15
    return worth * (1.1 if line.numbers else 1.0)
