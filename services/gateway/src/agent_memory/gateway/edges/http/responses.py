"""Answers as bytes. What the views hold is JSON already, so most answers are put together without decoding anything."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

import msgspec
from litestar.types import Receive, Scope, Send

from agent_memory.contracts.codec import encode
from agent_memory.contracts.records import TimelineEvent
from agent_memory.eventlog.reader import EventPage
from agent_memory.gateway.ports import Document, Groups, Hit, Page
from agent_memory.gateway.timeline_use import MatchedPage
from agent_memory.readmodels.standing import Scored

DEPRECATION = "messages[].created_at will become required in the next major version. Please provide timestamps for all messages."
JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
NOTHING: Mapping[bytes, bytes] = {}


class Answered:
    """A complete answer, sent as it is. An ASGI application: the framework has nothing left to convert."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, *, status: int = 200, kind: bytes = JSON, headers: Mapping[bytes, bytes] = NOTHING) -> None:
        self.body = body
        self.status = status
        self.headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers.items()]

    def to_asgi_response(self, **_: object) -> "Answered":
        """What the framework asks of the answer to an error."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = b"" if cast(Any, scope)["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Streamed:
    """An answer that is sent as it is made. When that fails the connection breaks: nobody takes a part for the whole."""

    def __init__(self, pieces: AsyncGenerator[bytes, None], first: bytes, *, kind: bytes) -> None:
        """`first`: the first of the pieces, taken before anything is sent, while an error can still be told."""
        self._pieces = pieces
        self._first = first
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self._kind)]
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            async with aclosing(self._pieces) as pieces:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": self._first, "more_body": True})
                async for piece in pieces:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def at(position: int) -> dict[bytes, bytes]:
    """The header that tells a writer where the log holds what it wrote."""
    return {b"x-memory-position": b"%d" % position}


_UNKNOWN = b',"context_percentage_total_used":null,"context_percentage_until_summarization":null}'


def session(meta: bytes, messages: bytes, percentages: tuple[float, float] | None) -> bytes:
    """A WorkingMemoryResponse from the two halves of a session's document."""
    if percentages is None:
        tail = _UNKNOWN
    else:
        tail = b',"context_percentage_total_used":%s,"context_percentage_until_summarization":%s}' % tuple(map(encode, percentages))
    return b'{"messages":[' + messages + b"]," + meta[1:-1] + tail


def document(found: Document, percentages: tuple[float, float] | None) -> bytes:
    """A WorkingMemoryResponse as it is stored."""
    return session(found.meta, found.messages, percentages)


class SeenMessage(msgspec.Struct):
    """What must be known of a message to choose and count it."""

    role: str = ""
    content: str = ""
    created_at: datetime | None = None


_seen = msgspec.json.Decoder(SeenMessage).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split(messages: bytes) -> list[tuple[bytes, SeenMessage]]:
    """Each message of a document: its JSON, and what must be known of it."""
    return [(bytes(raw), _seen(raw)) for raw in _raw_list(b"[" + messages + b"]")]


class ShownEvent(msgspec.Struct, kw_only=True):
    """A timeline event as readers get it, every field present."""

    event_id: str
    session_id: str
    timestamp_ms: int
    event_type: str
    role: str
    text: str
    metadata: dict[str, str]
    agent: str | None
    message_id: str | None


class RecordedEvent(ShownEvent, kw_only=True):
    """One that was read from the log."""

    position: int


class FoundEvent(ShownEvent, kw_only=True):
    """One that was searched for."""

    score: float | None
    score_type: str | None


def _fields(event: TimelineEvent) -> dict[str, Any]:
    return {field: getattr(event, field) for field in ShownEvent.__struct_fields__}


def events(page: EventPage) -> bytes:
    """A page of raw events."""
    shown = [RecordedEvent(**_fields(event), position=position) for position, event in page.events]
    return encode({"events": shown, "next_cursor": page.next_cursor})


_event = msgspec.json.Decoder(TimelineEvent).decode


def found_events(page: Page) -> bytes:
    """A page of events that were searched for; what they were stored with leaves out what is as usual."""
    return encode({"events": _shown(page.hits), "total": page.total, "next_offset": page.next_offset})


def found_sessions(page: Groups) -> bytes:
    """A page of sessions that were searched for, each with its best events."""
    shown = [(group.score, _shown(group.hits)) for group in page.groups if group.hits]
    sessions = [{"session_id": events[0].session_id, "score": score, "events": events} for score, events in shown]
    return encode({"sessions": sessions, "total": page.total, "next_offset": page.next_offset})


def matched(page: MatchedPage) -> bytes:
    """A page of nodes, grips and events that were searched for, each under the name of its kind."""
    matches = [
        {
            "kind": one.kind,
            "id": one.id,
            "score": one.score,
            "text": one.text,
            "timestamp_ms": one.timestamp_ms,
            one.kind: ShownEvent(**_fields(one.event)) if one.event is not None else one.node or one.grip,
        }
        for one in page.matches
    ]
    return encode({"matches": matches, "total": page.total, "next_offset": page.next_offset})


def _shown(hits: Sequence[Hit]) -> list[FoundEvent]:
    return [FoundEvent(**_fields(_event(hit.record)), score=hit.score, score_type=hit.score_type) for hit in hits]


def found_memories(page: Page) -> bytes:
    """A page of memories: each stored record with its score put in."""
    following = b"null" if page.next_offset is None else b"%d" % page.next_offset
    return b'{"memories":%s,"total":%d,"next_offset":%s}' % (memory_results(page), page.total, following)


def memory_results(page: Page) -> bytes:
    """A JSON list of memories with their scores."""
    return b"[" + b",".join(map(_scored, page.hits)) + b"]"


_SOURCES = {False: b"long_term_memory", True: b"working_memory"}


def unified(both: Sequence[tuple[Scored, bool]], *, total: int, next_offset: int | None, complete: bool) -> bytes:
    """A page of memories of both kinds, each with its source: whether it stands in working memory."""
    shown = b",".join([b'%s,"source":"%s"}' % (_scored(hit)[:-1], _SOURCES[is_working]) for hit, is_working in both])
    about = total, encode(next_offset), encode(complete)
    return b'{"memories":[%s],' % shown + b'"total":%d,"next_offset":%s,"working_memory_complete":%s}' % about


def _scored(hit: Scored) -> bytes:
    scores = encode(hit.dist), encode(hit.score), encode(hit.score_type)
    return hit.record[:-1] + b',"dist":%s,"score":%s,"score_type":%s}' % scores
