"""How far back a search of the timeline reaches. What is older leaves the index by whole months; the log keeps all of it, and what
was written about it, nodes and grips, is found as before.

Redis holds some kilobytes for every event that can be found, for as long as it can, so that it fills up where nothing ever leaves.
"""

from datetime import UTC, datetime

from redis.asyncio import Redis

from agent_memory.contracts.streams import document_prefix, index_name
from agent_memory.readmodels import generations, writes
from agent_memory.readmodels.documents import Delete
from agent_memory.readmodels.projecting import Meant, Wanted

TOLD = "am:index:timeline:since"
"""UTC milliseconds from which on the index holds events; absent: all of them. Whoever compares the index with the log reads it."""
PAGE = 500


def since_ms(months: int | None, now: datetime) -> int | None:
    """The beginning (UTC milliseconds) of the month that many before the one of `now`; None: nothing is too old."""
    if months is None:
        return None
    now = now.astimezone(UTC)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return int(datetime(max(1, year), month + 1, 1, tzinfo=UTC).timestamp() * 1000)


def too_old(meant: Meant, since: int | None) -> bool:
    """Whether it is an event of the timeline from before the months that are found."""
    return since is not None and isinstance(meant, Wanted) and meant.event is not None and meant.event.timestamp_ms < since


async def told(redis: Redis) -> int | None:
    """How far back the index of the timeline reaches, as its indexer said."""
    found = await redis.get(TOLD)
    return None if found is None else int(found)


async def tell(redis: Redis, since: int | None) -> bool:
    """Says how far back the index of the timeline reaches; whether it did not say so before."""
    if await told(redis) == since:
        return False
    await (redis.delete(TOLD) if since is None else redis.set(TOLD, since))
    return True


async def retire(redis: Redis, since: int | None) -> int:
    """Takes what is older out of the live index, as if it had never been written; returns how many documents that were."""
    live = (await generations.registry(redis, "timeline")).live
    if live is None or since is None:
        return 0
    gone = 0
    while old := await _older(redis, live, since):
        # Up to the version that was seen: what is written meanwhile is younger, and stays.
        changed = (await writes.apply(redis, [live], old, model=live.model)).changed
        # They would keep a rebuild that reaches back further from writing these again.
        await redis.unlink(*(writes.tombstone_key(one.kind, one.scope_path, one.id) for one in old))
        gone += changed
        if not changed:
            break
    return gone


async def _older(redis: Redis, live: generations.Generation, since: int) -> list[Delete]:
    query = f"@timestamp_ms:[-inf ({since}]"
    asked = ("FT.SEARCH", index_name(live.kind, live.number), query, "RETURN", 1, "version", "LIMIT", 0, PAGE, "DIALECT", 2)
    _, *found = await redis.execute_command(*asked)
    start = document_prefix(live.kind, live.number)
    places = [(key.decode().removeprefix(start), dict(zip(*[iter(fields)] * 2, strict=True))) for key, fields in _pairs(found)]
    return [
        Delete(kind=live.kind, scope_path=scope.removeprefix("{"), id=event_id, version=int(fields[b"version"]))
        for place, fields in places
        for scope, _, event_id in [place.partition("}:")]
    ]


def _pairs(found: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
    return list(zip(found[::2], found[1::2], strict=True))  # type: ignore[arg-type]
