"""When each scheduled job was last heard of, in Redis: one hash, job to due time."""

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, cast

from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEY = "am:jobs:due"

_LATEST = """
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or tonumber(known) < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
"""


async def heard(redis: "Redis", due: Mapping[str, int]) -> None:
    """Jobs came due at these UTC milliseconds; an earlier time than the known one changes nothing."""
    if due:
        script = redis.register_script(_LATEST)
        await script(keys=[KEY], args=[part for job, due_ms in due.items() for part in (job, str(due_ms))])


async def last_due(redis: "Redis") -> dict[str, int]:
    """The latest due time of each job that was ever heard of, UTC milliseconds."""
    fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(KEY))
    return {job.decode(): int(due_ms) for job, due_ms in fields.items()}


async def digest(redis: "Redis") -> str:
    """Equal for equal due times."""
    return digest_of(sorted((await last_due(redis)).items()))


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    await redis.unlink(KEY)
