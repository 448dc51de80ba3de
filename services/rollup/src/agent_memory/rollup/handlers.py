"""Events of the log into the table of contents."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import EventRecorded, NodeRevised
from agent_memory.readmodels import contents, due
from agent_memory.readmodels.contents import SessionState, Step, Written, Zoned
from agent_memory.rollup.domain import Delays, Recorded, Session, by_session, due_after_revision, due_after_step, step

TYPES: frozenset[str] = frozenset({EventRecorded.__name__, NodeRevised.__name__})

ATTEMPTS = 5
REMEMBERED = 500
"""Sessions whose segments are kept in memory, so that only their number is read again."""


class KeepContents:
    """Projection CONTENTS. Idempotent by (stream, version): an event is in a segment once, in any order and however often it
    comes; of revisions the newest stays."""

    def __init__(self, redis: Redis, *, zones: Zoned, delays: Delays) -> None:
        self._redis = redis
        self._zones = zones
        self._delays = delays
        self._known: dict[tuple[int, Session], SessionState] = {}

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Take the batch into every generation there is.

        Raises Unavailable when others keep moving the same sessions, and redis.RedisError; the batch may then be given again.
        """
        there = await contents.generations(self._redis)
        for generation in there.all:
            steps, written = await self.record_all(generation, batch)
            if generation == there.live:
                await due.mark(self._redis, self._due(steps, written, batch[-1].recorded_ms))

    async def record_all(self, generation: int, batch: Sequence[EventEnvelope]) -> tuple[list[Step], list[Written]]:
        """Take the batch into one generation. Raises as `apply` does."""
        decoded = [(envelope, decode_event(envelope.type, envelope.data)) for envelope in batch]
        steps = await self._record(generation, [(one, event.event) for one, event in decoded if isinstance(event, EventRecorded)])
        written = [
            Written(scope=one.scope, version=one.version, revision=event.revision)
            for one, event in decoded
            if isinstance(event, NodeRevised)
        ]
        await contents.write(self._redis, generation, written)
        return steps, written

    async def _record(self, generation: int, recorded: Sequence[Recorded]) -> list[Step]:
        """Take events into one generation. The steps that were taken."""
        waiting = by_session(recorded)
        taken: list[Step] = []
        for _ in range(ATTEMPTS):
            if not waiting:
                return taken
            states = await self._states(generation, list(waiting))
            steps = [step(*session, state, rows) for (session, rows), state in zip(waiting.items(), states, strict=True)]
            moving = [one for one in steps if one.after is not one.before.segments]
            for one, done in zip(moving, await contents.advance(self._redis, generation, moving, self._zones), strict=True):
                session = (one.scope, one.session_id)
                if done:
                    taken.append(one)
                    self._keep((generation, session), SessionState(rev=one.before.rev + 1, segments=one.after))
                else:
                    self._known.pop((generation, session), None)
            # What was there already may have been marked as due by nobody, if whoever wrote it died then.
            taken += [one for one in steps if one.after is one.before.segments]
            done_now = {(one.scope, one.session_id) for one in taken}
            waiting = {session: rows for session, rows in waiting.items() if session not in done_now}
        if waiting:
            raise Unavailable(f"{len(waiting)} sessions were moved on by others at the same time")
        return taken

    async def _states(self, generation: int, sessions: Sequence[Session]) -> list[SessionState]:
        numbers = await contents.numbers(self._redis, generation, sessions)
        found = dict(zip(sessions, (self._known.get((generation, one)) for one in sessions), strict=True))
        stale = [
            one
            for one, number in zip(sessions, numbers, strict=True)
            if number and ((kept := found[one]) is None or kept.rev != number)
        ]
        read = dict(zip(stale, await contents.states(self._redis, generation, stale), strict=True)) if stale else {}
        states = []
        for one, number in zip(sessions, numbers, strict=True):
            kept = found[one]
            states.append(SessionState(rev=0) if not number else read[one] if one in read or kept is None else kept)
        return states

    def _keep(self, name: tuple[int, Session], state: SessionState) -> None:
        self._known.pop(name, None)
        self._known[name] = state
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _due(self, steps: Sequence[Step], written: Sequence[Written], now_ms: int) -> list[tuple[str, int]]:
        found = [part for one in steps for part in due_after_step(one, now_ms, self._delays, self._zones.of(one.scope.tenant))]
        for one in written:
            found += due_after_revision(one.scope, one.revision, now_ms, self._delays, self._zones.of(one.scope.tenant))
        return found
