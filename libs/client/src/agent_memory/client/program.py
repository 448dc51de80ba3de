"""An operation is a generator: it yields what it wants from the outside world and is sent the answers.

So each operation is written once, without sockets and without `await`; the async and the sync client only differ in how they
carry out a step.
"""

from collections.abc import Generator, Iterator, Mapping
from random import random
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. `accept` names error statuses that are answers too; `timeout` in seconds, unless the client's own."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/json"
    idempotency_key: str | None = None
    accept: tuple[int, ...] = ()
    timeout: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def position(self) -> int:
        """Log position that holds the effect of a write; 0 when there was none."""
        given = self.headers.get("x-memory-position", "")
        return int(given) if given.isdecimal() else 0


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Let this many seconds pass."""

    seconds: float


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One gRPC call of `memory.MemoryService`. `requests` are its messages: one, or all of a stream where `streamed`.

    `timeout` in seconds, where it is not the client's own; `metadata` goes beside the client's own.
    """

    method: str
    requests: tuple[Any, ...]
    streamed: bool = False
    timeout: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The message that came back. `position`: log position that holds the effect of a write, 0 when there was none."""

    message: Any
    position: int = 0


Step = Request | Call | Pause
Program = Generator[Step, Answer | Reply | None, T]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long to try again. Waits double from `first_wait` to `longest_wait` seconds, each shortened at random."""

    attempts: int = 6
    first_wait: float = 0.1
    longest_wait: float = 5.0

    def waits(self) -> Iterator[float]:
        """Seconds before the second attempt, the third, and so on."""
        for attempt in range(self.attempts - 1):
            yield min(self.longest_wait, self.first_wait * 2.0**attempt) * (0.5 + random() / 2)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a client speaks, unless a call says otherwise, and how patient it is."""

    namespace: str | None = None
    user_id: str | None = None
    retry: Retry = Retry()

    def scope(self, namespace: str | None, user_id: str | None) -> dict[str, str]:
        """Namespace and user of one call, without those that nobody gave."""
        given = {
            "namespace": self.namespace if namespace is None else namespace,
            "user_id": self.user_id if user_id is None else user_id,
        }
        return {name: value for name, value in given.items() if value is not None}


def ask(request: Request) -> Program[Answer]:
    """Send once. The carrier throws ConnectionFailed in here when nobody answers."""
    answer = yield request
    assert isinstance(answer, Answer)
    return answer


def call(what: Call) -> Program[Reply]:
    """Call once. The carrier throws ConnectionFailed or RequestFailed in here when there is no reply."""
    reply = yield what
    assert isinstance(reply, Reply)
    return reply


def pause(seconds: float) -> Program[None]:
    """Wait without blocking whoever carries the program out."""
    yield Pause(seconds=seconds)


def params(**given: str | int | bool | None) -> tuple[tuple[str, str], ...]:
    """Query parameters without those that are None."""
    return tuple((name.rstrip("_"), _plain(value)) for name, value in given.items() if value is not None)


def _plain(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
