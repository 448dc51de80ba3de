"""How text becomes words. Documents and queries go through the same function, so that neither has to guess the index's rules."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import msgspec
from Stemmer import Stemmer

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts written without spaces (Thai, Lao, Burmese, Khmer, kana, Han): each character is a word, and pairs are searched."""

_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u064b-\u065f"
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W_{UNSPACED}]|[{_MARKS}])+|[{_SYMBOLS}]")
_UNSPACED = re.compile(rf"[{UNSPACED}]")
_RUN = re.compile(rf"[{UNSPACED}]+|[^{UNSPACED}]+")
_PHRASE = re.compile(r'"([^"]*)"')
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})

MARK = "_"
"""Before each stem. No word holds it, so a stem is never taken for a word of the same letters, and none reads as a number."""

_STEMMERS = tuple(
    (re.compile(f"[{letters}]+"), Stemmer(language))
    for letters, language in (("a-z", "english"), ("а-яё", "russian"), ("α-ωάέήίόύώϊϋΐΰ", "greek"))
)
"""Snowball, by script: a word tells its letters, not its language. English letters alone, because words of other languages in Latin
script mostly carry accents, and those that do not lose an ending in documents and queries alike. Others stay as they are."""

_COMMON = """
    a about all also am an and any are as at be because been being but by can could did do does doing for from had has have
    having he her hers him his how i if in into is it its just me my no not of on or our ours she should so some such than
    that the their theirs them then there these they this those to too us very was we were what when where which who whom
    whose why will with would you your yours s t d m re ve ll
"""
COMMON = frozenset(_COMMON.split())
"""English words that frame a question and say nothing of what it is about. They are in the index; queries do not rank by them."""

MAX_WORD = 64
"""Longer words (hashes, base64) are cut, in documents and queries alike."""
MAX_PAIRS = 16
MAX_QUERY_WORDS = 256
"""A query's further words are not looked at: its cost is bounded, and nobody ranks by the 257th word of a question."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a keyword query asks for. Each is a clause of one word or of adjacent words: any of `terms`, each of `phrases`.

    The terms as stems: `telling` ones are ranked by, `common` ones are not. A query of common words only ranks by them.
    `pairs`: telling words that stand side by side in the query, as stems; having both side by side counts more.
    """

    terms: tuple[tuple[str, ...], ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()
    telling: tuple[tuple[str, ...], ...] = ()
    common: tuple[tuple[str, ...], ...] = ()
    pairs: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.phrases)


def words(text: str) -> list[str]:
    """Lower-case words, emoji and symbols in order of appearance; punctuation and case are gone."""
    return [word[:MAX_WORD] for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word of `words` without its ending, marked as a stem."""
    for script, stemmer in _STEMMERS:
        if script.fullmatch(word):
            return MARK + str(stemmer.stemWord(word))
    return MARK + word


def wanted(text: str) -> Wanted:
    """The clauses of a query: quoted parts are phrases, all else is words. An unbalanced quote is punctuation."""
    text = text.translate(_QUOTES)
    phrases = tuple(found for part in _PHRASE.findall(text) if (found := tuple(words(part)[:MAX_QUERY_WORDS])))
    terms: dict[tuple[str, ...], None] = {}
    beside: dict[tuple[str, ...], None] = {}
    for run in _RUN.findall(unicodedata.normalize("NFKC", _PHRASE.sub(" ", text))):
        parts = words(run)
        if _UNSPACED.match(run) and len(parts) > 1:
            terms.update(dict.fromkeys(pairwise(parts)))
        else:
            terms.update(dict.fromkeys((word,) for word in parts))
            beside.update(dict.fromkeys(pair for pair in pairwise(parts) if COMMON.isdisjoint(pair)))
    chosen = tuple(terms)[:MAX_QUERY_WORDS]
    telling = _stemmed(term for term in chosen if term[0] not in COMMON)
    common = _stemmed(term for term in chosen if term[0] in COMMON)
    if not telling:
        telling, common = common, ()
    pairs = _stemmed(tuple(beside)[:MAX_PAIRS])
    return Wanted(terms=chosen, phrases=phrases, telling=telling, common=common, pairs=pairs)


def _stemmed(terms: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(tuple(map(stem, term)) for term in terms))
