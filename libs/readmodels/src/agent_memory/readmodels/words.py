"""How text becomes words. Documents and queries go through the same function, so that neither has to guess the index's rules."""

import re
import unicodedata
from itertools import pairwise

import msgspec

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts written without spaces (Thai, Lao, Burmese, Khmer, kana, Han): each character is a word, and pairs are searched."""

_MARKS = "\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u064b-\u065f"
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W_{UNSPACED}]|[{_MARKS}])+|[{_SYMBOLS}]")
_UNSPACED = re.compile(rf"[{UNSPACED}]")
_RUN = re.compile(rf"[{UNSPACED}]+|[^{UNSPACED}]+")
_PHRASE = re.compile(r'"([^"]*)"')
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})

MAX_WORD = 64
"""Longer words (hashes, base64) are cut, in documents and queries alike."""
MAX_QUERY_WORDS = 256
"""A query's further words are not looked at: its cost is bounded, and nobody ranks by the 257th word of a question."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a keyword query asks for. Each is a clause of one word or of adjacent words: any of `terms`, each of `phrases`."""

    terms: tuple[tuple[str, ...], ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.phrases)


def words(text: str) -> list[str]:
    """Lower-case words, emoji and symbols in order of appearance; punctuation and case are gone."""
    return [word[:MAX_WORD] for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())]


def wanted(text: str) -> Wanted:
    """The clauses of a query: quoted parts are phrases, all else is words. An unbalanced quote is punctuation."""
    text = text.translate(_QUOTES)
    phrases = tuple(found for part in _PHRASE.findall(text) if (found := tuple(words(part)[:MAX_QUERY_WORDS])))
    terms: dict[tuple[str, ...], None] = {}
    for run in _RUN.findall(unicodedata.normalize("NFKC", _PHRASE.sub(" ", text))):
        parts = words(run)
        if _UNSPACED.match(run) and len(parts) > 1:
            terms.update(dict.fromkeys(pairwise(parts)))
        else:
            terms.update(dict.fromkeys((word,) for word in parts))
    return Wanted(terms=tuple(terms)[:MAX_QUERY_WORDS], phrases=phrases)
