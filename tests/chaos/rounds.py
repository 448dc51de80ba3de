"""Who is killed when: every part at least once, the rest by chance, and two FLUSHALLs."""

import asyncio
import random
import time
from collections.abc import Callable

import msgspec
from redis.exceptions import RedisError

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.supervisor import Stack
from chaos.account import Servers, flush

FLUSH = "FLUSHALL"
FLUSHES = 2
FAVOURITES = ("redis", "postgres", "ingest", "ingest-2", "indexer", "gateway")


class Blow(msgspec.Struct, frozen=True, kw_only=True):
    """One act of violence, and how many seconds after the beginning of the load it fell."""

    round: int
    what: str
    at_seconds: float


def planned(parts: list[str], rounds: int, chance: random.Random) -> list[list[str]]:
    """For each round whom it kills; each part once if there are rounds enough. Flushes are put between."""
    names = list(parts)
    chance.shuffle(names)
    favourites = [name for name in FAVOURITES if name in parts]
    victims = (names + [chance.choice(favourites) for _ in range(rounds)])[:rounds]
    chance.shuffle(victims)
    plan = [[victim] for victim in victims]
    for round_ in chance.sample(range(len(plan)), min(FLUSHES, len(plan))):
        plan[round_].append(FLUSH)
    return plan


async def strike(
    stack: Stack, plan: list[list[str]], seconds: float, chance: random.Random, tell: Callable[[str], None]
) -> list[Blow]:
    """Goes through the plan, evenly spread over the time with some jitter. Returns what was done."""
    began = time.monotonic()
    done: list[Blow] = []
    for number, blows in enumerate(plan, start=1):
        due = began + seconds * (number - 0.5 + chance.uniform(-0.3, 0.3)) / len(plan)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for blow in blows:
            await _until_done(stack, blow)
            done.append(Blow(round=number, what=blow, at_seconds=round(time.monotonic() - began, 1)))
            tell(f"round {number}: {blow}" if blow == FLUSH else f"round {number}: kill -9 {blow}")
            if len(blows) > 1:
                await asyncio.sleep(chance.uniform(0.2, 1.5))
    return done


async def _until_done(stack: Stack, blow: str) -> None:
    """A part that is between two lives is waited for."""
    deadline = time.monotonic() + 30
    while True:
        try:
            if blow == FLUSH:
                await flush(Servers(stack.database_url, stack.redis_url, stack.state.working_memory_redis_url).caches)
            else:
                await asyncio.to_thread(stack.kill, blow)
        except (StackError, RedisError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return
