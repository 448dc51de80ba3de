"""What a conversation is about, in key phrases: runs of words between those that say nothing (Rose et al., RAKE, 2010), weighed by
how many events say them, how near these are to the centre, and what the words around tell of them. Pure.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from agent_memory.summarizer import draft_words
from agent_memory.summarizer.draft_lines import Lexicon, Line, Run, is_han, is_unspaced, term

MOST_WORDS = 3
MOST_CHARACTERS = 8
"""Of a phrase, in scripts with and without spaces."""
LONGEST = 40
"""Characters: what is longer is no word."""
AGAIN = 0.25
"""What saying it once more within an event counts."""
LONGER = (1.0, 1.5, 1.45)
"""A phrase of several words says more than each of them; a third word must be as telling as the others."""
ACRONYM = 6
"""Longer words in capitals alone are loud, not names."""
CANDIDATES = 6
"""Looked at for each phrase that is wanted."""
SPOKEN_TO = 0.2
"""What the name of somebody counts who is spoken to: he is there, he is not what it is about."""
PLAIN, UNSURE = 0.8, 0.5
"""What several words count as a phrase when no article or preposition stands before them, and when more words stand beside them."""
REPLACES = 0.45
"""So much of a word's weight must a longer phrase have that is shown for it."""
UNSURE_NAME, NO_NAME = (0.8, 0.5), 0.4
"""How sure a phrase and a single word are names of something where nothing tells, and where the words around tell otherwise."""
_OPENERS = frozenset(("", '"', "“", "„", "(", "–", "—", "-", ":", "*", ".", "!", "?"))

Terms = tuple[str, ...]


class Phrase(msgspec.Struct, frozen=True):
    """A key phrase: as it is shown, what it is made of, and its weight beside the others. `names`: how sure it is, from
    0 to 1, that it names something, rather than says what that does or is like.
    """

    text: str
    terms: Terms
    weight: float
    names: float = 1.0


class Tally:
    """Counts what events speak of. `speakers`: names of those who say it."""

    def __init__(self, known: Lexicon, speakers: Iterable[str] = ()) -> None:
        self._known = known
        self._said: defaultdict[Terms, float] = defaultdict(float)
        self._looks: defaultdict[Terms, Counter[str]] = defaultdict(Counter)
        self._sure = set[Terms]()
        self._noun: Counter[str] = Counter()
        self._proper: Counter[str] = Counter()
        self._addressed = Counter(term(word) for name in speakers for word in name.split())
        self._worth: dict[str, float] = {}

    def add(self, lines: Sequence[Line], weight: float) -> None:
        """Count the sentences of an event."""
        self._worth.clear()
        here: defaultdict[Terms, float] = defaultdict(float)
        for line in lines:
            self._addressed.update(line.addressed)
            for run in line.runs:
                self._judge(run)
                for terms, text, sure in _grams(run, self._known.german):
                    here[terms] += sure
                    self._looks[terms][text] += 1
                    if sure == 1.0:
                        self._sure.add(terms)
        for terms, count in here.items():
            self._said[terms] += weight * (count if count < 1 else 1 + AGAIN * (count - 1))

    def __bool__(self) -> bool:
        return bool(self._said)

    def weight(self, one: str) -> float:
        """Of a term: how much is said of it, and how much it tells."""
        return self._said.get((one,), 0.0) * self._tells(one)

    def phrases(self, most: int) -> list[Phrase]:
        """The heaviest first, none within another. Where a longer one has nearly the weight of a word, it stands for the word."""
        scored = sorted(((-self._score(terms), at, terms) for at, terms in enumerate(self._said)))[: CANDIDATES * most]
        taken: list[Phrase] = []
        for negative, _, terms in scored:
            within = [at for at, other in enumerate(taken) if _overlap(other.terms, terms)]
            if not within:
                if len(taken) < most and negative < 0 and len(text := self._shown(terms)) <= LONGEST:
                    taken.append(Phrase(text, terms, -negative, self._names(terms)))
            elif len(within) == 1 and _holds(terms, taken[within[0]].terms) and -negative >= REPLACES * taken[within[0]].weight:
                taken[within[0]] = Phrase(self._shown(terms), terms, taken[within[0]].weight, self._names(terms))
        return taken

    def _judge(self, run: Run) -> None:
        """What stands around a run tells whether it begins and ends with a noun or a verb; a capital within a sentence, a name."""
        last = term(run.words[-1])
        if run.before in draft_words.BEFORE_NOUNS:
            self._noun[last] += 1
        elif run.before in draft_words.BEFORE_VERBS:
            self._noun[term(run.words[0])] -= 1
        if _ends_with_verb(run):
            self._noun[last] -= 2
        for at, word in enumerate(run.words):
            if word[0].isupper() and (at or run.before not in _OPENERS) and not (len(word) > ACRONYM and word.isupper()):
                self._proper[term(word)] += 1

    def _tells(self, one: str) -> float:
        known = self._worth.get(one)
        if known is None:
            known = self._worth[one] = self._judged(one)
        return known

    def _judged(self, one: str) -> float:
        worth = SPOKEN_TO if self._addressed[one] else 1.0
        if one in self._known.faint:
            worth *= 0.3
        if self._proper[one]:
            worth *= 1.25
        elif self._known.english and (one,) in self._looks and self._look((one,)).endswith(("ly", "ing", "ed")):
            worth *= 0.6
        noun = self._noun[one]
        return worth * (1.2 if noun > 0 else 0.6 if noun < 0 else 1.0)

    def _names(self, terms: Terms) -> float:
        last, one = terms[-1], len(terms) == 1
        if is_unspaced(last[1:2]) or "_" in last[1:]:
            return 1.0
        noun = self._noun[last] or self._proper[last]
        sure = 1.0 if noun > 0 else UNSURE_NAME[one] if noun == 0 else NO_NAME
        verb = not one and terms not in self._sure and self._look(terms).partition(" ")[0].endswith(("ed", "ing"))
        return sure * NO_NAME if verb or (one and last in self._known.faint) else sure

    def _look(self, terms: Terms) -> str:
        looks = self._looks[terms]
        return max(looks, key=looks.__getitem__)

    def _score(self, terms: Terms) -> float:
        if len(terms) == 1:
            if is_unspaced(terms[0][1:2]):
                return self._said[terms] * math.sqrt(len(terms[0]))
            return self.weight(terms[0])
        if terms[-1] in self._known.faint or terms[0] in self._known.faint:
            return 0.0
        each = sum(self.weight(one) for one in terms) / len(terms)
        told = sum(self._tells(one) for one in terms) / len(terms)
        return math.sqrt(each * self._said[terms] * told) * LONGER[len(terms) - 1]

    def _shown(self, terms: Terms) -> str:
        text = self._look(terms)
        return " ".join(word[0].upper() + word[1:] if self._proper[term(word)] else word for word in text.split())


def _grams(run: Run, german: bool) -> Iterator[tuple[Terms, str, float]]:
    """Phrases within a run, each with its look and how sure it is that it is one. None begins or ends with what the words around
    tell to be a verb; three words are one only where no others stand beside them; in German, each ends with a capital.
    """
    words = run.words
    if len(words) == 1 and is_unspaced(words[0][0]):
        yield from (((f"_{part}",), part, 1.0) for part in _parts(words[0]))
        return
    if run.before in _OPENERS and words[0][1:].islower() and not german:
        words = (words[0].lower(), *words[1:])
    folded = [term(word) for word in words]
    verb = run.before in draft_words.BEFORE_VERBS and run.before not in draft_words.BEFORE_NOUNS and not words[0][0].isupper()
    first, last = int(verb), len(words) - _ends_with_verb(run)
    for start, word in enumerate(words):
        yield (folded[start],), _look(words[start : start + 1]), 0.5 if german and not word[0].isupper() else 1.0
        if start < first or word.lower().endswith("ly"):
            continue
        for end in range(start + 2, min(start + MOST_WORDS, last) + 1):
            whole = start == first and end == last
            final = words[end - 1]
            if (whole or end == start + 2) and not final.lower().endswith("ly") and (not german or final[0].isupper()):
                yield tuple(folded[start:end]), _look(words[start:end]), _sure(run, whole)


def _sure(run: Run, whole: bool) -> float:
    return (1.0 if run.before in draft_words.BEFORE_NOUNS else PLAIN) if whole else UNSURE


def _ends_with_verb(run: Run) -> bool:
    """Whether an object follows, and it is no single word after an article."""
    return run.after in draft_words.BEFORE_OBJECTS and (len(run.words) > 1 or run.before not in draft_words.BEFORE_NOUNS)


def _parts(text: str) -> Iterator[str]:
    """A run of characters itself if it is short, and what may be a term within it. Scripts whose words cannot be told have none."""
    if not is_han(text[0]) and not "\u30a1" <= text[0] <= "\u30ff":
        return
    if len(text) <= MOST_CHARACTERS:
        yield text
    if len(text) > 2 and not "\u30a1" <= text[0] <= "\u30ff":
        for size in range(2, min(len(text), 5)):
            yield from dict.fromkeys(text[start : start + size] for start in range(len(text) - size + 1))


def _look(words: Sequence[str]) -> str:
    last = words[-1].removesuffix("'s").removesuffix("’s")
    return " ".join((*words[:-1], last))


def _overlap(one: Terms, other: Terms) -> bool:
    if len(one) == len(other) == 1:
        first, second = one[0], other[0]
        return first == second or (is_unspaced(first[1:2]) and (first[1:] in second or second[1:] in first))
    return any(each in other for each in one)


def _holds(terms: Terms, other: Terms) -> bool:
    if len(terms) == len(other) == 1:
        return len(terms[0]) > len(other[0])
    return len(terms) > len(other) and set(other) <= set(terms)
