"""JSON and times as people's files have them; every fault becomes a reason in words."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agent_memory.cli.importers.items import BadLine, Unusable

MAX_LINE_BYTES = 64_000_000
"""A longer line is not read to its end: no event is that long, and the file may be no text at all."""

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MICROSECOND = timedelta(microseconds=1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(data: bytes) -> Any:
    """The value of some JSON. Lone surrogates pass, to be reported where they stand. Raises Unusable."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(data)


def _decode_leniently(data: bytes) -> Any:
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise Unusable(f"not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except (RecursionError, ValueError):
        raise Unusable("not usable JSON: nested too deeply, or a number too long") from None


def objects(lines: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any]] | BadLine]:
    """The JSON object of each line that is not blank, with its number from 1."""
    for number, line in enumerate(lines, start=1):
        stripped = line.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else line.strip()
        if not stripped:
            continue
        try:
            yield number, _object(stripped)
        except Unusable as fault:
            yield BadLine(number=number, reason=str(fault))


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise Unusable(f"line is longer than {MAX_LINE_BYTES:,} bytes")
    value = decode(line)
    if not isinstance(value, dict):
        raise Unusable("not a JSON object")
    return value


def instant(value: object) -> tuple[int, int]:
    """UTC milliseconds, and the microseconds they cut off, of ISO 8601 or milliseconds. No zone means UTC. Raises Unusable."""
    if value is None or value == "":
        raise Unusable("timestamp is missing")
    if isinstance(value, int) and not isinstance(value, bool):
        return value, 0
    if isinstance(value, float) and value.is_integer():
        return int(value), 0
    if isinstance(value, str):
        try:
            return _split(datetime.fromisoformat(value.strip()))
        except (ValueError, OverflowError):
            pass
    raise Unusable(f"timestamp {shown(value)} is neither ISO 8601 nor milliseconds")


def seconds(value: object) -> tuple[int, int] | None:
    """UTC milliseconds and rest of Unix seconds; None when the value is no such thing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e13 < value < 1e13:
        return None
    return divmod(round(value * 1_000_000), 1_000)


def _split(moment: datetime) -> tuple[int, int]:
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return since // _MILLISECOND, since % _MILLISECOND // _MICROSECOND


def text_field(record: dict[str, Any], name: str) -> str:
    """A field that must be a string when it is there; empty when it is not. Raises Unusable."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable(f"{name} must be a string, not {shown(value)}")
    return value


def flat(value: object) -> str:
    """A value as a string: strings as they are, anything else as JSON. Raises Unusable."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise Unusable("nested too deeply") from None


def word(value: object) -> str:
    """A name that a file gives to a kind of thing, fit to be printed."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "unknown"


def shown(value: object) -> str:
    """A value in a message, cut short. Escaped, so that it can always be printed."""
    try:
        text = ascii(value)
    except RecursionError:
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
