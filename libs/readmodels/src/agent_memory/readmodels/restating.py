"""Whether one text says all that another says, told from their words alone: conservative, so that nothing is lost. Pure.

Nearness of vectors is no proof: "User has 2 cats" and "User has 3 cats" are as near as can be, and so are a statement and its
negation. Only two texts of the same words, or one that stands whole in the other as a clause of its own, are taken to agree.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’.,:/-][^\W_]+)*|[^\w\s]|_")
_STOPS = frozenset('.,;:!?…()[]"“”„«»—–')


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


LIGHT = _these("a an the really very quite just also too")
"""Words without which a text says the same."""
TURNING = _these(
    "not no never none nobody nothing neither nor without hardly barely cannot except unless if whether until only but however"
    " although though maybe perhaps possibly probably might may could would should formerly previously used anymore longer stopped"
    " quit almost false wrong denies denied doubts doubt instead rather than before after or when while"
)
"""Words that turn what stands beside them into something else: both texts must have the same of them."""
JOINING = _these("and in on at with for from during because since who which where by as so")
"""Words after which a clause only adds to what stands before them."""


def restates(longer: str, shorter: str) -> bool:
    """Whether the longer text says all of the shorter one: equal words in equal order, or the shorter one is a clause of it."""
    first, second = words(longer), words(shorter)
    if not _content(second) or _turns(first) != _turns(second):
        return False
    return _content(first) == _content(second) or _stands_in(second, first)


def words(text: str) -> list[str]:
    """A text as words and signs, without case, compatibility forms, contractions of "not" and words that add nothing."""
    normal = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("n't", " not")
    return [word for word in _WORD.findall(normal) if word not in LIGHT]


def _content(found: Sequence[str]) -> list[str]:
    return [word for word in found if word not in _STOPS]


def _turns(found: Sequence[str]) -> Counter[str]:
    return Counter(word for word in found if word in TURNING)


def _stands_in(inner: Sequence[str], outer: Sequence[str]) -> bool:
    wanted = _content(inner)
    for start in range(len(outer) - len(wanted) + 1):
        end = start + len(wanted)
        if outer[start:end] == wanted and _begins(outer, start) and _ends(outer, end):
            return True
    return False


def _begins(outer: Sequence[str], start: int) -> bool:
    return start == 0 or outer[start - 1] in _STOPS


def _ends(outer: Sequence[str], end: int) -> bool:
    return end == len(outer) or outer[end] in _STOPS or outer[end] in JOINING
