"""What a transcript tells and the timeline knows already from hooks, which give ids of their own: it must not stand there twice."""

from agent_memory.cli.importers.items import Found
from agent_memory.cli.loading.recorded import Recorded, imported
from agent_memory.client import MemoryClient
from agent_memory.contracts.records import TimelineEvent

_PAGE = 1_000


class Told:
    """What was recorded of the sessions that an import comes to. Events of one session must come one batch after the other."""

    def __init__(self, memory: MemoryClient) -> None:
        self._memory = memory
        self._sessions: dict[str, Recorded] = {}

    async def fresh(self, batch: list[Found]) -> list[Found]:
        """Those of the batch that nobody recorded under another id. Raises MemoryClientError."""
        return [found for found in batch if not (await self._of(found.event.session_id)).has(found.event)]

    async def _of(self, session_id: str) -> Recorded:
        known = self._sessions.get(session_id)
        if known is None:
            # Tools that a sub-agent runs are reported by hooks of the session that it works for.
            main = session_id.partition(":")[0]
            tools = [one for one in await self._events(main) if one.event_type == "tool_result"] if main != session_id else []
            known = self._sessions[session_id] = Recorded([*await self._events(session_id), *tools])
        return known

    async def _events(self, session_id: str) -> list[TimelineEvent]:
        events: list[TimelineEvent] = []
        cursor: str | None = None
        while True:
            page = await self._memory.get_events(session_id=session_id, limit=_PAGE, cursor=cursor)
            events += (event for event in page.events if not imported(event.event_id))
            cursor = page.next_cursor
            if cursor is None:
                return events
