"""Where in a text a quotation is that was not copied to the letter: other case, white space, quotation marks, dashes. Pure."""

import re
import unicodedata
from functools import lru_cache

from agent_memory.summarizer.draft_lines import is_unspaced
from agent_memory.summarizer.draft_text import border, border_after

SHORTEST = 3
"""Letters and digits of a quotation that can be told from chance; in scripts without spaces one less."""
_LEFT_OUT = re.compile(r"\s*(?:\[?(?:\.\.\.|…)\]?)\s*")
_CLOSING = frozenset(".!?…。！？\"'”’»)]")
_OPENING = frozenset("\"'“‘„«([¿¡")

Span = tuple[int, int]


class Text:
    """A text in which quotations are looked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        parts = [_key(character) for character in text]
        self._key = "".join(parts)
        self._at = [at for at, part in enumerate(parts) for _ in part]

    def find(self, quotation: str, after: int = 0) -> Span | None:
        """Where it is: the first place at or after `after`, made of whole characters, that neither begins nor ends in a word."""
        wanted = "".join(map(_key, quotation))
        if len(wanted) < SHORTEST - any(map(is_unspaced, wanted)):
            return None
        place = self._key.find(wanted)
        while place >= 0:
            start, end = self._at[place], self._at[place + len(wanted) - 1] + 1
            if start >= after and self._is_whole(start, end):
                return self._widened(start, end, quotation.strip())
            place = self._key.find(wanted, place + 1)
        return None

    def find_parts(self, quotation: str) -> list[Span]:
        """Where its parts are, one after the other, when something was left out of it (…); empty unless all are found."""
        whole = self.find(quotation)
        if whole is not None:
            return [whole]
        found: list[Span] = []
        for part in filter(None, _LEFT_OUT.split(quotation)):
            span = self.find(part, found[-1][1] if found else 0)
            if span is None:
                return []
            found.append(span)
        return found

    def _is_whole(self, start: int, end: int) -> bool:
        return not (self._joins(start) or self._joins(end))

    def _joins(self, at: int) -> bool:
        if not 0 < at < len(self.text):
            return False
        before, after = self.text[at - 1], self.text[at]
        return before.isalnum() and after.isalnum() and not is_unspaced(before) and not is_unspaced(after)

    def _widened(self, start: int, end: int, quotation: str) -> Span:
        """With the sign before and the signs after it, where it was quoted with some, and to the border of a character."""
        start = border(self.text, start)
        if start and quotation[0] in _OPENING and self.text[start - 1] in _OPENING:
            start -= 1
        end = border_after(self.text, end)
        if quotation[-1] in _CLOSING:
            while end < len(self.text) and self.text[end] in _CLOSING:
                end += 1
        return start, border_after(self.text, end)


@lru_cache(maxsize=65_536)
def _key(character: str) -> str:
    """What of a character is compared: letters, digits, marks and symbols, folded; nothing of white space and punctuation."""
    folded = unicodedata.normalize("NFKD", character.casefold())
    return "".join(one for one in folded if unicodedata.category(one)[0] in "LNMS" and one not in "`´^~\ufe0e\ufe0f")
