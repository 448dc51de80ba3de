"""Results onto the bus, each once: its id says what it is the result of. What became of it is learned from the log."""

import asyncio
import time
from typing import Protocol

import structlog
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import ModelUse, Scope
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.llm import Completion

FIRST_LOOK_SECONDS = 0.02
LONGEST_LOOK_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Outcomes(Protocol):
    """How commands were answered (`LogReader`)."""

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None: ...


class Recorder:
    """Sends commands and waits until the projection that knows what is to be done has seen their effect.

    Without the wait the same work would be found again, and done again. `patience` is in seconds; 0: nobody waits.
    """

    def __init__(self, redis: Redis, outcomes: Outcomes, projection: str, *, patience: float = 30.0) -> None:
        self._redis = redis
        self._outcomes = outcomes
        self._ledger = Ledger(redis, projection)
        self._patience = patience

    async def record(self, scope: Scope, command_id: str, command: AnyCommand) -> None:
        """Have a command decided. Raises Unavailable when it was not in time; it may still be, so the same id may be sent again."""
        envelope = CommandEnvelope(
            id=command_id, scope=scope, issued_ms=time.time_ns() // 1_000_000, command=command, correlation_id=command_id
        )
        await self._redis.xadd(COMMANDS, {DATA_FIELD: encode(envelope)})
        log.info("recorded", command=type(command).__name__, command_id=command_id)
        deadline, pause = time.monotonic() + self._patience, FIRST_LOOK_SECONDS
        while self._patience and not await self._seen(scope.tenant, command_id):
            if time.monotonic() > deadline:
                raise Unavailable(f"{command_id} is not recorded yet", command_id=command_id)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)

    async def _seen(self, tenant: str, command_id: str) -> bool:
        outcome = await self._outcomes.outcome(tenant, command_id)
        return outcome is not None and await self._ledger.covers(outcome.position)


def used(*completions: Completion) -> ModelUse:
    """What answers took, together."""
    if not completions:
        return ModelUse()
    costs = [one.usage.cost for one in completions]
    return ModelUse(
        model=completions[-1].model,
        prompt_tokens=sum(one.usage.prompt_tokens for one in completions),
        completion_tokens=sum(one.usage.completion_tokens for one in completions),
        cost=None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None),
    )
