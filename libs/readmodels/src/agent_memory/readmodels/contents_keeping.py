"""Events of the log into one generation of the table of contents: by the rollup as they come, by a rebuild all over again."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import EventRecorded, NodeRevised
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.readmodels import contents
from agent_memory.readmodels.contents import SessionState, Step, Written, Zoned
from agent_memory.readmodels.cutting import Member, insert, member

if TYPE_CHECKING:
    from redis.asyncio import Redis

TYPES: frozenset[str] = frozenset({EventRecorded.__name__, NodeRevised.__name__})

ATTEMPTS = 20
REMEMBERED = 500
"""Sessions whose segments are kept in memory, so that only their number is read again."""

Recorded = tuple[EventEnvelope, TimelineEvent]
Session = tuple[Scope, str]
Notice = Callable[[Sequence[Step]], Awaitable[None]]


class Keeping:
    """Idempotent by (stream, version): an event is in a segment once, in any order and however often it comes; of revisions the
    newest stays."""

    def __init__(self, redis: "Redis", zones: Zoned) -> None:
        self._redis = redis
        self._zones = zones
        self._known: dict[tuple[int, Session], SessionState] = {}

    async def take(
        self, generation: int, batch: Sequence[EventEnvelope], notice: Notice | None = None
    ) -> tuple[list[Step], list[Written]]:
        """Take the batch into one generation. `notice` is told of steps before they are taken: whoever dies in between has told.

        Raises Unavailable when others keep moving the same sessions, and redis.RedisError; the batch may then be given again.
        """
        decoded = [(envelope, decode_event(envelope.type, envelope.data)) for envelope in batch]
        steps = await self._record(
            generation, [(one, event.event) for one, event in decoded if isinstance(event, EventRecorded)], notice
        )
        written = [
            Written(scope=one.scope, version=one.version, revision=event.revision)
            for one, event in decoded
            if isinstance(event, NodeRevised)
        ]
        await contents.write(self._redis, generation, written)
        return steps, written

    async def _record(self, generation: int, recorded: Sequence[Recorded], notice: Notice | None) -> list[Step]:
        """Take events into one generation. The steps that were taken."""
        waiting = by_session(recorded)
        taken: list[Step] = []
        for _ in range(ATTEMPTS):
            if not waiting:
                return taken
            states = await self._states(generation, list(waiting))
            steps = [step(*session, state, rows) for (session, rows), state in zip(waiting.items(), states, strict=True)]
            if notice is not None:
                await notice(steps)
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


def by_session(recorded: Iterable[Recorded]) -> dict[Session, list[Recorded]]:
    """Events gathered by session, so that a batch costs as many steps as it touches sessions."""
    sessions: dict[Session, list[Recorded]] = {}
    for envelope, event in recorded:
        sessions.setdefault((envelope.scope, event.session_id), []).append((envelope, event))
    return sessions


def step(scope: Scope, session_id: str, state: SessionState, recorded: Iterable[Recorded]) -> Step:
    """The session with the events that it did not have yet."""
    rows = list(recorded)
    known = {one.version for segment in state.segments for one in segment.members}
    new: dict[int, Member] = {
        envelope.version: member(envelope.version, event) for envelope, event in rows if envelope.version not in known
    }
    after = tuple(insert(rows[0][0].stream, state.segments, new.values())) if new else state.segments
    return Step(scope=scope, session_id=session_id, before=state, after=after, given=frozenset(one.version for one, _ in rows))
