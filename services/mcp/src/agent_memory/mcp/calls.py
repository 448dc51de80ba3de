"""One call on its way: whose it is, and the memory server as that caller sees it."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from agent_memory.client import MemoryClient, Retry, ServerUnavailable
from agent_memory.mcp.domain import Place
from agent_memory.runtime import telemetry

T = TypeVar("T")
AT_ONCE = Retry(attempts=1)
REMEMBERED = 10_000
LATE = "What is read here is behind: what was stored in the last seconds may be missing."


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and about whose memory. `token`: what the memory server is shown; `identity` tells callers apart; `traceparent`:
    what the call is a part of.
    """

    identity: str = ""
    traceparent: str = ""
    token: str | None = None
    place: Place = Place()


class Written:
    """How far the log had come with the last write of each caller, so that nobody reads what was before their own writes."""

    def __init__(self) -> None:
        self._positions: OrderedDict[str, int] = OrderedDict()

    def of(self, caller: Caller) -> int | None:
        """A log position; None for a caller that wrote nothing lately."""
        return self._positions.get(caller.identity)

    def note(self, caller: Caller, position: int) -> None:
        """Remembers the newest position."""
        if position > self._positions.get(caller.identity, 0):
            self._positions[caller.identity] = position
            self._positions.move_to_end(caller.identity)
        if len(self._positions) > REMEMBERED:
            self._positions.popitem(last=False)


class Call:
    """What a handler works with."""

    def __init__(self, caller: Caller, server: MemoryClient, written: Written) -> None:
        self.caller = caller
        self.place = caller.place
        self._server = server
        self._written = written

    def memory(self, namespace: str | None = None, user_id: str | None = None, *, retry: Retry | None = None) -> MemoryClient:
        """The memory server as this caller, about this namespace and user. Raises Misused for somebody else's."""
        place = self.place
        memory = self._server.acting(
            self.caller.token, place.owner("namespace", namespace), place.owner("user_id", user_id), retry=retry
        )
        if trace := telemetry.traceparent_of() or self.caller.traceparent:
            memory.headers["traceparent"] = trace
        return memory

    def wrote(self, position: int) -> None:
        """Later reads of this caller see at least this position."""
        self._written.note(self.caller, position)

    async def read(
        self,
        ask: Callable[[MemoryClient, int | None], Awaitable[T]],
        namespace: str | None = None,
        user_id: str | None = None,
    ) -> tuple[T, str | None]:
        """What a view answers that holds the caller's own writes. A view that is late is read as it is, with a note."""
        position = self._written.of(self.caller)
        if position is not None:
            try:
                return await ask(self.memory(namespace, user_id, retry=AT_ONCE), position), None
            except ServerUnavailable:
                return await ask(self.memory(namespace, user_id), None), LATE
        return await ask(self.memory(namespace, user_id), None), None
