"""One number for a whole view, whatever order it is read in: equal views, equal digests."""

import hashlib
from collections.abc import Iterable

import msgspec

_SIZE = 1 << 256


def digest_of(entries: Iterable[object]) -> str:
    """Hex digest of a multiset of JSON-like values."""
    total = 0
    for entry in entries:
        total += int.from_bytes(hashlib.sha256(msgspec.json.encode(entry, order="deterministic")).digest(), "big")
    return f"{total % _SIZE:064x}"
