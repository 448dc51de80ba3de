"""The life of background work: look what is due, take a lease, do it, try again later what failed."""

import asyncio
import time
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from agent_memory.contracts.errors import MemoryFault
from agent_memory.runtime import telemetry
from agent_memory.runtime.leases import Leases

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
ELSEWHERE_SECONDS = 2.0
"""How long an item that another replica holds is left alone."""
MOST = 1_000


class Work(Protocol):
    """One kind of background work, item by item."""

    @property
    def name(self) -> str:
        """What metrics and leases call it."""

    @property
    def ready(self) -> bool:
        """Whether it can be done at all: it is switched on, and a model is there if it needs one."""

    async def waiting(self) -> int:
        """How many items wait, due or not."""

    async def due(self, limit: int) -> list[str]:
        """Items that may be done now, the most urgent first."""

    async def do(self, item: str) -> bool:
        """Does one item and returns whether there was anything to do. Safe to do again. Raises MemoryFault, redis.RedisError."""


class Worker:
    """Does the items of one kind of work, `at_once` at a time. Any number of these may run."""

    def __init__(self, work: Work, leases: Leases, *, at_once: int = 4) -> None:
        self._work = work
        self._leases = leases
        self._at_once = at_once
        self._running: dict[str, asyncio.Task[None]] = {}
        self._later: dict[str, float] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at once: something may have become due."""
        self._woken.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.look()
                except (MemoryFault, RedisError, OSError) as error:
                    self._put_off("all", error, LOOK_SECONDS)
                try:
                    await asyncio.wait_for(self._woken.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def look(self) -> None:
        """Begin what is due and not begun, as far as there is room."""
        # What waits for a model that nobody has configured is no trouble: nothing is late.
        telemetry.WORK_PENDING.labels(self._work.name).set(await self._work.waiting() if self._work.ready else 0)
        if not self._work.ready or len(self._running) >= self._at_once:
            return
        now = time.monotonic()
        self._later = {item: until for item, until in self._later.items() if until > now}
        for item in await self._work.due(MOST):
            if len(self._running) >= self._at_once:
                return
            if item not in self._running and item not in self._later:
                self._begin(item)

    async def idle(self) -> None:
        """Returns when what was begun has ended."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begin(self, item: str) -> None:
        task = asyncio.create_task(self._one(item))
        self._running[item] = task

        def ended(_: "asyncio.Task[None]") -> None:
            self._running.pop(item, None)
            self._woken.set()

        task.add_done_callback(ended)

    async def _one(self, item: str) -> None:
        name = self._work.name
        try:
            async with self._leases.held(item) as mine:
                if not mine:
                    self._later[item] = time.monotonic() + ELSEWHERE_SECONDS
                    return
                await self._done(item)
        except (RedisError, OSError) as error:
            self._put_off(item, error, LOOK_SECONDS)
        except Exception as error:
            # outermost loop: named, counted, and the item stays where it is, to be tried again
            log.error("work failed", work=name, item=item, exc_info=error)
            self._put_off(item, error, LOOK_SECONDS)

    async def _done(self, item: str) -> None:
        name = self._work.name
        try:
            with telemetry.measured(name, telemetry.WORK_SECONDS.labels(name), "work.do"):
                done = await self._work.do(item)
        except RedisError:
            raise
        except Exception as error:
            self._put_off(item, error, await self._leases.failed(item))
            if not isinstance(error, MemoryFault):
                raise
            return
        if done:
            telemetry.WORK_DONE.labels(name).inc()
            await self._leases.succeeded(item)
        else:
            self._later[item] = time.monotonic() + LOOK_SECONDS

    def _put_off(self, item: str, error: Exception, seconds: float) -> None:
        telemetry.RETRIES.labels(self._work.name).inc()
        self._later[item] = max(self._later.get(item, 0.0), time.monotonic() + seconds)
        log.warning("put off", work=self._work.name, item=item, error=f"{type(error).__name__}: {error}", seconds=seconds)
