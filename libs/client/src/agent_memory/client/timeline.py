"""Operations on the timeline: record what happened, read it back by time, search it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agent_memory.client.answers import EventHit, EventHits, EventOutcome, EventPage, Recorded
from agent_memory.client.errors import InvalidRequest
from agent_memory.client.exchange import exchange, fetch, new_key, read
from agent_memory.client.program import Caller, Program, Request, params
from agent_memory.client.records import Match, event_of, match_of
from agent_memory.client.toc import TimelineMatch
from agent_memory.contracts.queries import SearchMode, TimelineKind
from agent_memory.contracts.records import TimelineEvent

MAX_EVENTS = 1_000
MAX_BATCH_BYTES = 8_000_000
"""Below the server's limit for a body, so that a batch of long texts is split and not refused."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Time = datetime | int | str
"""A point in time: a datetime, UTC milliseconds, or ISO 8601."""


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """A page of found nodes, grips and events as the API writes it. A server that knows no kinds tells of `events` alone."""

    matches: list[Match] | None = None
    events: list[EventHit] = []
    total: int
    next_offset: int | None = None

    def of(self, kinds: Sequence[TimelineKind]) -> EventHits:
        """What was asked for; of a server that knows no kinds, its events where these are among them."""
        if self.matches is not None:
            return EventHits(total=self.total, next_offset=self.next_offset, matches=[match_of(match) for match in self.matches])
        if kinds and "event" not in kinds:
            return EventHits(total=0)
        return EventHits(total=self.total, next_offset=self.next_offset, matches=[_match(hit) for hit in self.events])


def record_events(
    caller: Caller,
    events: Sequence[TimelineEvent | Mapping[str, Any]],
    *,
    namespace: str | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Program[Recorded]:
    """Record events, once per event id. Any number: more than 1,000 (or 8 MB) go in several requests, in order.

    Raises InvalidRequest, ServerUnavailable, ConnectionFailed; then the requests before the failing one have taken effect.
    """
    key = new_key(idempotency_key)
    scope = caller.scope(namespace, user_id)
    outcomes: list[EventOutcome] = []
    position = 0
    for number, batch in enumerate(_batches(events)):
        request = Request(
            method="POST",
            path="/v1/events",
            body=msgspec.json.encode({"events": batch, **scope}),
            idempotency_key=key if number == 0 else f"{key}:{number}",
        )
        try:
            answer = yield from exchange(request, caller.retry)
        except InvalidRequest as error:
            raise counted_from(error, len(outcomes)) from None
        recorded = read(answer, Recorded)
        outcomes += recorded.events
        position = max(position, recorded.position, answer.position)
    return Recorded(events=outcomes, created=sum(outcome.created for outcome in outcomes), position=position)


def get_events(
    caller: Caller,
    from_: Time | None = None,
    to: Time | None = None,
    limit: int | None = None,
    *,
    session_id: str | None = None,
    cursor: str | None = None,
    namespace: str | None = None,
    user_id: str | None = None,
    min_position: int | None = None,
) -> Program[EventPage]:
    """Events in order of time, both ends included. Raises InvalidRequest."""
    query = params(
        **{"from": time_text(from_), "to": time_text(to)},
        session_id=session_id,
        limit=limit,
        cursor=cursor,
        min_position=min_position,
        **caller.scope(namespace, user_id),
    )
    return (yield from fetch(Request(method="GET", path="/v1/events", params=query), caller.retry, EventPage))


def search_timeline(
    caller: Caller,
    text: str,
    *,
    mode: SearchMode = "hybrid",
    kinds: Sequence[TimelineKind] | None = None,
    session_id: str | None = None,
    from_: Time | None = None,
    to: Time | None = None,
    limit: int = 10,
    offset: int = 0,
    namespace: str | None = None,
    user_id: str | None = None,
    min_position: int | None = None,
) -> Program[EventHits]:
    """Events that mean (semantic), say (keyword), or both (hybrid) what the text does, best first. With `kinds` (node, grip, event;
    an empty list: all) what is found of them, as `matches`. Raises InvalidRequest.
    """
    body: dict[str, Any] = {"text": text, "mode": mode, "limit": limit, "offset": offset, **caller.scope(namespace, user_id)}
    body |= {"session_id": session_id} if session_id is not None else {}
    body |= {"kinds": list(kinds)} if kinds is not None else {}
    body |= {name: time_text(value) for name, value in (("from", from_), ("to", to)) if value is not None}
    request = Request(
        method="POST",
        path="/v1/timeline/search",
        params=params(min_position=min_position),
        body=msgspec.json.encode(body),
    )
    if kinds is None:
        return (yield from fetch(request, caller.retry, EventHits))
    return (yield from fetch(request, caller.retry, Matches)).of(kinds)


def _match(hit: EventHit) -> TimelineMatch:
    return TimelineMatch(
        kind="event", id=hit.event_id, score=hit.score or 0.0, text=hit.text, timestamp_ms=hit.timestamp_ms, event=event_of(hit)
    )


def counted_from(error: InvalidRequest, first: int) -> InvalidRequest:
    """The same error, its `events.N` counted from the first event of the call, where it was about a later request's."""
    where = re.fullmatch(r"events\.(\d+)(.*)", error.field or "")
    if not where or not first:
        return error
    return InvalidRequest(error.detail, status=error.status, field=f"events.{first + int(where[1])}{where[2]}")


def time_text(value: Time | None) -> str | int | None:
    """A time as the API takes it. A datetime without a zone is UTC, as in the API."""
    return value.isoformat() if isinstance(value, datetime) else value


def _wire(event: TimelineEvent | Mapping[str, Any]) -> Mapping[str, Any]:
    """The event as the API takes it: all that it says, also where that is usual, and its time in one field."""
    if not isinstance(event, TimelineEvent):
        return event
    said = {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) is not None}
    microseconds = said.pop("microseconds")
    if microseconds:
        try:
            moment = _EPOCH + timedelta(milliseconds=event.timestamp_ms, microseconds=microseconds)
        except OverflowError:
            # Such a year has no ISO form; its millisecond is all that can be said.
            return said
        del said["timestamp_ms"]
        said["timestamp"] = moment.isoformat()
    return said


def _batches(events: Sequence[TimelineEvent | Mapping[str, Any]]) -> Iterator[list[msgspec.Raw]]:
    batch: list[msgspec.Raw] = []
    size = 0
    for event in events:
        encoded = msgspec.json.encode(_wire(event))
        if batch and (len(batch) == MAX_EVENTS or size + len(encoded) > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(msgspec.Raw(encoded))
        size += len(encoded)
    if batch:
        yield batch
