r"""Half a character: JavaScript writes `\ud83d` where a text was cut within an emoji. It is JSON, and no text that can be kept.

Here it becomes U+FFFD, so that the message can be read and is answered; the protocol's own library passes such a line over.
"""

import os
import re
import threading

READ_BYTES = 65_536
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)
_HALF = 6
"""Bytes of one escape; a whole character outside the first plane is two of them, and any other escape is shorter here."""


def made_whole(message: bytes) -> bytes:
    """JSON of the same length in which no character is a half."""
    if b"\\ud" not in message and b"\\uD" not in message:
        return message
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if len(escape[0]) == _HALF else escape[0], message)


def make_standard_input_whole() -> None:
    """Has every line of standard input come with whole characters, through a pipe in its place that ends as it does."""
    wire = os.dup(0)
    here, there = os.pipe()
    os.dup2(here, 0)
    os.close(here)
    threading.Thread(target=_pass_on, args=(wire, there), daemon=True, name="standard input").start()


def _pass_on(wire: int, there: int) -> None:
    held = bytearray()
    try:
        with open(there, "wb") as out:
            while chunk := os.read(wire, READ_BYTES):
                held += chunk
                if b"\n" in chunk:
                    lines, end, rest = held.rpartition(b"\n")
                    out.write(made_whole(bytes(lines + end)))
                    out.flush()
                    held = bytearray(rest)
            out.write(made_whole(bytes(held)))
    except BrokenPipeError:
        return  # nobody reads any more
