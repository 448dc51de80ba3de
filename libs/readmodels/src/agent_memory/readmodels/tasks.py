"""Tasks that have not ended, in Redis: one hash, log stream of the task to the task.

Which of them is to be worked on the log says: an entry may be of a task that has ended meanwhile, never is an open one missing for
longer than the projection lags.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.records import Task
from agent_memory.contracts.streams import TASKS

if TYPE_CHECKING:
    from redis.asyncio import Redis

OPEN = f"am:tasks:{{{TASKS}}}:open"
ENDED = frozenset({"success", "failed"})
_task = msgspec.json.Decoder(Task)


async def changed(redis: "Redis", tasks: Sequence[tuple[str, Task]]) -> None:
    """Note tasks by their streams, oldest change first: open ones stand in the view, those that ended do not."""
    latest = dict(tasks)
    async with redis.pipeline(transaction=False) as pipe:
        for stream, task in latest.items():
            if task.status in ENDED:
                pipe.hdel(OPEN, stream)
            else:
                pipe.hset(OPEN, stream, msgspec.json.encode(task))
        await pipe.execute()


async def opened(redis: "Redis") -> dict[str, Task]:
    """Every task that may be open, by its stream."""
    fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(OPEN))
    return {stream.decode(): _task.decode(task) for stream, task in fields.items()}


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    await redis.unlink(OPEN)


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: a key that names the stream in braces, and a value, as digests take them."""
    for stream, task in (await opened(redis)).items():
        yield entry_key(stream), msgspec.to_builtins(task)


def entry_key(stream: str) -> str:
    """How `entries` calls a task."""
    return f"task:{{{stream}}}"
