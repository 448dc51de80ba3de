"""A day, week, month or year put into words without a model: what its parts say already, the weightiest of it. Pure."""

import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from agent_memory.contracts.toc import Bullet
from agent_memory.summarizer.draft_lines import lexicon, line_of, term
from agent_memory.summarizer.draft_picks import picked, shared, standing
from agent_memory.summarizer.draft_text import joined
from agent_memory.summarizer.drafts import ChildDraft, PeriodDraft
from agent_memory.summarizer.extractive import sentences

MOST_KEYWORDS = 10
CONSIDERED = 30
"""Keywords that bullets are chosen by."""
FEWEST_BULLETS, MOST_BULLETS = 3, 5
MOST_CHILDREN = 60
"""Children whose bullets are considered: those under which most events lie."""
SUMMED_UP = 3
"""Sentences of a summary."""
AGAIN = 0.5
"""What a sentence counts in a summary that is a bullet beside it."""


class Told(msgspec.Struct, frozen=True):
    """A bullet of a part: the part's number, what it speaks of, and how much it says of the whole, from 0 to 1."""

    at: int
    bullet: Bullet
    terms: frozenset[str]
    score: float


def draft_period(children: Sequence[ChildDraft]) -> PeriodDraft:
    """The draft of a period from its parts, which are given in order of time. A period of one part says what that says."""
    keywords = _merged(children)
    told = _told(children, keywords)
    shown = _picked(told, min(max(FEWEST_BULLETS, len(children)), MOST_BULLETS))
    return PeriodDraft(
        summary=_summary(children, told, shown),
        bullets=tuple(told[at].bullet for at in shown),
        keywords=dict(list(keywords.items())[:MOST_KEYWORDS]),
        made_by="extractive",
    )


def _share(child: ChildDraft) -> float:
    """What a child counts: twice the events do not tell twice as much."""
    return float(max(child.events, 1) ** 0.5)


def _merged(children: Sequence[ChildDraft]) -> dict[str, float]:
    """Keywords of all children, each weighed by the child's events, the heaviest first with weight 1. One that is a part of a
    heavier one, or has such a part, is left out.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    for child in children:
        for word, weight in child.keywords.items():
            if weight > 0 and word.strip():
                weights[word] += weight * _share(child)
    order = sorted(weights, key=lambda word: (-weights[word], word))
    kept: list[str] = []
    for word in order:
        if len(kept) < CONSIDERED and not any(_within(word, other) for other in kept):
            kept.append(word)
    return {word: round(weights[word] / weights[kept[0]], 4) or 0.0001 for word in kept}


def _within(word: str, other: str) -> bool:
    """Whether all that one keyword speaks of is in another, or the other way round."""
    one, two = ({term(part) for part in each.split()} for each in (word, other))
    return one <= two or two <= one


def _told(children: Sequence[ChildDraft], keywords: dict[str, float]) -> list[Told]:
    """The bullets of the parts, in order of time: they tell the more, the heavier the keywords that they speak of."""
    heavy = sorted(range(len(children)), key=lambda at: (-children[at].events, at))[:MOST_CHILDREN]
    found = [(at, bullet) for at in sorted(heavy) for bullet in children[at].bullets]
    known = lexicon(bullet.text for _, bullet in found)
    lines = [line_of(bullet.text, known) for _, bullet in found]
    tells: defaultdict[str, float] = defaultdict(float)
    for keyword, weight in keywords.items():
        for one in line_of(keyword, known).terms:
            tells[one] = max(tells[one], weight)
    told = [
        math.fsum(tells[one] for one in line.terms) / (line.size + 6) ** 0.5 * standing(line, len(bullet.text), known)
        for line, (_, bullet) in zip(lines, found, strict=True)
    ]
    most = max(told, default=0.0) or 1.0
    events = max((children[at].events for at in heavy), default=1) or 1
    return [
        Told(at, bullet, line.terms, 0.8 * each / most + 0.2 * children[at].events / events)
        for (at, bullet), line, each in zip(found, lines, told, strict=True)
    ]


def _picked(told: Sequence[Told], most: int, again: frozenset[int] = frozenset()) -> list[int]:
    """Numbers of those that tell most, of different parts first, in order of time. `again`: what stands elsewhere already."""

    def alike(one: int, other: int) -> float:
        first, second = told[one], told[other]
        if first.at == second.at or first.bullet.text == second.bullet.text:
            return 1.0
        return shared(first.terms, second.terms)

    scores = [one.score * (AGAIN if at in again else 1.0) for at, one in enumerate(told)]
    return sorted(picked(scores, alike, most))


def _summary(children: Sequence[ChildDraft], told: Sequence[Told], shown: Sequence[int]) -> str:
    """What happened, in order of time: the best bullet, and besides it rather what is not shown as a bullet."""
    if len(children) == 1:
        return children[0].summary
    best = max(shown, key=lambda at: told[at].score, default=-1)
    chosen = _picked(told, SUMMED_UP, frozenset(shown) - {best})
    return joined(dict.fromkeys(told[at].bullet.text for at in chosen)) or _beginnings(children)


def _beginnings(children: Sequence[ChildDraft]) -> str:
    """How the summaries of parts without bullets begin."""
    return joined(dict.fromkeys(sentence for child in children for sentence in sentences(child.summary)[:1]))
