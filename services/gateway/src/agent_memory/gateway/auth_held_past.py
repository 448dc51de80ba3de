"""The past, and compaction, as a bound credential sees them."""

from agent_memory.auth.principal import Principal
from agent_memory.contracts.compaction import Compacted
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Forbidden
from agent_memory.contracts.records import Scope
from agent_memory.gateway.ports import Compaction, Past
from agent_memory.readmodels.past import owned_by


class HeldPast:
    """The past of what the credential is for; the rest is as if it had never been."""

    def __init__(self, past: Past, principal: Principal) -> None:
        self._past = past
        self._principal = principal

    async def memory(self, tenant: str, memory_id: str) -> list[EventEnvelope]:
        """As the port says, from when the memory came within reach; nothing of one that is somebody else's now."""
        reach, kept = self._principal.reach, list[EventEnvelope]()
        for event in await self._past.memory(self._principal.tenant, memory_id):
            record = owned_by(event)
            if record is None:
                kept += [event] if kept else []
            elif reach is None or reach.holds(record.namespace, record.user_id):
                kept.append(event)
            else:
                kept = []
        return kept

    async def session(self, scope: Scope, session_id: str) -> list[EventEnvelope]:
        """As the port says."""
        return await self._past.session(scope, session_id) if self._principal.holds(scope) else []

    async def recorded_ms(self, position: int) -> int | None:
        """As the port says."""
        return await self._past.recorded_ms(position)


class HeldCompaction:
    """Compaction of what the credential is for."""

    def __init__(self, compaction: Compaction, principal: Principal) -> None:
        self._compaction = compaction
        self._principal = principal

    async def compact(self, tenant: str, position: int, namespace: str | None, user_id: str | None) -> Compacted:
        """As the port says. Raises Forbidden for owners beyond."""
        scope = Scope(tenant=tenant, namespace=namespace or "", user_id=user_id or "")
        if not self._principal.holds(scope):
            raise Forbidden("this credential does not reach that namespace or user_id")
        return await self._compaction.compact(tenant, position, namespace, user_id)
