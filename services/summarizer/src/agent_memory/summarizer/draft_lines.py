"""Sentences as runs of words that say something, between words that only join them. For several languages and scripts. Pure."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import msgspec

from agent_memory.readmodels.words import MAX_WORD, UNSPACED, stem
from agent_memory.summarizer import draft_words

_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u064b-\u065f"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3005\U00020000-\U0003ffff"
_KATAKANA = "\u30a1-\u30fa\u30fc"
_LETTER = rf"(?:[^\W_{UNSPACED}]|[{_MARKS}])"
_TOKEN = re.compile(
    rf"{_LETTER}+(?:['’\-.&_]{_LETTER}+)*[+#]{{0,2}}|[{_KATAKANA}]+|[{_HAN}]+|(?:(?![{_KATAKANA}{_HAN}])[{UNSPACED}])+|[^\s]"
)
_NUMBER = re.compile(r"[\d.,\-]+(?:[ap]m|st|nd|rd|th|h|min|s|ms|kg|g|km|m|cm|mm|gb|mb|kb|k|x)?")
_UNSPACED = re.compile(rf"[{UNSPACED}]")
_HAN_START = re.compile(rf"[{_HAN}]")
_LANGUAGES = tuple(draft_words.FUNCTION.items())
_ENOUGH_WORDS = 300
"""So many tell the language."""


class Lexicon:
    """What the words of some languages are good for: `silent` ones join others or are polite, `faint` ones are said of anything."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        known = [one for one in languages if one in draft_words.FUNCTION]
        self.main = languages[0]
        self.silent = frozenset[str]().union(*(draft_words.FUNCTION[one] | draft_words.FILLERS[one] for one in known))
        self.polite = frozenset[str]().union(*(draft_words.FILLERS[one] for one in known))
        self.faint = frozenset(term(word) for one in known for word in draft_words.FAINT[one])
        self.english = "en" in known
        self.german = self.main == "de"
        self.japanese = "ja" in languages


class Run(msgspec.Struct, frozen=True):
    """Words that stand together, and the word or sign before and after them, folded; empty at the borders of a sentence."""

    before: str
    words: tuple[str, ...]
    after: str = ""


class Line(msgspec.Struct, frozen=True):
    """A sentence. `terms`: what it speaks of, as counted; `addressed`: names spoken to; `size`: its words, or a third of its
    characters where words are not parted; `first`: its first word, folded; `numbers`: whether there are any; `own`, `other`:
    whether somebody tells of himself, or of the one that he speaks to; `happened`, `when`: whether that something did, and when.
    """

    runs: tuple[Run, ...]
    addressed: tuple[str, ...]
    terms: frozenset[str]
    size: int
    first: str
    numbers: bool
    own: bool
    other: bool
    happened: bool
    when: bool


def lexicon(texts: Iterable[str]) -> Lexicon:
    """Of the languages that texts are in: told by their function words, or by their letters."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_TOKEN.findall(text.lower()))
        if counts.total() > _ENOUGH_WORDS:
            break
    found: Counter[str] = Counter()
    for word, count in counts.items():
        if "\u3040" <= word[0] <= "\u30ff":
            found["ja"] += 3 * count
        elif "\u3400" <= word[0] <= "\u9fff":
            found["zh"] += count
        elif word[0].isalpha():
            for language, words in _LANGUAGES:
                if word in words:
                    found[language] += count
    if not found:
        return _lexicon(("en",))
    most = max(found.values())
    return _lexicon(tuple(sorted((one for one in found if found[one] * 5 >= most * 3), key=lambda one: (-found[one], one))))


def line_of(text: str, known: Lexicon) -> Line:
    """What a sentence speaks of."""
    runs: list[Run] = []
    run: list[str] = []
    addressed: list[str] = []
    opener = before = first = ""
    size, numbers = 0, False
    said: set[str] = set()
    for token in [*_TOKEN.findall(text), ""]:
        word = folded(token[:MAX_WORD])
        letter = token[:1]
        if is_unspaced(letter):
            size += (len(token) + 2) // 3
        elif letter.isalnum():
            size += 1
            said.add(word)
            if not (letter.isdigit() and _NUMBER.fullmatch(word)):
                if len(word) > 1 and (word not in known.silent or (token == "New" and size > 1)):
                    opener = opener if run else before
                    run.append(token[:MAX_WORD])
                    first = first or word
                    continue
            else:
                numbers = True
        if run:
            if len(run) == 1 and _is_address(opener, run[0], token, known):
                addressed.append(term(run[0]))
            else:
                runs.append(Run(opener, tuple(run), word))
            run = []
        if is_unspaced(letter):
            runs += (Run(before, (piece,)) for piece in _pieces(token, known))
        before = word
        first = first or word
    found = frozenset(one for each in runs for word in each.words for one in terms(word))
    return Line(
        runs=tuple(runs),
        addressed=tuple(addressed),
        terms=found,
        size=size,
        first=first,
        numbers=numbers,
        own=not said.isdisjoint(draft_words.OWN),
        other=not said.isdisjoint(draft_words.ADDRESSING),
        happened=not said.isdisjoint(draft_words.HAPPENED) or (known.english and any(word.endswith("ed") for word in said)),
        when=not said.isdisjoint(draft_words.WHEN),
    )


@lru_cache(maxsize=65_536)
def folded(token: str) -> str:
    """A word in lower case, without what is elided before it or contracted after it."""
    word = token.lower().replace("’", "'")
    if "'" not in word[1:-1]:
        return word
    start, _, end = word.partition("'")
    return end if start in draft_words.ELISIONS and len(end) > 1 else start


@lru_cache(maxsize=65_536)
def term(word: str) -> str:
    """A word as it is counted: folded, without its ending."""
    return stem(folded(word))


@lru_cache(maxsize=65_536)
def terms(word: str) -> tuple[str, ...]:
    """What a word counts as: one term, or in scripts without spaces its pairs of characters."""
    if len(word) > 2 and is_unspaced(word[0]) and not _is_katakana(word[0]):
        return tuple(dict.fromkeys(f"_{first}{second}" for first, second in pairwise(word)))
    return (term(word),)


def is_unspaced(letter: str) -> bool:
    """Whether a character belongs to a script that is written without spaces."""
    return letter >= "\u0e00" and _UNSPACED.match(letter) is not None


def is_han(letter: str) -> bool:
    """Whether a character is one of Chinese writing."""
    return _HAN_START.match(letter) is not None


@lru_cache(maxsize=256)
def _lexicon(languages: tuple[str, ...]) -> Lexicon:
    return Lexicon(languages)


def _is_katakana(letter: str) -> bool:
    return "\u30a1" <= letter <= "\u30ff"


def _pieces(token: str, known: Lexicon) -> list[str]:
    """Terms of characters without spaces: katakana as they are, Han between what joins it in Chinese; in Japanese, kana do."""
    if "\u3041" <= token[0] <= "\u3096":
        return []
    parts = [token] if known.japanese or not is_han(token[0]) else draft_words.HAN_JOINING.split(token)
    return [part[:MAX_WORD] for part in parts if len(part) > 1]


def _is_address(before: str, word: str, after: str, known: Lexicon) -> bool:
    """Whether a name is there to speak to somebody: "Thanks, Mel!", "Hey Mel, look", "Mel, look"."""
    if not word[0].isupper():
        return False
    if before == "," or before in known.polite:
        return after in ("!", "?", ".", "", ",")
    return not before and after in (",", "!")
