"""A segment put into words without a model: the sentences that the rest is about, as they were said, and key phrases. Pure."""

import math
from collections.abc import Sequence

import msgspec

from agent_memory.contracts.toc import Span
from agent_memory.runtime.embed_vectors import Floats
from agent_memory.summarizer import draft_words
from agent_memory.summarizer.draft_lines import Lexicon, Line, lexicon, line_of
from agent_memory.summarizer.draft_phrases import Tally
from agent_memory.summarizer.draft_picks import LONG, picked, shared, standing
from agent_memory.summarizer.draft_text import border, captions, clipped, joined, plain, readable, spans, speakers
from agent_memory.summarizer.draft_topics import (
    CODE_ONLY,
    NOTHING_SAID,
    SMALL_TALK,
    TITLE_CHARACTERS,
    keywords_of,
    title_of,
)
from agent_memory.summarizer.drafts import DraftBullet, Quote, Said, SegmentDraft

TOGETHER = 160
"""Characters up to which a sentence is shown with the next one."""
TOOL = 0.5
"""What is in a tool's result counts half."""
CONTEXT = 0.25
"""What the words before the segment count: they tell what it goes on with."""
SENTENCES_A_BULLET = 4
"""Of an event that says much."""
MOST_PHRASES = 12
MOST_SENTENCES = 400
SUMMED_UP = 3
"""Sentences of a summary."""
WORTH_SAYING = 0.5
"""What a sentence must count beside the best one to be in a summary though it is no bullet."""
TOLD = 0.7
"""How much counts what a sentence speaks of, against how near its event is to the centre of all."""
SPARE = 4
"""Sentences chosen beyond those that are wanted: some turn out to be shown with their neighbours."""


class Sentence(msgspec.Struct, frozen=True):
    """One that may be shown: `at` is the number of its event among those read, `number` its own within the event."""

    at: int
    number: int
    start: int
    end: int
    text: str
    line: Line


class Read(msgspec.Struct, frozen=True):
    """The events of a segment that were read, each with its sentences and how near it is to the centre, from 0 to 1; `names`: of
    those who speak, where their names stand before what they say.
    """

    said: Sequence[Said]
    sentences: Sequence[Sequence[Sentence]]
    near: Sequence[float]
    vectors: Floats | None
    known: Lexicon
    names: frozenset[str]


class Chosen(msgspec.Struct, frozen=True):
    """A bullet, the sentence that it is shown for, and what that counts."""

    bullet: DraftBullet
    shown_for: Sentence
    score: float


def worth_reading(said: Sequence[Said]) -> list[Said]:
    """The events whose vectors are asked for, in their order: those in which a sentence was said."""
    return [one for one, _ in _placed(said, speakers(said))]


def draft_segment(said: Sequence[Said], vectors: Floats | None, context: Sequence[Said] = ()) -> SegmentDraft:
    """The draft of a segment. `vectors`: a row for each event that is worth reading, or None where there are none to be had;
    `context`: what was said before. Raises ValueError for another number of rows.
    """
    read = _read(said, vectors)
    tally = _tally(read, context)
    phrases = tally.phrases(MOST_PHRASES)
    chosen = _chosen(read, tally)
    bullets = [one.bullet for one in chosen[: _wanted(read)]]
    language = read.known.main
    return SegmentDraft(
        title=title_of(phrases, language) or _plain_title(said, read, bullets),
        summary=_summary(chosen, len(bullets)) or _nothing(said, read),
        bullets=tuple(bullets),
        keywords=keywords_of(phrases),
        made_by="extractive",
    )


def _placed(said: Sequence[Said], names: frozenset[str]) -> list[tuple[Said, list[tuple[int, int]]]]:
    """Events with the places of their sentences; where nobody said any, of what is to be seen on what was sent along."""
    found = [(one, at) for one in said if (at := spans(one, names))]
    return found or [(one, at) for one in said if (at := captions(one))]


def _read(said: Sequence[Said], vectors: Floats | None) -> Read:
    names = speakers(said)
    found = _placed(said, names)
    if vectors is not None and len(vectors) != len(found):
        raise ValueError(f"{len(vectors)} vectors for {len(found)} events that are worth reading")
    known = lexicon(readable(one) for one, _ in found)
    return Read(
        said=[one for one, _ in found],
        sentences=[
            [
                Sentence(at, number, start, end, one.text[start:end], line_of(one.text[start:end], known))
                for number, (start, end) in enumerate(places)
            ]
            for at, (one, places) in enumerate(found)
        ],
        near=_nearness(vectors, len(found)),
        vectors=vectors if vectors is not None and len(vectors) else None,
        known=known,
        names=names,
    )


def _nearness(vectors: Floats | None, count: int) -> list[float]:
    """Of each event to the centre of all, the nearest 1 and the furthest 0; 1 for all that are equally near."""
    if vectors is None or not count:
        return [1.0] * count
    near = vectors @ vectors.mean(axis=0)
    least, most = float(near.min()), float(near.max())
    return [1.0] * count if most - least < 1e-6 else [float(one) for one in (near - least) / (most - least)]


def _tally(read: Read, context: Sequence[Said]) -> Tally:
    tally = Tally(read.known, read.names)
    for one, sentences, near in zip(read.said, read.sentences, read.near, strict=True):
        tally.add([each.line for each in sentences], (0.5 + near / 2) * _trust(one))
    if tally:
        for one in context:
            tally.add([line_of(one.text[start:end], read.known) for start, end in spans(one, read.names)], CONTEXT * _trust(one))
    return tally


def _trust(one: Said) -> float:
    return TOOL if one.event_type == "tool_result" or one.role == "tool" else 1.0


def _wanted(read: Read) -> int:
    """How many bullets: one of one event, more of a long one, up to five of many."""
    telling = [sum(_tells(one.line) for one in sentences) for sentences in read.sentences]
    events = sum(map(bool, telling))
    return max(min(events, 3), min(sum(telling) // SENTENCES_A_BULLET, 3)) if events < 10 else 4 if events < 20 else 5


def _tells(line: Line) -> bool:
    return len(line.terms) > 1 and line.size > 3


def _asks(one: Sentence) -> bool:
    return one.text.rstrip("\"'”’)*_ ").endswith(("?", "？"))


def _chosen(read: Read, tally: Tally) -> list[Chosen]:
    """What may be shown, the best first."""
    every = [one for sentences in read.sentences for one in sentences]
    found = [one for one in every if _tells(one.line)] or [one for one in every if one.line.terms]
    found = ([one for one in found if not _asks(one)] or found)[:MOST_SENTENCES]
    told = [math.fsum(map(tally.weight, one.line.terms)) / (one.line.size + 6) ** 0.5 for one in found]
    most = max(told, default=0.0) or 1.0
    scores = [
        (TOLD * each / most + (1 - TOLD) * read.near[one.at])
        * standing(one.line, one.end - one.start, read.known)
        * _trust(read.said[one.at])
        for one, each in zip(found, told, strict=True)
    ]
    alike = (read.vectors @ read.vectors.T).tolist() if read.vectors is not None else None

    def likeness(one: int, other: int) -> float:
        first, second = found[one], found[other]
        words = shared(first.line.terms, second.line.terms)
        if first.at == second.at:
            return max(words, 0.6)
        return words if alike is None else max(words, alike[first.at][second.at])

    used: set[tuple[int, int]] = set()
    chosen: list[Chosen] = []
    for at in picked(scores, likeness, _wanted(read) + SPARE):
        group = _with_neighbours(found[at], read)
        if used.isdisjoint((one.at, one.number) for one in group):
            used.update((one.at, one.number) for one in group)
            chosen.append(Chosen(_bullet(group, read.said[found[at].at]), found[at], scores[at]))
    return chosen


def _with_neighbours(one: Sentence, read: Read) -> list[Sentence]:
    """A sentence, with the one before it when it leans on that, and with the next one when both are short."""
    sentences = read.sentences[one.at]
    group = [one]
    if one.line.first in draft_words.LEANING and one.number:
        before = sentences[one.number - 1]
        if one.end - before.start <= LONG and _adds(before, read) and _adjoin(before, one, read):
            group.insert(0, before)
    if one.number + 1 < len(sentences):
        following = sentences[one.number + 1]
        if following.end - group[0].start <= TOGETHER and _adds(following, read) and _adjoin(group[-1], following, read):
            group.append(following)
    return group


def _adds(one: Sentence, read: Read) -> bool:
    """Whether a sentence says something beside its neighbour."""
    line = one.line
    return bool(line.terms) and not _asks(one) and line.first not in read.known.polite and (line.own or not line.other)


def _adjoin(one: Sentence, following: Sentence, read: Read) -> bool:
    """Whether one follows the other on the same line."""
    between = read.said[one.at].text[one.end : following.start]
    return "\n" not in between and not between.strip()


def _bullet(group: Sequence[Sentence], said: Said) -> DraftBullet:
    start, end = clipped(said.text, group[0].start, group[-1].end)
    text = plain(said.text[start:end])
    if end < group[-1].end:
        text += " …"
    return DraftBullet(text=text, quotes=(Quote(spans=(Span(event_id=said.event_id, start=start, end=end),)),))


def _summary(chosen: Sequence[Chosen], shown: int) -> str:
    """The best sentence and the next two, rather those that no bullet shows, in the order in which they were said."""
    new = [one for one in chosen[max(shown, 1) :] if one.score >= WORTH_SAYING * chosen[0].score]
    told = [*chosen[:1], *new, *chosen[1:shown]][:SUMMED_UP]
    return joined(one.bullet.text for one in sorted(told, key=lambda one: (one.shown_for.at, one.shown_for.number)))


def _plain_title(said: Sequence[Said], read: Read, bullets: Sequence[DraftBullet]) -> str:
    if bullets:
        start = bullets[0].text[: border(bullets[0].text, TITLE_CHARACTERS)]
        return start if start == bullets[0].text else start.rpartition(" ")[0] or start
    return SMALL_TALK if read.said else CODE_ONLY if any(map(readable, said)) else NOTHING_SAID


def _nothing(said: Sequence[Said], read: Read) -> str:
    if read.said:
        return "Only greetings and short replies were exchanged."
    return "There is only code and output of tools." if any(map(readable, said)) else "Nothing was said."
