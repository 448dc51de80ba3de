"""The formats that can be imported, and how to tell which one a file has."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from agent_memory.cli.importers import chatgpt, claude_code, own
from agent_memory.cli.importers.items import Item, Unusable
from agent_memory.cli.importers.reading import decode

HEAD_BYTES = 262_144
"""How much of a file is looked at to tell its format."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format. `by_line`: it can be read line by line, however long the file; if not, `parse` wants the whole of it."""

    name: str
    title: str
    parse: Callable[[Iterable[bytes]], Iterator[Item]]
    by_line: bool = True


FORMATS: Mapping[str, Format] = {
    format_.name: format_
    for format_ in (
        Format(name=own.NAME, title="Agent Memory JSONL", parse=own.parse),
        Format(name=claude_code.NAME, title="Claude Code transcript", parse=claude_code.parse),
        Format(name=chatgpt.NAME, title="ChatGPT export", parse=chatgpt.parse, by_line=False),
    )
}

_KEYS = re.compile(rb'"(mapping|sessionId|parentUuid|isSidechain|leafUuid|session_id|event_type)"\s*:')
_FORMAT_OF_KEY = {
    b"mapping": chatgpt.NAME,
    b"sessionId": claude_code.NAME,
    b"parentUuid": claude_code.NAME,
    b"isSidechain": claude_code.NAME,
    b"leafUuid": claude_code.NAME,
    b"session_id": own.NAME,
    b"event_type": own.NAME,
}


class Unrecognised(Exception):
    """The start of the file fits no format; the text says which there are."""


def detect(head: bytes) -> Format:
    """The format of a file, from its first `HEAD_BYTES`. Raises Unrecognised."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return FORMATS[chatgpt.NAME]
    for line in start.splitlines():
        if name := _of_line(line):
            return FORMATS[name]
    if found := _KEYS.search(start):
        return FORMATS[_FORMAT_OF_KEY[found[1]]]
    known = ", ".join(f"{format_.title} ({format_.name})" for format_ in FORMATS.values())
    raise Unrecognised(f"not a history that can be read: expected one of {known}")


def _of_line(line: bytes) -> str | None:
    """The format of one whole line: only its outermost keys count, because anything may be quoted inside a text."""
    try:
        record = decode(line)
    except Unusable:
        return None
    if not isinstance(record, dict):
        return None
    return next((name for key, name in _FORMAT_OF_KEY.items() if key.decode() in record), None)
