"""A stack that can be scaled while it runs, with a stub in the place of a model provider where one is asked for."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
import psycopg
from redis.asyncio import Redis

from agent_memory.embedded.home import Home
from agent_memory.embedded.reach import erase
from agent_memory.embedded.supervisor import Stack
from bench.sites import stub_provider, stub_settings
from scaling.steps import Takeover, service_of
from scaling.watching import held_by, taken_over
from support.servers import stack_environment, temporary_home
from support.stub_model import Trouble

SCALED = ("ingest", "indexer")
GATEWAYS = 2
DIMENSIONS = 384
READY_SECONDS = 60.0
STUB = "(stub provider)"


class SlowModel(msgspec.Struct, frozen=True, kw_only=True):
    """How long the provider waits before it answers, without working: for each request, and for each text of it."""

    request_ms: float
    text_ms: float


class Stage:
    """The stack, and who of it may be added or killed."""

    def __init__(self, stack: Stack, chance: random.Random, stub: tuple[str, int] | None) -> None:
        self.stack = stack
        self._chance = chance
        self._stub = stub
        self.following: set[asyncio.Task[None]] = set()

    def pids(self) -> dict[str, int]:
        """Of all processes."""
        return {**self.stack.pids(), **({STUB: self._stub[1]} if self._stub else {})}

    def replicas(self, service: str) -> list[str]:
        """Names of those that run."""
        return [name for name in self.stack.pids() if service_of(name) == service]

    async def scale(self, redis: Redis, count: int) -> tuple[float, list[Takeover]]:
        """Adds replicas of each service, or kills some that chance picks, with what they have in hand. Returns how long it took
        until those that were added were ready, and what was killed, which is followed until others have done it.
        """
        began, killed = time.monotonic(), []
        for service in SCALED:
            running = self.replicas(service)
            for _ in range(count - len(running)):
                await asyncio.to_thread(self.stack.grow, service)
            for name in self._chance.sample(running, max(0, len(running) - count)):
                killed.append(await self._kill(redis, name))
        await asyncio.to_thread(self.stack.wait_ready, READY_SECONDS)
        return round(time.monotonic() - began, 2), killed

    async def _kill(self, redis: Redis, name: str) -> Takeover:
        pid = await asyncio.to_thread(self.stack.retire, name)
        takeover = Takeover(name=name, held=0)
        following = asyncio.create_task(taken_over(redis, takeover, await held_by(redis, pid)))
        self.following.add(following)
        following.add_done_callback(self.following.discard)
        return takeover

    def slow_down(self, model: SlowModel) -> None:
        """Has the stub, if there is one, wait so long from now on."""
        if self._stub is not None:
            control = self._stub[0].removesuffix("/v1") + "/control"
            body = msgspec.json.encode(Trouble(request_ms=model.request_ms, text_ms=model.text_ms))
            urlopen(Request(control, data=body), timeout=30).close()

    def embedded(self) -> int:
        """Texts that the stub was asked for; 0 without one."""
        if self._stub is None:
            return 0
        with urlopen(self._stub[0].removesuffix("/v1") + "/control", timeout=30) as answer:
            return int(msgspec.json.decode(answer.read()).get("embeddings", 0))

    async def vectors(self) -> int:
        """How many the log keeps."""
        async with await psycopg.AsyncConnection.connect(self.stack.database_url) as log:
            found = await (await log.execute("SELECT count(*) FROM embeddings")).fetchone()
        return int(found[0]) if found else 0


@contextmanager
def started(chance: random.Random, model: SlowModel | None, logs: Path | None) -> Iterator[Stage]:
    """One replica of everything, two gateways. Everything is gone afterwards, apart from logs that are kept."""
    with ExitStack() as opened:
        home = opened.enter_context(temporary_home())
        stub = opened.enter_context(stub_provider(DIMENSIONS)) if model else None
        given: Mapping[str, str] = stub_settings(stub[0], DIMENSIONS) if stub else {"EMBEDDING_MODEL": "hash"}
        # Each message is read back at the end: a summary would rightly take some.
        environment = stack_environment(ENABLE_WORKING_MEMORY_SUMMARIZATION="false", **given)
        stack = Stack(home, environment=environment, replicas={"gateway": GATEWAYS})
        opened.callback(erase, Home(path=home))
        if logs is not None:
            opened.callback(_keep, home / "logs", logs)
        opened.callback(stack.stop)
        stack.start()
        stage = Stage(stack, chance, stub)
        if model:
            stage.slow_down(model)
        yield stage


def _keep(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for one in source.iterdir():
        (target / one.name).write_bytes(one.read_bytes())
