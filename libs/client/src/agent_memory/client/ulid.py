"""Ids that sort by time: 26 characters of Crockford's base 32, 48 bits of milliseconds and 80 of chance."""

from secrets import randbits

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LATEST = 2**48 - 1


def new_ulid(timestamp_ms: int) -> str:
    """A fresh id at a moment, in UTC milliseconds; one before 1970 counts as 1970, one after 10889 as then."""
    number = min(max(timestamp_ms, 0), _LATEST) << 80 | randbits(80)
    return "".join(_LETTERS[number >> shift & 31] for shift in range(125, -1, -5))
