"""Working memory as the summarizer reads it: from its view, or folded from the log where that is not there."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.records import Message
from agent_memory.contracts.streams import owner_of, working_memory_keys
from agent_memory.readmodels.sessions import Row, fold


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A session's document as of a version of its stream. `expires_ms`: when it ends by itself, UTC milliseconds."""

    version: int
    context: str | None
    messages: list[Message]
    expires_ms: int | None


class History(Protocol):
    """All versions of a log stream, oldest first."""

    async def stream(self, stream: str) -> Sequence[Row]: ...


class _Kept(msgspec.Struct):
    context: str | None = None


_kept = msgspec.json.Decoder(_Kept)
_messages = msgspec.json.Decoder(list[Message])


class Documents:
    """Reads documents by the stream of their session. A reader only: what is missing stays missing."""

    def __init__(self, redis: Redis, log: History) -> None:
        self._redis = redis
        self._log = log

    async def read(self, stream: str, *, at_least: int = 0) -> Document | None:
        """The document at this version or a later one; None when there is none. Raises Unavailable and redis.RedisError."""
        head, document, messages = await self._redis.mget(working_memory_keys(stream))
        if head is not None and document is not None and messages is not None:
            version, _, _, expires = head.split(b"|")
            if int(version) >= at_least:
                return Document(
                    version=int(version),
                    context=_kept.decode(document).context,
                    messages=_messages.decode(b"[" + messages + b"]"),
                    expires_ms=int(expires) if expires else None,
                )
        return await self._folded(stream)

    async def _folded(self, stream: str) -> Document | None:
        session = await fold(self._log, stream, owner_of(stream)[0])  # type: ignore[arg-type]
        if session.document is None:
            return None
        return Document(
            version=session.version,
            context=session.document.context,
            messages=list(session.messages.values()),
            expires_ms=session.expires_ms,
        )
