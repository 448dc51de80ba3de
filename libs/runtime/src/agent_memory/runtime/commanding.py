"""Commands of a service, and what became of them: one entry each on the stream, their replies on a channel of their own."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec.structs import replace
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_reply, encode
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, replies_channel

ANSWER_SECONDS = 10.0


class Outcomes(Protocol):
    """Where the effect of a command is looked up when its reply was lost."""

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None: ...


class Commanding:
    """Sends commands of deterministic ids, so that sending again is safe, and waits for a bounded time."""

    def __init__(self, redis: Redis, outcomes: Outcomes, name: str, *, seconds: float = ANSWER_SECONDS) -> None:
        self._redis = redis
        self._outcomes = outcomes
        self._name = name
        self._seconds = seconds

    async def send(self, envelopes: Sequence[CommandEnvelope]) -> dict[str, ReplyEnvelope]:
        """The replies by command id; of those missing it is not known whether they took effect.

        Raises redis.RedisError, and Unavailable when the log cannot be asked.
        """
        if not envelopes:
            return {}
        replies: dict[str, ReplyEnvelope] = {}
        wanted = {envelope.id: envelope.scope.tenant for envelope in envelopes}
        reply_to = f"{self._name}:{secrets.token_hex(6)}"
        async with self._redis.pubsub() as channel:
            await channel.subscribe(replies_channel(reply_to))
            await channel.get_message(timeout=self._seconds)  # from its answer on no reply is missed
            async with self._redis.pipeline(transaction=False) as pipe:
                for envelope in envelopes:
                    pipe.xadd(COMMANDS, {DATA_FIELD: encode(replace(envelope, reply_to=reply_to))})
                await pipe.execute()
            deadline = asyncio.get_running_loop().time() + self._seconds
            while len(replies) < len(wanted) and (left := deadline - asyncio.get_running_loop().time()) > 0:
                message: dict[str, Any] | None = await channel.get_message(timeout=left)
                if message is not None and message["type"] == "message":
                    reply = decode_reply(message["data"])
                    replies[reply.command_id] = reply
        for command_id, tenant in wanted.items():
            if command_id not in replies and (found := await self._outcomes.outcome(tenant, command_id)) is not None:
                replies[command_id] = found
        return replies
