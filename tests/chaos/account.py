"""At the end: everything that was acknowledged is looked for, through the doors and in the log."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec
from redis.asyncio import Redis

from agent_memory.cli.invariants.checks import check_all
from agent_memory.cli.invariants.condition import waited
from agent_memory.cli.invariants.results import Result
from agent_memory.cli.invariants.system import System, number, opened
from agent_memory.contracts.streams import DEAD_LETTERS
from agent_memory.readmodels import contents, due, duplicates, generations, jobs
from agent_memory.readmodels.documents import Kind
from chaos.ledger import Ledger, Owner
from chaos.sending import Answer, Sender
from chaos.writers import EVENTS, MEMORIES, WORKING, memory_differs, session_differs

PAGE = 1000
LOOK_SECONDS = 0.2
KINDS: tuple[Kind, ...] = get_args(Kind)


class Servers(msgspec.Struct, frozen=True):
    """Where the stack's servers are."""

    database_url: str
    redis_url: str
    views_url: str = ""

    @property
    def caches(self) -> list[str]:
        """Every Redis: that of working memory may be another."""
        return list(dict.fromkeys([self.redis_url, self.views_url or self.redis_url]))


class Account(msgspec.Struct, kw_only=True):
    """What was found: the lists hold what should be empty. `nodes` of the table of contents that something was written about, and
    how often: `revisions`.
    """

    lost: list[str] = []
    duplicates: list[str] = []
    stale: list[str] = []
    other: list[str] = []
    invariants: list[Result] = []
    live: dict[str, str] = {}
    rebuilt: dict[str, str] = {}
    lagging: bool = False
    dead_letters: int = 0
    nodes: int = 0
    revisions: int = 0

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        wrong = self.lost or self.duplicates or self.stale or self.other or self.dead_letters or self.lagging
        return not wrong and all(result.ok for result in self.invariants) and self.live == self.rebuilt


async def taken(ledger: Ledger, sender: Sender, where: Servers, patience: float) -> Account:
    """Looks for everything: through the doors, which also brings back what a flush took; in the log; and, after one more flush,
    in views that were made anew. `patience`: seconds until the views must have caught up, each time."""
    account = Account(other=list(ledger.wrong))
    account.lagging = not await settled(where, patience)
    await _sessions(ledger, sender, account)
    await _memories(ledger, sender, account)
    await _events(ledger, sender, account)
    async with opened(where.database_url, where.redis_url, views_url=where.views_url) as system:
        account.invariants = await check_all(system)
        account.nodes, account.revisions = await written(system)
        account.dead_letters = await system.redis.xlen(DEAD_LETTERS)
        if system.head < ledger.position:
            account.lost.append(f"position {ledger.position} was acknowledged, the log ends at {system.head}")
    await _rebuilt(where, account, patience)
    await _sessions(ledger, sender, account)
    return account


async def _events(ledger: Ledger, sender: Sender, account: Account) -> None:
    for owner, wanted in ledger.events.items():
        found = await _timeline(sender, owner)
        counted = Counter(event_id for event_id, _ in found)
        account.duplicates += [f"event {event_id} stands {count} times" for event_id, count in counted.items() if count > 1]
        texts = dict(found)
        for event_id, text in wanted.items():
            if event_id not in texts:
                account.lost.append(f"event {event_id} of {owner}")
            elif texts[event_id] != text:
                account.other.append(f"event {event_id} says {texts[event_id]!r} for {text!r}")
    account.duplicates += [f"event {event_id} was new {count} times" for event_id, count in ledger.created.items() if count > 1]
    account.other += [f"event {event_id} was never new" for event_id in ledger.twice if ledger.created[event_id] == 0]


async def _timeline(sender: Sender, owner: Owner) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {**_scope(owner), "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        page = await _answered(sender, EVENTS, params)
        found += [(event["message_id"] or event["event_id"], event["text"]) for event in page.body["events"]]
        cursor = page.body["next_cursor"]
    return found


async def _sessions(ledger: Ledger, sender: Sender, account: Account) -> None:
    for session in list(ledger.sessions.values()):
        if session.doubtful:
            continue
        answer = await _answered(sender, WORKING + session.session_id, _scope(session.owner))
        account.stale += session_differs(session, answer.status, answer.body)


async def _memories(ledger: Ledger, sender: Sender, account: Account) -> None:
    for state in list(ledger.memories.values()):
        if not state.doubtful:
            answer = await _answered(sender, MEMORIES + state.memory_id, {})
            account.stale += memory_differs(state, answer.status, answer.body)
    for owner in {state.owner for state in ledger.memories.values()}:
        listed = Counter(await _listed(sender, owner))
        mine = [state for state in ledger.memories.values() if state.owner == owner and not state.doubtful]
        account.duplicates += [f"memory {memory_id} is listed {count} times" for memory_id, count in listed.items() if count > 1]
        account.lost += [
            f"memory {state.memory_id} is in no search"
            for state in mine
            if state.text is not None and state.memory_id not in listed
        ]
        account.stale += [
            f"memory {state.memory_id} was deleted and is found"
            for state in mine
            if state.text is None and state.memory_id in listed
        ]


async def _listed(sender: Sender, owner: Owner) -> list[str]:
    """Ids of all memories of an owner, by the search index."""
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        body = {"limit": 100, "offset": offset, "namespace": {"eq": owner[0]}, "user_id": {"eq": owner[1]}}
        page = await _answered(sender, MEMORIES + "search", {}, body)
        found += [memory["id"] for memory in page.body["memories"]]
        offset = page.body["next_offset"]
    return found


async def _rebuilt(where: Servers, account: Account, patience: float) -> None:
    """All views from nothing, and their digests before and after. Nothing is written about them anew."""
    async with Redis.from_url(where.redis_url, protocol=2) as redis:
        account.live = await digests(redis)
        await flush(where.caches)
        account.lagging |= not await settled(where, patience)
        account.rebuilt = await digests(redis)
    async with opened(where.database_url, where.redis_url, views_url=where.views_url) as system:
        if (again := (await written(system))[1] - account.revisions) != 0:
            account.other.append(f"{again} revisions were written of nodes that had not changed")


async def settled(where: Servers, seconds: float) -> bool:
    """Whether every view got to the head, and everything that changed is written about and shown, in time."""
    deadline = time.monotonic() + seconds
    async with Redis.from_url(where.redis_url, protocol=2) as redis:
        while await waited(where.database_url, where.redis_url, max(deadline - time.monotonic(), 0.0)):
            if not sum((await due.waiting(redis)).values()):
                return await waited(where.database_url, where.redis_url, max(deadline - time.monotonic(), 0.0))
            await asyncio.sleep(LOOK_SECONDS)
    return False


async def written(system: System) -> tuple[int, int]:
    """Nodes that something was written about, and how often in all."""
    counted = "FROM events WHERE type = 'NodeRevised'"
    return await number(system.log, f"SELECT count(DISTINCT stream) {counted}"), await number(
        system.log, f"SELECT count(*) {counted}"
    )


async def flush(urls: Sequence[str]) -> None:
    """Every view is gone."""
    for url in urls:
        async with Redis.from_url(url, protocol=2) as redis:
            await redis.flushall()


async def digests(redis: Redis) -> dict[str, str]:
    """One number for each read model that is fed from the log."""
    found = {
        "contents": await contents.digest(redis),
        "duplicates": await duplicates.digest(redis),
    }
    for kind in KINDS:
        live = (await generations.registry(redis, kind)).live
        found[f"{kind} index"] = "none" if live is None else await generations.digest(redis, live)
    found["jobs"] = ", ".join(sorted(await jobs.last_due(redis)))
    return found


async def _answered(sender: Sender, path: str, params: Mapping[str, str], body: object = None) -> Answer:
    for _ in range(60):
        answer = await sender.read(path, params, body)
        if answer is not None:
            return answer
        await asyncio.sleep(0.5)
    raise RuntimeError(f"{path} cannot be read, though everything runs again")


def _scope(owner: Owner) -> dict[str, str]:
    return {name: value for name, value in zip(("namespace", "user_id"), owner, strict=True) if value}
