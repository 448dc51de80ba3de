"""`python -m chaos`: a stack of its own on loopback, load, violence, and the account. Exit code 0 when every promise was kept."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from rich.console import Console

from agent_memory.cli.invariants.condition import waited
from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home
from agent_memory.embedded.reach import erase
from agent_memory.embedded.supervisor import Stack
from chaos.account import Servers, taken
from chaos.ledger import Ledger
from chaos.report import Run, as_json, printed
from chaos.rounds import planned, strike
from chaos.sending import Sender
from chaos.writers import Writer
from support.servers import stack_environment

REPLICAS = {"gateway": 2, "ingest": 2, "indexer": 3}
WRITERS = 10
LOAD_SHARE = 0.72
"""Of the time; the rest is for the start, the end and the account."""
GRACE_SECONDS = 60.0
PAUSE_SECONDS = 0.03
LOCAL_PAUSE_SECONDS = 0.5
"""The real model reads some hundred texts a second where two processors do everything else too: more would only wait."""
PATIENCE_SECONDS, LOCAL_PATIENCE_SECONDS = 90.0, 240.0


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="chaos", description="Kill everything in turn under load, then account for every write.")
    parser.add_argument("--rounds", type=int, default=20, help="how many kills (default 20)")
    parser.add_argument("--seconds", type=float, default=180.0, help="about how long it takes (default 180)")
    parser.add_argument("--seed", type=int, default=None, help="the same choices again; times differ all the same")
    parser.add_argument("--requests", type=int, default=60_000, help="at most so many requests (default 60,000)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the account there")
    parser.add_argument("--local-model", action="store_true", help="real embeddings; by default words are hashed, for speed")
    parser.add_argument("--keep-logs", type=Path, default=None, metavar="DIR", help="copy the processes' logs there")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="agent-memory-chaos-"))
    folder.chmod(0o711)
    home = folder / "home"
    screen = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=120)
    screen.print(f"seed {seed}, {given.rounds} rounds, embeddings: {'MiniLM' if given.local_model else 'hashed words'}")
    environment = stack_environment(
        EMBEDDING_MODEL="local" if given.local_model else "hash",
        # Sessions outgrow any window here, and the account wants each message back: a summary would rightly take some.
        ENABLE_WORKING_MEMORY_SUMMARIZATION="false",
    )
    stack = Stack(home, environment=environment, replicas=REPLICAS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        stack.start()
        return asyncio.run(_run(stack, screen, seed, given))
    finally:
        # Also when it was told to stop while the stack was starting.
        stack.stop()
        if given.keep_logs is not None:
            shutil.copytree(home / "logs", given.keep_logs, dirs_exist_ok=True)
        erase(Home(path=home))
        shutil.rmtree(folder, ignore_errors=True)


async def _run(stack: Stack, screen: Console, seed: int, given: argparse.Namespace) -> int:
    began = time.monotonic()
    chance, ledger = random.Random(seed), Ledger()
    seconds = given.seconds * LOAD_SHARE
    pause = LOCAL_PAUSE_SECONDS if given.local_model else PAUSE_SECONDS
    patience = LOCAL_PATIENCE_SECONDS if given.local_model else PATIENCE_SECONDS
    plan = planned(list(stack.pids()), given.rounds, chance)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:

        def sender() -> Sender:
            return Sender(http, stack.http_urls, ledger, random.Random(chance.getrandbits(64)))

        senders = [sender() for _ in range(WRITERS)]
        writers = [Writer(number, one, ledger, random.Random(chance.getrandbits(64))) for number, one in enumerate(senders)]
        for one in senders:
            one.until = began + seconds + GRACE_SECONDS
        load = [asyncio.create_task(writer.run(seconds, given.requests, pause)) for writer in writers]
        blows = await strike(stack, plan, seconds, chance, screen.print)
        await asyncio.gather(*load)
        screen.print(f"the load has ended after {time.monotonic() - began:.0f} s; accounting")
        await asyncio.to_thread(stack.wait_ready, GRACE_SECONDS)
        where = Servers(stack.database_url, stack.redis_url, stack.state.working_memory_redis_url)
        await waited(where.database_url, where.redis_url, 1.0)
        account = await taken(ledger, sender(), where, patience)
    run = Run(
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        embedder="MiniLM" if given.local_model else "hashed words",
        parts=sorted(stack.pids()),
        head=max(ledger.position, 0),
        restarts={process.name: process.restarts for process in stack.state.processes},
        blows=blows,
        doubtful=ledger.doubtful,
    )
    printed(screen, run, ledger, account)
    screen.print(f"took {time.monotonic() - began:.0f} s after the start")
    if given.json is not None:
        given.json.write_bytes(as_json(run, ledger, account))
    return 0 if account.ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        print(f"error: {error.text}\n  hint: {error.hint}", file=sys.stderr)
        sys.exit(2)
