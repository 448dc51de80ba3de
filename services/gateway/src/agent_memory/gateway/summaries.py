"""What the summarizer still has to do, as far as the gateway waits for it."""

from agent_memory.contracts.records import Scope


class NothingPending:
    """Stands where nobody summarises: no write waits."""

    async def pending(self, scope: Scope, session_id: str, position: int) -> bool:
        """Never."""
        return False
