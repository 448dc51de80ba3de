"""What Redis holds of a log that is replaced: all of it goes, so that every service makes it anew from the log."""

from redis import Redis

from agent_memory.contracts.streams import HEARTBEAT_STALE_MS, heartbeat_key

OURS = "am:*"
INDEXES = "am:index:"
_AT_ONCE = 1_000


def alive(redis: Redis) -> list[str]:
    """The services that were heard of lately, by the clock of Redis, which wrote that down."""
    now, found = redis.time()[0] * 1000, set()
    prefix = heartbeat_key("")
    for key in redis.scan_iter(f"{prefix}*", count=_AT_ONCE):
        if any(now - int(seen) < HEARTBEAT_STALE_MS for seen in redis.hvals(key)):
            found.add(key.decode().removeprefix(prefix))
    return sorted(found)


def forget(redis: Redis) -> None:
    """Drops every key and search index of ours; what others keep in the same Redis stays.

    The projections' epochs go with them: a service that runs takes it for a flush and starts from the log's beginning.
    """
    for name in redis.execute_command("FT._LIST"):
        if name.decode().startswith(INDEXES):
            redis.execute_command("FT.DROPINDEX", name)
    batch: list[bytes] = []
    for key in redis.scan_iter(OURS, count=_AT_ONCE):
        batch.append(key)
        if len(batch) == _AT_ONCE:
            redis.unlink(*batch)
            batch.clear()
    if batch:
        redis.unlink(*batch)
