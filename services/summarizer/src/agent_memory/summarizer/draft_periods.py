"""A day, week, month or year put into words without a model: what its parts say already, the weightiest of it. Pure."""

import math
from collections import defaultdict
from collections.abc import Sequence

from agent_memory.contracts.toc import Bullet, NodeLevel
from agent_memory.summarizer.draft_lines import Lexicon, lexicon, line_of, term
from agent_memory.summarizer.draft_picks import picked, shared
from agent_memory.summarizer.draft_topics import NAMED, is_topics_sentence, topics_sentence
from agent_memory.summarizer.drafts import ChildDraft, PeriodDraft
from agent_memory.summarizer.extractive import sentences

MOST_KEYWORDS = 10
CONSIDERED = 30
"""Keywords that bullets are chosen by."""
FEWEST_BULLETS, MOST_BULLETS = 3, 5
MOST_CHILDREN = 60
"""Children whose bullets are considered: those under which most events lie."""
LED = 2
"""Children whose leading sentences make the summary."""


def draft_period(level: NodeLevel, children: Sequence[ChildDraft]) -> PeriodDraft:
    """The draft of a period from its parts, which are given in order of time. A period of one part says what that says."""
    keywords = _merged(children)
    known = lexicon(text for child in children for text in (child.summary, *(bullet.text for bullet in child.bullets)))
    return PeriodDraft(
        summary=_summary(level, children, keywords, known),
        bullets=_bullets(children, keywords, known),
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


def _bullets(children: Sequence[ChildDraft], keywords: dict[str, float], known: Lexicon) -> tuple[Bullet, ...]:
    """Those that speak of the heaviest keywords, of different children first, with their grips; in order of time."""
    heavy = sorted(range(len(children)), key=lambda at: (-children[at].events, at))[:MOST_CHILDREN]
    found = [(at, bullet) for at in sorted(heavy) for bullet in children[at].bullets]
    lines = [line_of(bullet.text, known) for _, bullet in found]
    tells: defaultdict[str, float] = defaultdict(float)
    for keyword, weight in keywords.items():
        for one in line_of(keyword, known).terms:
            tells[one] = max(tells[one], weight)
    told = [math.fsum(tells[one] for one in line.terms) / (line.size + 6) ** 0.5 for line in lines]
    most = max(told, default=0.0) or 1.0
    events = max((children[at].events for at in heavy), default=1) or 1
    scores = [0.8 * each / most + 0.2 * children[at].events / events for each, (at, _) in zip(told, found, strict=True)]

    def alike(one: int, other: int) -> float:
        if found[one][0] == found[other][0] or found[one][1].text == found[other][1].text:
            return 1.0
        return shared(lines[one].terms, lines[other].terms)

    wanted = min(max(FEWEST_BULLETS, len(children)), MOST_BULLETS)
    return tuple(found[at][1] for at in sorted(picked(scores, alike, wanted)))


def _summary(level: NodeLevel, children: Sequence[ChildDraft], keywords: dict[str, float], known: Lexicon) -> str:
    """What it was mostly about, and how the parts that are most of it begin."""
    if len(children) == 1:
        return children[0].summary
    texts = [text for child in children for text in (child.summary, *(bullet.text for bullet in child.bullets))]
    names = topics_sentence([_as_written(word, texts) for word in list(keywords)[:NAMED]], known.main, level)
    weights = [_share(child) * sum(keywords.get(word, 0.0) for word in child.keywords) for child in children]
    leading = sorted(range(len(children)), key=lambda at: (-weights[at], at))[:LED]
    leads = [_lead(children[at].summary) for at in sorted(leading)]
    return " ".join(dict.fromkeys(text for text in (names, *leads) if text))


def _as_written(word: str, texts: Sequence[str]) -> str:
    """A keyword with the capitals that it was first written with."""
    for text in texts:
        at = text.lower().find(word)
        if at >= 0 and text[at : at + len(word)].lower() == word:
            return text[at : at + len(word)]
    return word


def _lead(summary: str) -> str:
    """The first sentence that says something of its own."""
    return next((sentence for sentence in sentences(summary) if not is_topics_sentence(sentence)), "")
