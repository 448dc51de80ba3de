"""Identities that the gateway gives: sortable by time, unique without asking anybody."""

import hashlib
import os
import time
from collections.abc import Callable

from agent_memory.contracts.records import Scope

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [left + right for left in ALPHABET for right in ALPHABET]
_RANDOM_BITS = 80
_COUNT_BITS = 20


class Ids:
    """Makes ULIDs (26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits).

    Those of one process grow strictly: within a millisecond, and when the clock steps back, the last 20 bits count up, so
    that a batch of a thousand events costs one encoding, not a thousand.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._last_ms = 0
        self._high = 0
        self._prefix = ""
        self._count = 0

    def __call__(self) -> str:
        """The next id."""
        now_ms = self._now_ms()
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            fresh = (now_ms << _RANDOM_BITS) | int.from_bytes(os.urandom(10), "big")
            self._start(fresh >> _COUNT_BITS, fresh & 0x7FFFF)
        elif self._count >> _COUNT_BITS:
            self._start(self._high + 1, 0)
        count = self._count
        self._count += 1
        return f"{self._prefix}{_PAIRS[count >> 10]}{_PAIRS[count & 1023]}"

    def _start(self, high: int, count: int) -> None:
        self._high = high
        self._prefix = encode(high << _COUNT_BITS)[:-4]
        self._count = count


def encode(value: int) -> str:
    """128 bits as 26 characters."""
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def derived(scope: Scope, key: str, index: int) -> str:
    """The id of the index-th thing of a request that came with an idempotency key: the same again when the request is.

    Sorts by index within one request.
    """
    digest = hashlib.blake2b(f"{scope.path}\n{key}".encode(), digest_size=15).hexdigest()
    return f"{digest}-{index:05d}"
