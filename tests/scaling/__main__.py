"""`python -m scaling`: a stack of its own on loopback, writers, and ingest and indexer with 1, 2, 4, 2 and 1 replicas in turn,
taken away by kill -9. Says what each step did, and accounts for every acknowledged write. Exit code 0 when every promise was kept.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from agent_memory.cli.invariants.condition import waited
from agent_memory.embedded.errors import StackError
from bench import machine
from chaos.account import Servers, taken
from chaos.ledger import Ledger
from chaos.sending import Sender
from scaling.load import Clocked, Load, Prober
from scaling.report import Report, as_json, counts, printed
from scaling.stage import SlowModel, Stage, started
from scaling.steps import COUNTS, Probe, Step, Write, figures
from scaling.watching import look, watch

GRACE_SECONDS, PROBE_GRACE_SECONDS = 60.0, 20.0
PATIENCE_SECONDS = 120.0
CATCH_UP_SECONDS = 45.0
WARM_SECONDS = 1.0
WAITING_RATE = 80.0
"""Writes a second, at most, where what is looked for is waiting: processors shall not be what ends first."""
FAST = SlowModel(request_ms=0, text_ms=0)


def main() -> int:
    """Runs it; returns the exit code."""
    given = _arguments()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    machine.keep_to()
    screen = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    model = SlowModel(request_ms=given.request_ms, text_ms=given.text_ms) if given.waiting else None
    screen.print(f"seed {seed}, replicas {' → '.join(map(str, COUNTS))}, {given.seconds:g} s each, {in_words(model)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    chance = random.Random(seed)
    with started(chance, model, given.keep_logs) as stage:
        report = asyncio.run(Trial(stage, chance, screen, given.seconds, given.writers, model).run(seed))
    printed(screen, report)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_bytes(as_json(report))
    screen.print(f"written: {given.json}")
    return 0 if report.account.ok else 1


def in_words(model: SlowModel | None) -> str:
    """Where vectors come from."""
    if model is None:
        return "embeddings: hashed words (processors are the limit)"
    return (
        f"embeddings: a service that takes {model.request_ms:g} ms a request and {model.text_ms:g} ms a text (waiting is the limit)"
    )


class Trial:
    """One run on a stack that has started."""

    def __init__(
        self, stage: Stage, chance: random.Random, screen: Console, seconds: float, writers: int, model: SlowModel | None
    ) -> None:
        self._stage = stage
        self._screen = screen
        self._seconds = seconds
        self._count = writers
        self._model = model
        self._chance = chance
        self._ledger = Ledger()
        self._writes: list[Write] = []
        self._probes: list[Probe] = []
        self._go = asyncio.Event()
        """Set while there is load."""

    async def run(self, seed: int) -> Report:
        """All steps, then the account."""
        began, stack = time.monotonic(), self._stage.stack
        where = Servers(stack.database_url, stack.redis_url, stack.state.working_memory_redis_url)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
            Redis.from_url(stack.redis_url, protocol=2) as redis,
        ):
            steps = await self._under_load(http, redis)
            self._screen.print(f"the load has ended after {time.monotonic() - began:.0f} s; accounting")
            embedded, vectors = self._stage.embedded(), await self._stage.vectors()
            self._stage.slow_down(FAST)
            await waited(where.database_url, where.redis_url, 1.0)
            account = await taken(self._ledger, Sender(http, stack.http_urls, self._ledger, self._chance), where, PATIENCE_SECONDS)
        return Report(
            machine=machine.describe(),
            seed=seed,
            model=in_words(self._model),
            writers=self._count,
            seconds=round(time.monotonic() - began, 1),
            steps=[figures(step, self._writes, self._probes) for step in steps],
            embedded=embedded,
            vectors=vectors,
            account=account,
            counts=counts(self._ledger),
            doubtful=self._ledger.doubtful,
            position=self._ledger.position,
        )

    async def _under_load(self, http: aiohttp.ClientSession, redis: Redis) -> list[Step]:
        urls, stop = self._stage.stack.http_urls, asyncio.Event()

        def chance() -> random.Random:
            return random.Random(self._chance.getrandbits(64))

        senders = [Clocked(http, urls, self._ledger, chance(), self._writes) for _ in range(self._count)]
        writers = [Load(number, one, self._ledger, chance()) for number, one in enumerate(senders)]
        prober = Prober(Sender(http, urls, self._ledger, chance()), self._ledger, chance(), self._probes)
        pause = self._count / WAITING_RATE if self._model else 0.0
        load = [asyncio.create_task(one.work(stop, self._go, pause)) for one in writers]
        load.append(asyncio.create_task(prober.work(stop, self._go)))
        try:
            steps = await self._steps(redis, writers)
        finally:
            stop.set()
            self._go.set()
            for one in senders:
                one.until = time.monotonic() + GRACE_SECONDS
        await asyncio.gather(*load)
        await prober.finish(PROBE_GRACE_SECONDS)
        await asyncio.gather(*self._stage.following)
        return steps

    async def _steps(self, redis: Redis, writers: Sequence[Load]) -> list[Step]:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        steps: list[Step] = []
        with Progress(*columns, console=self._screen, transient=True) as bar:
            shown = bar.add_task("", total=len(COUNTS))
            for number, count in enumerate(COUNTS, start=1):
                bar.update(shown, description=f"step {number} of {len(COUNTS)}: {count} replicas of each")
                for writer in writers:
                    writer.begin(number)
                steps.append(await self._step(redis, count))
                found = figures(steps[-1], self._writes, self._probes)
                self._screen.print(
                    f"{count} replicas: {found.writes_rate:,.0f} writes/s, {sum(found.indexed_rate.values()):,.0f} indexed/s"
                )
                bar.advance(shown)
        return steps

    async def _step(self, redis: Redis, count: int) -> Step:
        """Every step begins with views that have caught up: what one leaves undone shall not slow down the next."""
        self._go.clear()
        self._stage.slow_down(FAST)
        await waited(self._stage.stack.database_url, self._stage.stack.redis_url, CATCH_UP_SECONDS)
        if self._model:
            self._stage.slow_down(self._model)
        self._go.set()
        await asyncio.sleep(WARM_SECONDS)
        ready, killed = await self._stage.scale(redis, count)
        pids, began = self._stage.pids(), time.monotonic()
        looks = await watch(lambda: look(redis, self._ledger.position, pids), began + self._seconds)
        return Step(replicas=count, began=began, ended=time.monotonic(), looks=looks, ready_seconds=ready, killed=killed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scale-out", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each of the five steps lasts (20)")
    parser.add_argument("--seed", type=int, default=None, help="the same choices again; times differ all the same")
    parser.add_argument("--writers", type=int, default=32, help="how many write at a time (32)")
    parser.add_argument("--waiting", action="store_true", help="embeddings come from a service that is slow without working")
    parser.add_argument("--request-ms", type=float, default=50.0, help="with --waiting: how long each request takes there (50)")
    parser.add_argument("--text-ms", type=float, default=40.0, help="with --waiting: and each text of it (40)")
    parser.add_argument(
        "--json", type=Path, default=Path("var/scale-out.json"), metavar="FILE", help="everything (var/scale-out.json)"
    )
    parser.add_argument("--keep-logs", type=Path, default=None, metavar="DIR", help="copy the processes' logs there")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"error: {error.text}" + (f"\n  hint: {error.hint}" if error.hint else ""))
