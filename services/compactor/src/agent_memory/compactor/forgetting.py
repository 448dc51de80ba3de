"""Forgetting by the policy of the settings: each owner's memories for themselves."""

from collections.abc import Callable
from datetime import datetime

import structlog
from redis.asyncio import Redis

from agent_memory.compactor import domain
from agent_memory.compactor.compaction import Memories, Sender
from agent_memory.contracts.commands import ForgetMemories
from agent_memory.contracts.records import MemoryRecord, Scope, to_milliseconds
from agent_memory.contracts.replies import MemoriesForgotten
from agent_memory.readmodels import duplicates
from agent_memory.readmodels.forgetting import ForgetPolicy, forgettable
from agent_memory.runtime import telemetry
from agent_memory.runtime.settings import Settings

log = structlog.get_logger("forgetting")

AT_ONCE = 1_000


def policy_of(settings: Settings) -> ForgetPolicy | None:
    """What the settings ask for; None when nothing is to be forgotten."""
    policy = ForgetPolicy(
        max_age_days=settings.forgetting_max_age_days,
        max_inactive_days=settings.forgetting_max_inactive_days,
        budget=settings.forgetting_budget_keep_top_n,
    )
    return policy if settings.forgetting_enabled and policy.forgets else None


class Forgetting:
    """Applies one policy. Idempotent: a memory is forgotten once, and one that was pinned meanwhile stays."""

    def __init__(
        self, redis: Redis, memories: Memories, sender: Sender, policy: ForgetPolicy, *, clock: Callable[[], datetime]
    ) -> None:
        self._redis = redis
        self._memories = memories
        self._sender = sender
        self._policy = policy
        self._clock = clock

    async def everywhere(self, cause: str) -> int:
        """All owners of all tenants. Returns how many memories went. Raises Unavailable and redis.RedisError."""
        gone = 0
        for tenant in await duplicates.tenants(self._redis):
            for owner in await duplicates.owners(self._redis, tenant):
                gone += await self._owner(owner, cause)
        return gone

    async def _owner(self, owner: Scope, cause: str) -> int:
        now, gone = self._clock(), 0
        ids = forgettable(await self._records(owner), self._policy, (), now)
        for start in range(0, len(ids), AT_ONCE):
            command = ForgetMemories(memory_ids=ids[start : start + AT_ONCE], reason="policy")
            sent = domain.envelope(owner.tenant, command, cause, to_milliseconds(now)[0])
            reply = (await self._sender.send([sent])).get(sent.id)
            if reply is not None and isinstance(reply.reply, MemoriesForgotten):
                gone += len(reply.reply.memory_ids)
        telemetry.FORGOTTEN.inc(gone)
        if gone:
            log.info("forgotten", tenant=owner.tenant, namespace=owner.namespace, memories=gone)
        return gone

    async def _records(self, owner: Scope) -> list[MemoryRecord]:
        """All that the owner has, as the log has it: the list of ids may be late, and then names what moved or went."""
        ids = await duplicates.memory_ids(self._redis, owner)
        found: list[MemoryRecord] = []
        for start in range(0, len(ids), AT_ONCE):
            known = await self._memories.memories(owner.tenant, ids[start : start + AT_ONCE])
            found += [one.record for one in known.values()]
        return [one for one in found if ((one.namespace or ""), (one.user_id or "")) == (owner.namespace, owner.user_id)]
