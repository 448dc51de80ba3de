"""Runs a projection: events from the bus as fast as they come, from the log whatever the bus did not bring.

A projection's checkpoint lies next to the data it writes and counts every position, interesting or not: events in the
log = applied + skipped + dead-lettered + in flight. Positions have no gaps, so a missing one is seen by arithmetic. Replicas
share the checkpoint: each reports the ranges it has accounted for, and the checkpoint moves over what is contiguous.

While two versions run side by side, an older replica meets events that it cannot read. It passes them over and notes their
positions; a replica that can read them applies them from the log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from agent_memory.contracts.codec import decode_envelope, encode, known_types
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import NeedsUpgrade, Unavailable
from agent_memory.contracts.streams import DATA_FIELD, EVENTS
from agent_memory.contracts.upcasters import written_as
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.dead_letters import DeadLetter, bury
from agent_memory.runtime.leases import Leases

log = structlog.get_logger("projection")

DATA = DATA_FIELD.encode()
ATTEMPTS = 3
CRASHING_DELIVERIES = 5
SWEEP_SECONDS = 1.0
SWEEP_LEASE_MS = 5_000
PATIENCE_SECONDS = 2.0
HEARD_SECONDS = 2.0
LONGEST_IN_HAND_SECONDS = 30.0
CATCH_UP = 500
LOOK_AGAIN_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0

Apply = Callable[[list[EventEnvelope]], Awaitable[None]]
Range = tuple[int, int]


class Log(Protocol):
    """What a projection asks of the log."""

    async def head(self) -> int: ...
    async def after(
        self, position: int, *, up_to: int | None = None, limit: int = 500, without: Collection[str] = ()
    ) -> list[EventEnvelope]: ...
    async def these(self, positions: Sequence[int]) -> list[EventEnvelope]: ...
    async def at(self, position: int) -> EventEnvelope | None: ...


class Ledger(Protocol):
    """Where a projection keeps what it has accounted for."""

    async def mark(self) -> bytes: ...
    async def advance(
        self, ranges: Sequence[Range], *, applied: int, skipped: int, dead_lettered: int, waiting: Sequence[int], mark: bytes
    ) -> int: ...
    async def waiting(self) -> list[int]: ...
    async def count_waiting(self) -> int: ...
    async def settle(self, outcomes: Mapping[int, str], *, mark: bytes) -> bool: ...
    async def checkpoint(self) -> int: ...
    async def holes(self, head: int) -> list[Range]: ...


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one projection different from another. `apply` may be called again with the same events.

    Waking up for every single event costs more than the event. So after a batch the reader pauses for `linger_seconds` and
    lets events gather; `eager_seconds` is the pause after a batch that held something of interest, where readers wait for it.
    """

    name: str
    types: frozenset[str]
    apply: Apply
    linger_seconds: float = 0.1
    eager_seconds: float = 0.1
    rest: float = 0.0
    """Pause after a batch, as a share of the time it took: what nobody waits for leaves the servers to those who do."""


class Left(msgspec.Struct, frozen=True):
    """Positions that were not applied: given up, or of a version that this one cannot read."""

    dead: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()

    def __add__(self, other: "Left") -> "Left":
        return Left(self.dead + other.dead, self.waiting + other.waiting)


class Runner:
    """Keeps one projection up to date. `handle` is the bus handler, `sweep` a task beside it."""

    def __init__(
        self, projection: Projection, *, log: Log, ledger: Ledger, redis: Redis, known: frozenset[str] | None = None
    ) -> None:
        """`known`: the types of events that this version can read, where that is not what the contracts say."""
        self.projection = projection
        self._known = known_types() if known is None else known
        self._types = written_as(projection.types) & self._known
        self._beyond: set[int] = set()
        self._look_again = 0.0
        self._log = log
        self._ledger = ledger
        self._redis = redis
        self._sweeping = Leases(redis, "sweep", lease_ms=SWEEP_LEASE_MS)
        self._stuck: tuple[int, float] = (-1, 0.0)

    async def handle(self, entries: Sequence[Entry]) -> None:
        """A batch from the bus. Acknowledged when all of it is accounted for; an outage is waited out here.

        When Redis was flushed or restarted meanwhile, what was written may be gone: then the batch is done once more.
        """
        name, began = self.projection.name, time.monotonic()
        while (interesting := await self._done(entries)) is None:
            log.warning("done again: the read model was lost on the way", projection=name, entries=len(entries))
        await self._persist(lambda: self._redis.xack(EVENTS, name, *[entry.id for entry in entries]))
        pause = self.projection.eager_seconds if interesting else self.projection.linger_seconds
        await asyncio.sleep(max(pause, (time.monotonic() - began) * self.projection.rest))

    async def _done(self, entries: Sequence[Entry]) -> int | None:
        """How many of a batch were of interest; None when it could not be accounted for, because what it wrote may be lost."""
        mark = await self._marked()
        positions = [int(entry.id.split(b"-")[0]) for entry in entries]
        wanted: list[EventEnvelope] = []
        unknown: list[int] = []
        buried = 0
        for entry, position in zip(entries, positions, strict=True):
            if (type_ := entry.fields.get(b"type", b"").decode()) not in self._types:
                if type_ not in self._known:
                    unknown.append(position)
                continue
            try:
                event = decode_envelope(entry.fields[DATA])
                if entry.deliveries > CRASHING_DELIVERIES:
                    raise RuntimeError(f"given up after {entry.deliveries} deliveries: whoever takes it does not come back")
            except (msgspec.MsgspecError, KeyError, RuntimeError) as error:
                await self._persist(lambda e=error, f=entry, p=position: self._bury(f.fields.get(DATA, b""), e, f.deliveries, p))  # type: ignore[misc]
                buried += 1
                continue
            wanted.append(event)
        left = await self.apply(wanted)
        skipped = len(entries) - len(wanted) - len(unknown) - buried
        accounted = await self._account(
            as_ranges(positions),
            applied=len(wanted) - len(left.dead) - len(left.waiting),
            skipped=skipped,
            dead=buried + len(left.dead),
            waiting=(*unknown, *left.waiting),
            mark=mark,
        )
        return len(wanted) if accounted else None

    async def apply(self, events: list[EventEnvelope]) -> Left:
        """Applies events and returns what could not be. Outages are waited out; a bad event is found and buried."""
        if not events:
            return Left()
        try:
            await self._persist(lambda: self._applied(events))
        except Exception as error:  # noqa: BLE001 - outermost loop: named, counted, isolated, dead-lettered
            telemetry.ERRORS.labels(self.projection.name, type(error).__name__).inc()
            if len(events) > 1:
                return sum([await self.apply([event]) for event in events], Left())
            if isinstance(error, NeedsUpgrade):
                return Left(waiting=(events[0].position,))
            return await self._retry_alone(events[0], error)
        return Left()

    async def _retry_alone(self, event: EventEnvelope, error: Exception) -> Left:
        for _ in range(ATTEMPTS - 1):
            try:
                await self._persist(lambda: self._applied([event]))
            except Exception as again:  # noqa: BLE001 - as above
                error = again
            else:
                return Left()
        log.error("event given up", projection=self.projection.name, position=event.position, error=repr(error), exc_info=error)
        await self._persist(lambda: self._bury(encode(event), error, ATTEMPTS, event.position))
        return Left(dead=(event.position,))

    async def _applied(self, events: list[EventEnvelope]) -> None:
        name = self.projection.name
        traces = [event.traceparent for event in events if event.traceparent]
        with telemetry.measured(name, telemetry.PROJECT_SECONDS.labels(name), "projection.apply", traces):
            await self.projection.apply(events)

    async def _persist(self, attempt: Callable[[], Awaitable[object]]) -> None:
        """Tries until it works: a server or provider that is away means lag, never loss and never a dead letter."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await attempt()
            except NeedsUpgrade:
                raise
            except (Unavailable, RedisError, OSError) as error:
                if isinstance(error, RedisError) and not _is_outage(error):
                    raise
                telemetry.RETRIES.labels(self.projection.name).inc()
                log.warning("waiting", projection=self.projection.name, error=f"{type(error).__name__}: {error}", seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                return

    async def _bury(self, body: bytes, error: Exception, attempts: int, position: int) -> None:
        name = self.projection.name
        await bury(self._redis, DeadLetter(body=body, source=EVENTS, group=name, error=error, attempts=attempts, position=position))

    async def _marked(self) -> bytes:
        marks: list[bytes] = []

        async def take() -> None:
            marks.append(await self._ledger.mark())

        await self._persist(take)
        return marks[-1]

    async def _account(
        self, ranges: Sequence[Range], *, applied: int, skipped: int, dead: int, waiting: Sequence[int], mark: bytes
    ) -> bool:
        """Whether it was accounted for; if not, the effects have to be written again."""
        name = self.projection.name
        reached: list[int] = []

        async def advance() -> None:
            reached.append(
                await self._ledger.advance(ranges, applied=applied, skipped=skipped, dead_lettered=dead, waiting=waiting, mark=mark)
            )

        await self._persist(advance)
        if reached[-1] < 0:
            return False
        telemetry.APPLIED.labels(name).inc(applied)
        telemetry.SKIPPED.labels(name).inc(skipped)
        return True

    async def sweep(self) -> None:
        """Looks every second for positions that nobody accounted for, and reads those that stay missing from the log."""
        while True:
            try:
                await self.replay_dead_letters()
                await self.take_up_waiting()
                await self._sweep_once()
            except (Unavailable, RedisError, OSError) as error:
                log.warning("sweep put off", projection=self.projection.name, error=f"{type(error).__name__}: {error}")
            except Exception as error:
                telemetry.ERRORS.labels(self.projection.name, type(error).__name__).inc()
                log.error("sweep failed", projection=self.projection.name, exc_info=error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep_once(self) -> None:
        name = self.projection.name
        head = await self._log.head()
        checkpoint = await self._ledger.checkpoint()
        telemetry.LAG.labels(name).set(head - checkpoint)
        if checkpoint >= head:
            self._stuck = (-1, 0.0)
            return
        now = time.monotonic()
        if self._stuck[0] != checkpoint:
            self._stuck = (checkpoint, now)
            if not await self._bus_starts_after(checkpoint):
                return
        elif now - self._stuck[1] < PATIENCE_SECONDS or await self._is_in_hand(checkpoint + 1):
            return
        async with self._sweeping.held(name) as mine:
            if mine:
                await self.catch_up(head)

    async def _is_in_hand(self, position: int) -> bool:
        """Whether a replica that lives took this event from the bus lately: done beside that one, it would be embedded twice."""
        name, id_ = self.projection.name, f"{position}-0"
        try:
            held = await self._redis.xpending_range(EVENTS, name, min=id_, max=id_, count=1)
            if not held or held[0]["time_since_delivered"] > LONGEST_IN_HAND_SECONDS * 1000:
                return False
            replicas = await self._redis.xinfo_consumers(EVENTS, name)
        except ResponseError:
            return False
        # Every replica asks for what others left twice a second, also while it works.
        return any(one["name"] == held[0]["consumer"] and one["idle"] < HEARD_SECONDS * 1000 for one in replicas)

    async def _bus_starts_after(self, checkpoint: int) -> bool:
        """Whether the next event is not on the bus any more (trimmed, flushed), so that waiting for it is no use."""
        oldest = await self._redis.xrange(EVENTS, count=1)
        return not oldest or int(oldest[0][0].split(b"-")[0]) > checkpoint + 1

    async def catch_up(self, head: int) -> None:
        """Applies from the log every position up to `head` that is not accounted for."""
        name = self.projection.name
        telemetry.CATCHING_UP.labels(name).set(1)
        try:
            while True:
                mark = await self._marked()
                holes = await self._ledger.holes(head)
                if not holes:
                    return
                first, last = holes[0]
                last = min(last, first + CATCH_UP - 1)
                events = await self._log.after(first - 1, up_to=last, limit=CATCH_UP, without=self._known - self._types)
                wanted = [event for event in events if event.type in self._types]
                unknown = [event.position for event in events if event.type not in self._known]
                left = await self.apply(wanted)
                await self._account(
                    [(first, last)],
                    applied=len(wanted) - len(left.dead) - len(left.waiting),
                    skipped=last - first + 1 - len(events),
                    dead=len(left.dead),
                    waiting=(*unknown, *left.waiting),
                    mark=mark,
                )
        finally:
            telemetry.CATCHING_UP.labels(name).set(0)

    async def take_up_waiting(self) -> None:
        """Applies what replicas passed over, as far as this one can read it. What it cannot, it reads only once."""
        name = self.projection.name
        count = await self._ledger.count_waiting()
        if count and (count != len(self._beyond) or time.monotonic() > self._look_again):
            self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
            waiting = await self._ledger.waiting()
            self._beyond &= set(waiting)
            fresh = [position for position in waiting if position not in self._beyond]
            for first in range(0, len(fresh), CATCH_UP):
                await self._take_up(fresh[first : first + CATCH_UP])
            count = await self._ledger.count_waiting()
            if fresh and self._beyond:
                log.warning("events of a newer version wait for an upgraded replica", projection=name, events=count)
        elif not count:
            self._beyond.clear()
        telemetry.WAITING.labels(name).set(count)

    async def _take_up(self, positions: Sequence[int]) -> None:
        mark = await self._marked()
        events = [event for event in await self._log.these(positions) if event.type in self._known]
        wanted = [event for event in events if event.type in self._types]
        left = await self.apply(wanted)
        outcomes = {event.position: "skipped" for event in events} | {event.position: "applied" for event in wanted}
        outcomes |= dict.fromkeys(left.dead, "dead_lettered")
        outcomes = {position: outcome for position, outcome in outcomes.items() if position not in left.waiting}
        self._beyond |= set(positions) - outcomes.keys()
        if outcomes and await self._ledger.settle(outcomes, mark=mark):
            telemetry.APPLIED.labels(self.projection.name).inc(len(wanted) - len(left.dead) - len(left.waiting))
            telemetry.SKIPPED.labels(self.projection.name).inc(len(events) - len(wanted))
            log.info("taken up what an older version could not read", projection=self.projection.name, events=len(outcomes))

    async def replay_dead_letters(self) -> int:
        """Applies again the positions that an operator asked for. Returns how many there were."""
        replayed = 0
        asked = f"am:replay:{self.projection.name}"
        while position := await self._redis.lindex(asked, 0):
            event = await self._log.at(int(position))
            if event is not None and (await self.apply([event])).waiting:
                await self._redis.lmove(asked, asked, "LEFT", "RIGHT")  # for a replica that can read it
                return replayed
            # By its value: another replica may have done the same one, and the next is not done yet.
            await self._redis.lrem(asked, 1, position)
            replayed += 1
        return replayed


def as_ranges(positions: Sequence[int]) -> list[Range]:
    """Positions as inclusive ranges, in order."""
    ranges: list[Range] = []
    for position in sorted(set(positions)):
        if ranges and ranges[-1][1] == position - 1:
            ranges[-1] = (ranges[-1][0], position)
        else:
            ranges.append((position, position))
    return ranges


def _is_outage(error: RedisError) -> bool:
    return not type(error).__name__.endswith("ResponseError") or any(
        sign in str(error) for sign in ("NOGROUP", "LOADING", "READONLY", "MASTERDOWN", "no such index", "Unknown index", "OOM")
    )
