"""What the table of contents counts: events of a scope on a day, by session. Pure."""

from collections.abc import Iterable

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.readmodels.calendar import day_number
from agent_memory.readmodels.contents import SessionTally, Tally

Recorded = tuple[EventEnvelope, TimelineEvent]


def tally(recorded: Iterable[Recorded]) -> list[Tally]:
    """The events gathered by scope and day, so that a batch costs as many writes as it touches days."""
    days: dict[tuple[Scope, int], list[Recorded]] = {}
    for envelope, event in recorded:
        days.setdefault((envelope.scope, day_number(event.timestamp_ms)), []).append((envelope, event))
    return [_tally(scope, day, members) for (scope, day), members in days.items()]


def _tally(scope: Scope, day: int, members: list[Recorded]) -> Tally:
    versions: dict[tuple[str, str], set[int]] = {}
    for envelope, event in members:
        versions.setdefault((envelope.stream, event.session_id), set()).add(envelope.version)
    return Tally(
        scope=scope,
        day=day,
        first_ms=min(event.timestamp_ms for _, event in members),
        last_ms=max(event.timestamp_ms for _, event in members),
        sessions=tuple(
            SessionTally(session_id=session_id, stream=stream, versions=tuple(sorted(seen)))
            for (stream, session_id), seen in versions.items()
        ),
    )
