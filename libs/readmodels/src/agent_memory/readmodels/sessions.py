"""The working-memory view in Redis: three strings a session, brought up to date by compare-and-set on the stream's version.

Messages are kept as comma-joined JSON, so that appending costs what is appended and reading costs one MGET and no parsing.
An absent key is never taken for an absent session: on a miss the session is folded from the log again.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, Protocol

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import decode_event, encode
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream, working_memory_keys
from agent_memory.readmodels.session_document import Session, evolve, messages_json

SHOW = (files("agent_memory.readmodels") / "lua" / "show_session.lua").read_text()
DROP_STALE = (files("agent_memory.readmodels") / "lua" / "drop_stale_session.lua").read_text()


class ViewWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a session's view, from version `before` to `version`. JSON and ISO times as they will be read."""

    how: Literal["replace", "append", "delete", "drop"]
    stream: str
    version: int
    before: int = 0
    document: bytes = b""
    updated_at: bytes = b""
    last_accessed: bytes = b""
    expires_ms: int | None = None
    messages: bytes = b""


class SessionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader gets: `meta` is a JSON object without the messages, `messages` are JSON objects joined by commas."""

    meta: bytes
    messages: bytes
    version: int


class Row(Protocol):
    """An event of a session's stream, as the log keeps it."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def recorded_ms(self) -> int: ...


class Place(Protocol):
    """Where a living session is."""

    @property
    def stream(self) -> str: ...
    @property
    def scope(self) -> Scope: ...


class SessionLog(Protocol):
    """What the view asks of the log when it has to be rebuilt."""

    async def stream(self, stream: str) -> list[Row]: ...
    async def find_sessions(self, tenant: str, session_id: str, *, namespace: str | None, user_id: str | None) -> list[Place]: ...


class SessionWriter:
    """Shows decided changes. Used by ingest, and by readers that rebuilt a session.

    Scripts travel as text (EVAL), so a flushed script cache can never make a step fail.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def show(self, writes: list[ViewWrite]) -> None:
        """Performs the steps in order, in one round trip. Doing it twice changes nothing: versions only grow."""
        pipeline = self._redis.pipeline(transaction=False)
        self.queue(writes, pipeline)
        await pipeline.execute()

    def queue(self, writes: Sequence[ViewWrite], pipeline: Redis) -> None:
        """Puts the steps into a pipeline that somebody else executes."""
        for write in writes:
            keys = working_memory_keys(write.stream)
            if write.how == "drop":
                pipeline.eval(DROP_STALE, len(keys), *keys, write.version)
            else:
                pipeline.eval(SHOW, len(keys), *keys, *_arguments(write))


class SessionReader:
    """Reads working memory, from the view or, when that is gone, from the log."""

    def __init__(self, redis: Redis, log: SessionLog) -> None:
        self._redis = redis
        self._log = log
        self._writer = SessionWriter(redis)

    async def read(self, scope: Scope, session_id: str) -> SessionDocument | None:
        """The session, or None when there is no such session. Raises Unavailable when it cannot be told.

        A session that is not found under exactly this namespace and user is looked for under any that were left open, and
        taken if there is exactly one.
        """
        stream = session_stream(scope, session_id)
        found = await self._shown(stream)
        if found is not None:
            return found
        # Exactly this one first, by itself: an open search gives two at most, and it may not be among them.
        places = await self._log.find_sessions(
            scope.tenant, session_id, namespace=scope.namespace, user_id=scope.user_id
        ) or await self._log.find_sessions(
            scope.tenant, session_id, namespace=scope.namespace or None, user_id=scope.user_id or None
        )
        if len(places) != 1:
            return None
        place = places[0]
        if place.stream != stream and (found := await self._shown(place.stream)) is not None:
            return found
        return await self.rebuild(place.stream, place.scope)

    async def rebuild(self, stream: str, scope: Scope) -> SessionDocument | None:
        """Folds the session from the log and shows it again."""
        session = await fold(self._log, stream, scope)
        write = view_of(stream, session)
        try:
            await self._writer.show([write])
        except RedisError as error:
            raise Unavailable("working memory cannot be read: Redis is not reachable; try again") from error
        return None if write.how == "delete" else assembled(write)

    async def _shown(self, stream: str) -> SessionDocument | None:
        try:
            head, document, messages = await self._redis.mget(working_memory_keys(stream))
        except RedisError as error:
            raise Unavailable("working memory cannot be read: Redis is not reachable; try again") from error
        if head is None or document is None or messages is None:
            return None
        version, updated_at, last_accessed, _ = head.split(b"|")
        return SessionDocument(meta=_meta(document, last_accessed, updated_at), messages=messages, version=int(version))


async def fold(log: SessionLog, stream: str, scope: Scope) -> Session:
    """The view of a session, from its events alone."""
    session = Session()
    for row in await log.stream(stream):
        evolve(session, decode_event(row.type, row.data), scope, row.recorded_ms)
    return session


def view_of(stream: str, session: Session) -> ViewWrite:
    """The step that shows a folded session, whatever the view was before."""
    if session.document is None:
        return ViewWrite(how="delete", stream=stream, version=session.version)
    return ViewWrite(
        how="replace",
        stream=stream,
        version=session.version,
        document=encode(session.document),
        updated_at=encode(session.updated_at).strip(b'"'),
        last_accessed=encode(session.last_accessed).strip(b'"'),
        expires_ms=session.expires_ms,
        messages=messages_json(list(session.messages.values())),
    )


def assembled(write: ViewWrite) -> SessionDocument:
    """What a reader would get after this step."""
    meta = _meta(write.document, write.last_accessed, write.updated_at)
    return SessionDocument(meta=meta, messages=write.messages, version=write.version)


def _meta(document: bytes, last_accessed: bytes, updated_at: bytes) -> bytes:
    return b'%s,"last_accessed":"%s","updated_at":"%s"}' % (document[:-1], last_accessed, updated_at)


def _arguments(write: ViewWrite) -> list[bytes | str | int]:
    expires = "" if write.expires_ms is None else write.expires_ms
    return [
        write.how,
        write.version,
        write.before,
        write.document,
        write.updated_at,
        write.last_accessed,
        expires,
        write.messages,
    ]
