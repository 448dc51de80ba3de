"""Titles and keywords, of key phrases. Pure."""

from collections.abc import Sequence

from agent_memory.summarizer.draft_phrases import Phrase
from agent_memory.summarizer.draft_text import begun

FEWEST_KEYWORDS, MOST_KEYWORDS = 3, 7
FAINTEST = 0.15
"""Beside the heaviest: of fainter keywords there are no more than the fewest."""
TITLE_WORDS = 6
TITLE_CHARACTERS = 60
SECOND = 0.4
SECOND_OF_A_WORD = 0.2
"""So much of the first topic's weight has a second one that the title names too; less is enough beside a single word."""
NOTHING_SAID = "Session without messages"
SMALL_TALK = "Short exchange"
CODE_ONLY = "Code and tool output"

_AND = {"en": "and", "de": "und", "fr": "et", "es": "y", "pt": "e", "it": "e", "nl": "en", "ru": "и"}
_DISCUSSION = {"en": "{} discussion", "zh": "关于{}", "ja": "{}について", "nl": "Gesprek over {}", "ru": "Разговор: {}"}


def title_of(phrases: Sequence[Phrase], language: str) -> str:
    """Two to six words where there is so much to name; empty without a phrase. What hardly names anything comes last."""
    if not phrases:
        return ""
    named = sorted(phrases, key=lambda one: -one.weight * one.names)
    first = named[0].text
    joint = "、" if language in ("zh", "ja") else f" {_AND[language]} " if language in _AND else ", "
    alone = len(first.split()) < 2
    for second in named[1:3]:
        both = f"{first}{joint}{second.text}"
        enough = (SECOND_OF_A_WORD if alone else SECOND) * named[0].weight * named[0].names
        if second.weight * second.names >= enough and len(both.split()) <= TITLE_WORDS and len(both) <= TITLE_CHARACTERS:
            return begun(both)
    if alone and language in _DISCUSSION:
        return begun(_DISCUSSION[language].format(first))
    return begun(first)


def keywords_of(phrases: Sequence[Phrase], most: int = MOST_KEYWORDS) -> dict[str, float]:
    """In lower case, with weights beside the heaviest, which has 1."""
    found: dict[str, float] = {}
    for phrase in phrases:
        if len(found) >= FEWEST_KEYWORDS and phrase.weight < FAINTEST * phrases[0].weight:
            break
        found.setdefault(phrase.text.lower(), round(min(phrase.weight / phrases[0].weight, 1.0), 4) or 0.0001)
        if len(found) == most:
            break
    return found
