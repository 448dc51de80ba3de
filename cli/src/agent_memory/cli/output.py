"""How commands speak: results on standard output, everything else on standard error, one line for an error."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
PLAIN_WIDTH = 120
"""Columns where no terminal says how wide it is."""


class CommandError(Exception):
    """A command could not do what it was asked. `text` is one line, `hint` says what to do, `code` is the exit code."""

    def __init__(self, text: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code


def callable_here(text: str) -> str:
    """The text with commands named as they can be typed: a checkout's `./run cli` has no agent-memory on the path."""
    return text.replace("agent-memory ", f"{os.environ.get('AGENT_MEMORY_PROGRAM') or 'agent-memory'} ")


def printable(text: str) -> str:
    """The text with nothing in it that a terminal obeys: what was stored comes from anywhere."""
    return "".join(character if character.isprintable() else " " for character in text)


def complain(text: str, hint: str = "") -> None:
    """An error in one line, and what to do about it."""
    colour, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    print(f"{colour}error:{plain} {printable(' '.join(text.split()))}", file=sys.stderr)
    if hint:
        print(f"  hint: {printable(callable_here(' '.join(hint.split())))}", file=sys.stderr)


def note(text: str) -> None:
    """Something that happens on the way, dimmed on a terminal."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    print(f"{dim}{printable(text)}{plain}", file=sys.stderr, flush=True)


def console() -> "Console":
    """Rich's console on standard output."""
    from rich.console import Console  # noqa: PLC0415 (0.1 s that --help need not pay)

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=PLAIN_WIDTH)


def print_json(answer: object) -> None:
    """An answer for programs."""
    print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def in_words(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1_048_576:.0f} MB" if size < 1_073_741_824 else f"{size / 1_073_741_824:.1f} GB"
