"""The file `.env` of the working directory, read at the start of a process. What is in the environment already wins."""

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*
    (?:'(?P<plain>[^']*)' | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^\n'"][^\n]*?|))
    [ \t]*(?:[ \t]\#[^\n]*)?\r?$""",
    re.MULTILINE | re.VERBOSE | re.ASCII,
)
_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}", re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def adopt_dotenv(environment: MutableMapping[str, str] | None = None, folder: Path | None = None) -> frozenset[str]:
    """Puts what `.env` sets, and nobody else did, into the environment; their names. Without a file that can be read: none."""
    environment = os.environ if environment is None else environment
    try:
        text = ((folder or Path.cwd()) / ".env").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return frozenset()
    adopted = {name: value for name, value in read_dotenv(text, environment).items() if name not in environment}
    environment.update(adopted)
    return frozenset(adopted)


def read_dotenv(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Its variables: `NAME=value`, `export` before and `# comments` after allowed; quotes keep spaces, `#` and line ends.

    `${NAME}` and `${NAME:-otherwise}` stand for others, not between single quotes. Lines that say nothing are left out.
    """
    found: dict[str, str] = {}
    for line in _LINE.finditer(text):
        if line["plain"] is not None:
            found[line["name"]] = line["plain"]
            continue
        raw = line["bare"] or "" if line["quoted"] is None else re.sub(r"\\(.)", _unescaped, line["quoted"], flags=re.DOTALL)
        found[line["name"]] = _filled(raw, {**found, **environment})
    return found


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda reference: known.get(reference[1]) or reference[2] or "", text)


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPES.get(escape[1], escape[1])
