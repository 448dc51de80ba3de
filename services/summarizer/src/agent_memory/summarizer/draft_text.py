"""What of an event's text is read: how far, which sentences, and what is no sentence at all (code, data, traces). Pure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from agent_memory.summarizer.drafts import Said
from agent_memory.summarizer.extractive import sentence_spans

TOOL_CHARACTERS = 1_000
"""Of a tool's result: it is quoted, never told."""
LONGEST_READ = 20_000
"""Of any other text."""
LONGEST_SENTENCE = 300
"""Characters of an excerpt. Of a sentence that is longer, the beginning, up to the end of a word."""
_FURTHEST_BACK = 64

_NOTE = (
    r"\[(?i:image|photo|picture|screenshot|gif|sticker|video|audio|voice message|attachment|attached|file|document)s?\b"
    r"(?:[^\[\]:]{0,60}:(?P<caption>[^\[\]]{0,500})|[^\[\]]{0,60})\](?!\()"
)
"""What stands for something that was sent along, maybe with what is to be seen on it: `[image: a dog]`, `[image image/png]`."""
_NOTED = re.compile(_NOTE)
_BETWEEN = re.compile(rf"(?:```|~~~)(?s:.*?)(?:```|~~~|\Z)|{_NOTE}")
_LABEL = re.compile(r"\s*([^\W\d_][\w.'’\-]{0,30}(?: [^\W\d_][\w.'’\-]{0,30}){0,2})(?::\s+|：\s*)")
"""Who speaks, as it stands before what he says."""
_MARKERS = re.compile(r"(?:[-*+•–>|]\s+|\d{1,3}[.)]\s+|\[[ xX]\]\s+)+")
_NO_PROSE = re.compile(
    r"#{1,6}\s|Traceback \(|at \S+[(:]|File \"|Caused by:|\.{3} \d+ more|\w+(?:\.\w+)*(?:Error|Exception)\b:?|thread '|diff --git"
    r"|[$%>] \w|#!|\+\+\+ |--- |@@ |-\S+ .* \\$|(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d|\[?(?:INFO|DEBUG|WARN(?:ING)?|ERROR|FATAL)\b"
    r"|(?:import|from|def|class|function|const|let|var|return|public|private|static|async|await|func|fn|struct|impl|package|using|if"
    r"|for|while|try|except|catch|else|elif|switch|case)\b.*[;{(=:]\s*$|#include|</?\w+[^>]*>\s*$|SELECT .* FROM |[\w.]+\s*=\s*\S+$"
    r"|[\w.\-/]+:\s*\S+$"
)
"""How headings, traces, logs and code begin."""
_SIGNS = re.compile(r"[{}\[\]<>=;|\\/_$#@&*+~^`]")
_ENDS = frozenset(".!?…。！？\"'”’)")
_CODE_NAME = re.compile(r"[_./(:\d]|(?<=\w)[A-Z]")
_LETTERS = re.compile(r"[^\W\d_]")
_LINK = re.compile(r"!?\[([^\]\[]{0,200})\]\([^)\s]{0,500}\)")
_ADDRESS = re.compile(r"\S{60,}|https?://\S+")
_EMPHASIS = re.compile(r"\*\*|__|`+|(?<!\w)[*_](?=\w)|(?<=[\w.!?])[*_](?!\w)")


def readable(event: Said) -> str:
    """The beginning of an event's text that is considered, empty where there is nothing to read. Positions in it are positions in
    the text. It never ends within a character as people see it.
    """
    if not event.text or event.text.isspace():
        return ""
    text = event.text[: border(event.text, TOOL_CHARACTERS if event.event_type == "tool_result" else LONGEST_READ)]
    return "" if text.isspace() else text


def border(text: str, at: int) -> int:
    """The nearest place at or before `at` that parts no sequence which is shown as one: marks, joiners, modifiers, flags."""
    if at >= len(text):
        return len(text)
    for place in range(at, max(at - _FURTHEST_BACK, 0), -1):
        if not _together(text, place):
            return place
    return at


def border_after(text: str, at: int) -> int:
    """The nearest such place at or after `at`."""
    furthest = min(at + _FURTHEST_BACK, len(text))
    while at < furthest and _together(text, at):
        at += 1
    return at


def speakers(said: Sequence[Said]) -> frozenset[str]:
    """The names before what was said ("Ann: Hello"), if texts begin with names: a third of them with one that comes again."""
    texts = [text for one in said if (text := readable(one))]
    counts = Counter(name for text in texts if (name := _speaker(text)))
    again = sum(count for count in counts.values() if count > 1)
    return frozenset(counts) if again and again * 3 >= len(texts) else frozenset()


def spans(event: Said, names: Collection[str] = ()) -> list[tuple[int, int]]:
    """Where in an event's text its sentences are. What is fenced, code, data, a trace, a heading or an announcement is left out,
    and so are notes of what was sent along, and who spoke where that is one of the names.
    """
    text = readable(event)
    if not text or _is_data(text):
        return []
    found: list[tuple[int, int]] = []
    speaker = _LABEL.match(text) if names else None
    start = speaker.end() if speaker and speaker[1] in names else 0
    for end, after in [*(between.span() for between in _BETWEEN.finditer(text)), (len(text), len(text))]:
        part = text[start:end] if start or end < len(text) else text
        found += [(start + first, start + last) for first, last in sentence_spans(part)]
        start = after
    return [span for span in (_bare(text, *one) for one in found) if _is_prose(text[slice(*span)])]


def captions(event: Said) -> list[tuple[int, int]]:
    """Where in an event's text it says what is to be seen on something that was sent along."""
    text = readable(event)
    noted = [one for one in _NOTED.finditer(text) if one["caption"]]
    found = [
        (one.start("caption") + first, one.start("caption") + last)
        for one in noted
        for first, last in sentence_spans(one["caption"])
    ]
    return [span for span in found if _is_prose(text[slice(*span)])]


def clipped(text: str, start: int, end: int) -> tuple[int, int]:
    """A sentence, or the beginning of one that is too long, up to the end of a word if there is one."""
    if end - start <= LONGEST_SENTENCE:
        return start, end
    most = start + LONGEST_SENTENCE
    space = text.rfind(" ", start + LONGEST_SENTENCE // 2, most)
    return start, space if space > 0 else max(border(text, most), start + 1)


def plain(text: str) -> str:
    """A sentence without line breaks and without the marks of Markdown."""
    return " ".join(_EMPHASIS.sub("", _LINK.sub(r"\1", text)).split())


def joined(texts: Iterable[str]) -> str:
    """Sentences one after the other, each with a capital and an end."""
    found = ""
    for text in filter(None, map(str.strip, texts)):
        gap = "" if not found or (found[-1] in "。！？" and text[0] > "\u2e7f") else " "
        found += gap + begun(text) + ("" if text[-1] in _ENDS else ".")
    return found


def begun(text: str) -> str:
    """With a capital, unless it begins with a name from code, which is another name with a capital: `settings.py`, `iPhone`."""
    first = text.split(maxsplit=1)[0].rstrip(".,;!?…")
    return text if _CODE_NAME.search(first) else text[0].upper() + text[1:]


def _speaker(text: str) -> str:
    label = _LABEL.match(text)
    return label[1] if label and not any(word[0].islower() for word in label[1].split()) else ""


def _together(text: str, at: int) -> bool:
    """Whether the characters before and after a place are shown as one."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if after < "\u0300" and before < "\u0300":
        return before == "\r" and after == "\n"
    if before == "\u200d" or after == "\u200d" or unicodedata.category(after)[0] == "M" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if _is_flag(before) and _is_flag(after):
        run = at
        while run > max(at - _FURTHEST_BACK, 0) and _is_flag(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 1
    return "\u1160" <= after <= "\u11ff" and ("\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3")


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """Without the marker of a list or a quotation before it."""
    marker = _MARKERS.match(text, start, end)
    return (marker.end() if marker else start), end


def _is_data(text: str) -> bool:
    bare = text.strip()
    return (bare[0] + bare[-1] in ("{}", "[]") and not _NOTED.match(bare)) or bare.startswith(("<?xml", "<!DOCTYPE", "<html"))


def _is_prose(line: str) -> bool:
    """Whether this reads as something that somebody said."""
    if len(line) < 2 or line[-1] in ":：{[(,\\" or _NO_PROSE.match(line):
        return False
    if _SIGNS.search(line):
        line = _ADDRESS.sub("", _LINK.sub(r"\1", line)).replace("**", "")
        if len(_SIGNS.findall(line)) * 12 > len(line):
            return False
    return len(_LETTERS.findall(line)) * 5 >= len(line) * 2
