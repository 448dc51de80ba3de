"""How far a projection has got. Replicas finish out of order; each position is accounted for once, however often it is reported."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from agent_memory.contracts.streams import ahead_key, checkpoint_key, counters_key, epoch_key, waiting_key

OUTCOMES = ("applied", "skipped", "dead_lettered")

_ADVANCE = (Path(__file__).parent / "lua" / "advance.lua").read_text()
_ADVANCE_SHA = hashlib.sha1(_ADVANCE.encode(), usedforsecurity=False).hexdigest()
_SETTLE = (Path(__file__).parent / "lua" / "settle.lua").read_text()
_SETTLE_SHA = hashlib.sha1(_SETTLE.encode(), usedforsecurity=False).hexdigest()
_MARK = (Path(__file__).parent / "lua" / "mark.lua").read_text()
_MARK_SHA = hashlib.sha1(_MARK.encode(), usedforsecurity=False).hexdigest()

Range = tuple[int, int]
"""Positions from the first to the last, both included."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """All positions up to `checkpoint` and those in `ahead` (disjoint, ordered) are accounted for; `counters` say how.

    But `waiting` of them are passed over only, until a replica of a newer version takes them up.
    """

    checkpoint: int
    ahead: tuple[Range, ...] = ()
    waiting: int = 0
    counters: dict[str, int] = {}

    @property
    def accounted(self) -> int:
        """How many positions are accounted for: the sum of the counters, too."""
        return self.checkpoint + sum(last - first + 1 for first, last in self.ahead) - self.waiting

    def covers(self, position: int) -> bool:
        """Whether the effect of this position is visible."""
        return position <= self.checkpoint or any(first <= position <= last for first, last in self.ahead)


def holes(progress: Progress, head: int) -> list[Range]:
    """Positions up to `head` that nobody has accounted for."""
    found = []
    expected = progress.checkpoint + 1
    for first, last in progress.ahead:
        if first > head:
            break
        if first > expected:
            found.append((expected, first - 1))
        expected = max(expected, last + 1)
    if expected <= head:
        found.append((expected, head))
    return found


class Ledger:
    """The account of one projection, shared by its replicas. It lies beside the data that the projection writes."""

    def __init__(self, redis: Redis, projection: str) -> None:
        self._redis = redis
        self._keys = (checkpoint_key(projection), ahead_key(projection), counters_key(projection))
        self._epoch = epoch_key(projection)
        self._waiting = waiting_key(projection)

    async def mark(self) -> bytes:
        """Stands for this life of Redis' data: another one after a flush, and after a restart, which may forget a second.

        Taken before the effects are written and given to `advance`, it keeps effects that were lost from being accounted for.
        """
        fresh = secrets.token_hex(8)
        try:
            return bytes(await self._redis.evalsha(_MARK_SHA, 1, self._epoch, fresh))
        except NoScriptError:
            return bytes(await self._redis.eval(_MARK, 1, self._epoch, fresh))

    async def advance(
        self,
        ranges: Sequence[Range],
        *,
        applied: int = 0,
        skipped: int = 0,
        dead_lettered: int = 0,
        waiting: Sequence[int] = (),
        mark: bytes = b"",
    ) -> int:
        """Account for positions and return the checkpoint; -1, and nothing is done, when the mark is of an earlier life.

        Overlaps and repetitions are harmless. `waiting`: those of the positions that nobody of this version can read.

        Only positions that are new count, so the counters always add up to what is accounted for. Where a call mixes outcomes
        and part of it was known, which of them were new cannot be told: dead letters are assumed to be, then applied ones.
        """
        parts = [mark, applied, dead_lettered, len(waiting), *waiting, *(end for one in sorted(ranges) for end in one)]
        keys = (*self._keys, self._epoch, self._waiting)
        try:
            reached = await self._redis.evalsha(_ADVANCE_SHA, len(keys), *keys, *parts)
        except NoScriptError:
            reached = await self._redis.eval(_ADVANCE, len(keys), *keys, *parts)
        return int(reached)

    async def waiting(self) -> list[int]:
        """Positions that were passed over, in order: an older version than what they were written by could not read them."""
        return [int(member) for member in await self._redis.zrange(self._waiting, 0, -1)]

    async def count_waiting(self) -> int:
        """How many they are."""
        return int(await self._redis.zcard(self._waiting))

    async def settle(self, outcomes: Mapping[int, str], *, mark: bytes) -> bool:
        """What waited has been dealt with, each position with its outcome. False, and nothing is done, when the mark is of an
        earlier life. Safe to repeat.
        """
        keys = (self._waiting, self._keys[2], self._epoch)
        parts = [mark, *(part for position, outcome in outcomes.items() for part in (outcome, position))]
        try:
            settled = await self._redis.evalsha(_SETTLE_SHA, len(keys), *keys, *parts)
        except NoScriptError:
            settled = await self._redis.eval(_SETTLE, len(keys), *keys, *parts)
        return int(settled) > 0

    async def checkpoint(self) -> int:
        """Every position up to this one is accounted for; 0 for a projection that never ran."""
        return int(await self._redis.get(self._keys[0]) or 0)

    async def read(self) -> Progress:
        """Checkpoint, ranges ahead of it and counters, as of one moment."""
        checkpoint, ahead, counters = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(checkpoint)
            pipe.zrange(ahead, 0, -1)
            pipe.hgetall(counters)
            pipe.zcard(self._waiting)
            reached, members, counted, waiting = await pipe.execute()
        return Progress(
            checkpoint=int(reached or 0),
            ahead=tuple(_range(member) for member in members),
            waiting=int(waiting),
            counters={outcome: int(counted.get(outcome.encode(), 0)) for outcome in OUTCOMES},
        )

    async def covers(self, position: int) -> bool:
        """Whether the effect of this position is visible: what a read that asks for `min_position` waits for."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(self._keys[0])
            pipe.zrange(self._keys[1], position, "-inf", desc=True, byscore=True, offset=0, num=1)
            pipe.zscore(self._waiting, position)
            reached, members, waits = await pipe.execute()
        passed = int(reached or 0) >= position or any(_range(member)[1] >= position for member in members)
        return passed and waits is None

    async def holes(self, head: int) -> list[Range]:
        """Positions up to `head` that nobody has accounted for."""
        return holes(await self.read(), head)


def _range(member: bytes) -> Range:
    first, _, last = member.partition(b"-")
    return int(first), int(last)
