"""What a model is asked about segments and periods, and what is made of its answers. The same input is the same request. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from agent_memory.contracts.records import to_datetime
from agent_memory.contracts.toc import MOST_EXCERPT, Bullet, NodeLevel, Span
from agent_memory.runtime.llm import Messages
from agent_memory.summarizer import prompts
from agent_memory.summarizer.draft_quotes import Text
from agent_memory.summarizer.draft_text import border, readable
from agent_memory.summarizer.drafts import ChildDraft, DraftBullet, PeriodDraft, Quote, Said, SegmentDraft

SEGMENT_CHARACTERS = 24_000
"""Of what was said, about 6,000 tokens: what a model reads carefully. The longest texts are cut first."""
CONTEXT_CHARACTERS = 2_000
PERIOD_CHARACTERS = 24_000
SHORTEST_CUT = 200
MOST_BULLETS = 5
MOST_KEYWORDS = 7
MOST_QUOTES = 4
LONGEST_TITLE, LONGEST_SUMMARY, LONGEST_BULLET, LONGEST_KEYWORD = 100, 1_500, 500, 60
"""Characters of an answer that are kept."""
LEAST_KEYWORD = 0.2
"""Weight of the last keyword; the first has 1."""
SURE = 12
"""Characters of a quotation that is looked for in other events than the one that is named."""

T = TypeVar("T")


class _Quoted(msgspec.Struct):
    event: int
    quote: str


class _SegmentBullet(msgspec.Struct):
    text: str
    quotes: list[_Quoted] = []


class _Segment(msgspec.Struct):
    title: str
    summary: str
    bullets: list[_SegmentBullet]
    keywords: list[str] = []


class _PeriodBullet(msgspec.Struct):
    text: str
    from_bullets: list[int] = []


class _Period(msgspec.Struct):
    summary: str
    bullets: list[_PeriodBullet]
    keywords: list[str] = []


_segment = msgspec.json.Decoder(_Segment).decode
_period = msgspec.json.Decoder(_Period).decode


def segment_request(said: Sequence[Said], context: Sequence[Said] = ()) -> tuple[Messages, dict[str, Any]]:
    """What to ask about a segment, and the JSON schema of the answer."""
    lines = _numbered(said)
    earlier = [f"{one.role}: {_one_line(readable(one))}" for one in context if readable(one)]
    before = "\n".join(_fitting(earlier, CONTEXT_CHARACTERS))
    data = f"Lines before, to understand what follows:\n----------\n{before}\n----------\n\n" if before else ""
    data += "Messages:\n----------\n" + "\n".join(lines) + "\n----------"
    return [{"role": "system", "content": prompts.SEGMENT}, {"role": "user", "content": data}], prompts.SEGMENT_SCHEMA


def read_segment(answer: str, said: Sequence[Said]) -> SegmentDraft:
    """The draft of a model's answer about `said`. A bullet whose words are nowhere is dropped. Raises ValueError when it is of
    another shape, has no title or summary, or no bullet is left.
    """
    told = _decoded(answer, _segment)
    texts = _Texts(said)
    bullets = [
        DraftBullet(text=text, quotes=quotes)
        for bullet in told.bullets
        if (text := _short(bullet.text, LONGEST_BULLET)) and (quotes := texts.quotes(bullet.quotes))
    ]
    if not bullets:
        raise ValueError("no bullet quotes what was said")
    return SegmentDraft(
        title=_needed(told.title.rstrip(" ."), LONGEST_TITLE, "title"),
        summary=_needed(told.summary, LONGEST_SUMMARY, "summary"),
        bullets=tuple(bullets[:MOST_BULLETS]),
        keywords=_weighed(told.keywords),
        made_by="model",
    )


def period_request(level: NodeLevel, title: str, children: Sequence[ChildDraft]) -> tuple[Messages, dict[str, Any]]:
    """What to ask about a day, week, month or year, and the JSON schema of the answer."""
    lines: list[str] = []
    number = 0
    for child in _shown(children):
        lines.append(f"# {_one_line(child.title)} ({child.events} messages): {_short(child.summary, LONGEST_SUMMARY)}")
        for bullet in child.bullets:
            number += 1
            lines.append(f"[{number}] {_short(bullet.text, LONGEST_BULLET)}")
    data = f"The {level} {_one_line(title)}, part by part:\n----------\n" + "\n".join(lines) + "\n----------"
    return [{"role": "system", "content": prompts.PERIOD}, {"role": "user", "content": data}], prompts.PERIOD_SCHEMA


def read_period(answer: str, children: Sequence[ChildDraft]) -> PeriodDraft:
    """The draft of a model's answer about `children`. Bullets have the grips of those that they name; one that names none is
    dropped. Raises ValueError when it is of another shape, has no summary, or no bullet is left although there were some.
    """
    told = _decoded(answer, _period)
    known = [bullet for child in _shown(children) for bullet in child.bullets]
    bullets: list[Bullet] = []
    for bullet in told.bullets:
        named = [known[number - 1] for number in bullet.from_bullets if 0 < number <= len(known)]
        grips = tuple(dict.fromkeys(grip for one in named for grip in one.grip_ids))
        text = _short(bullet.text, LONGEST_BULLET)
        if text and grips:
            bullets.append(Bullet(text=text, grip_ids=grips))
    if not bullets and any(one.grip_ids for one in known):
        raise ValueError("no bullet names one that it is made from")
    return PeriodDraft(
        summary=_needed(told.summary, LONGEST_SUMMARY, "summary"),
        bullets=tuple(bullets[:MOST_BULLETS]),
        keywords=_weighed(told.keywords),
        made_by="model",
    )


class _Texts:
    """The texts of a segment's events, in which quotations are looked for."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = said
        self._known: dict[int, Text] = {}

    def quotes(self, quoted: Sequence[_Quoted]) -> tuple[Quote, ...]:
        """Those that are found, none twice."""
        found = (self._located(one) for one in quoted[: 2 * MOST_QUOTES])
        return tuple(dict.fromkeys(quote for quote in found if quote is not None))[:MOST_QUOTES]

    def _located(self, one: _Quoted) -> Quote | None:
        named = one.event - 1
        others = [at for at in range(len(self._said)) if at != named] if len(one.quote) >= SURE else []
        for at in [*([named] if 0 <= named < len(self._said) else []), *others]:
            spans = self._text(at).find_parts(one.quote)
            if spans and sum(end - start + 1 for start, end in spans) <= MOST_EXCERPT:
                return Quote(spans=tuple(Span(event_id=self._said[at].event_id, start=start, end=end) for start, end in spans))
        return None

    def _text(self, at: int) -> Text:
        if at not in self._known:
            self._known[at] = Text(readable(self._said[at]))
        return self._known[at]


def _numbered(said: Sequence[Said]) -> list[str]:
    """A line an event that says anything, under its number: no text can look like the line of another one."""
    texts = {number: _one_line(text) for number, one in enumerate(said, 1) if (text := readable(one))}
    most = _longest(list(map(len, texts.values())), SEGMENT_CHARACTERS)
    return [f"[{number}] {_when(said[number - 1])} {said[number - 1].role}: {_cut(text, most)}" for number, text in texts.items()]


def _when(one: Said) -> str:
    return to_datetime(one.timestamp_ms).isoformat(timespec="minutes").removesuffix("+00:00")


def _shown(children: Sequence[ChildDraft]) -> list[ChildDraft]:
    """The children that fit into a request, those under which most events lie first; in their order."""
    room = PERIOD_CHARACTERS
    kept: list[int] = []
    for at in sorted(range(len(children)), key=lambda at: (-children[at].events, at)):
        child = children[at]
        size = min(len(child.summary), LONGEST_SUMMARY) + sum(min(len(one.text), LONGEST_BULLET) + 8 for one in child.bullets) + 40
        if kept and size > room:
            break
        kept.append(at)
        room -= size
    return [children[at] for at in sorted(kept)]


def _longest(sizes: Sequence[int], room: int) -> int:
    """How long texts may be so that all fit when the longest are cut."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return max(room // left, SHORTEST_CUT)
        room -= size
        left -= 1
    return max(sizes, default=0)


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """The last lines that fit."""
    kept: list[str] = []
    for line in reversed(lines):
        line = _cut(line, room)
        room -= len(line)
        if room < 0:
            break
        kept.append(line)
    return kept[::-1]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: border(text, most)]} […]"


def _short(text: str, most: int) -> str:
    """On one line, without the mark of a list; of a longer one, its beginning."""
    text = _one_line(text).lstrip("-*• ")
    if len(text) <= most:
        return text
    start = text[: border(text, most - 2)]
    return f"{start.rpartition(' ')[0] or start} …"


def _needed(text: str, most: int, name: str) -> str:
    short = _short(text, most)
    if not short:
        raise ValueError(f"the {name} is empty")
    return short


def _weighed(keywords: Sequence[str]) -> dict[str, float]:
    """As many as may be kept; what was named first weighs most."""
    words = list(dict.fromkeys(word for one in keywords if (word := _one_line(one).lower()) and len(word) <= LONGEST_KEYWORD))
    step = (1 - LEAST_KEYWORD) / MOST_KEYWORDS
    return {word: round(1 - at * step, 4) for at, word in enumerate(words[:MOST_KEYWORDS])}


def _decoded(answer: str, decode: Callable[[str], T]) -> T:
    """The JSON of an answer, also when it stands in a fence."""
    start, end = answer.find("{"), answer.rfind("}")
    if start < 0 or end < start:
        raise ValueError("the answer holds no JSON object")
    try:
        return decode(answer[start : end + 1])
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(str(error)) from None
