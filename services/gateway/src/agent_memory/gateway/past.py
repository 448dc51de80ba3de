"""The past of memories and sessions, from the log."""

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import memory_stream, session_stream
from agent_memory.eventlog.memories import MemoryLog


class LogPast:
    """What the log says; every method raises Unavailable when it cannot be reached."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def memory(self, tenant: str, memory_id: str) -> list[EventEnvelope]:
        """All events of a memory, oldest first."""
        return await self._log.history(memory_stream(tenant, memory_id))

    async def session(self, scope: Scope, session_id: str) -> list[EventEnvelope]:
        """All events of a session, oldest first, whether it still has a working memory or not.

        A session that was never there under exactly this namespace and user is looked for under any that were left open, and
        taken if there is exactly one.
        """
        found = await self._log.history(session_stream(scope, session_id))
        if found or (scope.namespace and scope.user_id):
            return found
        places = await self._log.sessions_ever(
            scope.tenant, session_id, namespace=scope.namespace or None, user_id=scope.user_id or None
        )
        return await self._log.history(places[0].stream) if len(places) == 1 else []

    async def recorded_ms(self, position: int) -> int | None:
        """When the log got to a position; None when it has not."""
        event = await self._log.at(position)
        return None if event is None else event.recorded_ms
