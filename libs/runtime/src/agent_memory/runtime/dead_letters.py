"""One stream for every message that was given up, with what is needed to understand it and to send it again."""

import time

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.contracts.streams import DATA_FIELD, DEAD_LETTERS
from agent_memory.runtime import telemetry

log = structlog.get_logger("dead_letters")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is the original envelope; `position` is 0 for commands, which have none yet; `sequence` is their place on the bus."""

    body: bytes
    source: str
    group: str
    error: Exception
    attempts: int
    position: int = 0
    sequence: int = 0


async def bury(redis: Redis, letter: DeadLetter) -> None:
    """Keeps the message and counts it. Raises redis errors: what could not be kept must not be acknowledged."""
    name = type(letter.error).__name__
    await redis.xadd(
        DEAD_LETTERS,
        {
            DATA_FIELD: letter.body,
            "source": letter.source,
            "group": letter.group,
            "error": str(letter.error)[:2000],
            "error_name": name,
            "attempts": letter.attempts,
            "position": letter.position,
            "sequence": letter.sequence,
            "at_ms": int(time.time() * 1000),
        },
    )
    telemetry.DEAD_LETTERED.labels(letter.group, name).inc()
    log.error(
        "dead letter", source=letter.source, group=letter.group, error_name=name, error=str(letter.error), position=letter.position
    )
