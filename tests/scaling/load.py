"""The writers of chaos, without what grows dearer with time, and with a clock at each write."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence

import aiohttp

from chaos.ledger import Ledger, MemoryState, Owner, SessionState
from chaos.sending import Answer, GaveUp, Sender
from chaos.writers import MEMORIES, Writer
from scaling.steps import Probe, Write

PROBES: Owner = ("scale-out", "prober")
PROBE_EVERY_SECONDS = 0.25
LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.005, 0.25


class Clocked(Sender):
    """Notes how long each write took until it was acknowledged, retries included."""

    def __init__(
        self, http: aiohttp.ClientSession, urls: Sequence[str], ledger: Ledger, chance: random.Random, writes: list[Write]
    ) -> None:
        super().__init__(http, urls, ledger, chance)
        self._writes = writes

    async def write(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None, *, accept: tuple[int, ...] = ()
    ) -> Answer:
        """As of any sender."""
        began = time.monotonic()
        answer = await super().write(method, path, body, params, accept=accept)
        now = time.monotonic()
        self._writes.append(Write(now, now - began))
        return answer


class Load(Writer):
    """Writes only, one after the other. In each step to sessions of its own, so that a write costs as much late as early."""

    def __init__(self, number: int, sender: Sender, ledger: Ledger, chance: random.Random) -> None:
        super().__init__(number, sender, ledger, chance)
        self._number = number
        self._doing = [
            (self._say_one, 6),
            (self._say_many, 1),
            (self._say_twice, 1),
            (self._replace, 3),
            (self._append, 4),
            (self._store, 2),
            (self._edit, 2),
            (self._forget_memory, 1),
        ]

    def begin(self, step: int) -> None:
        """What is written from now on belongs to this step."""
        self._name = f"w{self._number}s{step}"

    async def work(self, stop: asyncio.Event, go: asyncio.Event, pause: float) -> None:
        """Until told to stop; only while `go` is set."""
        actions, weights = zip(*self._doing, strict=True)
        while await go.wait() and not stop.is_set():
            await self._chance.choices(actions, weights)[0]()
            if pause:
                await asyncio.sleep(pause * 2 * self._chance.random())

    async def _look_at_once(self, session: SessionState) -> None:
        """Everything is read at the end."""


class Prober:
    """Stores a memory four times a second and looks for each until a search shows it."""

    def __init__(self, sender: Sender, ledger: Ledger, chance: random.Random, probes: list[Probe]) -> None:
        self._sender = sender
        self._ledger = ledger
        self._chance = chance
        self._probes = probes
        self._looking: set[asyncio.Task[None]] = set()

    async def work(self, stop: asyncio.Event, go: asyncio.Event) -> None:
        """Until told to stop; only while `go` is set."""
        number = 0
        while await go.wait() and not stop.is_set():
            number += 1
            one = asyncio.create_task(self._probe(f"probe-{number}"))
            self._looking.add(one)
            one.add_done_callback(self._looking.discard)
            await asyncio.sleep(PROBE_EVERY_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Gives those that are still looked for some time."""
        if self._looking:
            await asyncio.wait(self._looking, timeout=seconds)
        for one in self._looking:
            one.cancel()

    async def _probe(self, name: str) -> None:
        state = self._ledger.memories.setdefault(name, MemoryState(PROBES, name))
        text = " ".join(f"{self._chance.getrandbits(40):x}" for _ in range(4))
        scope = {"namespace": PROBES[0], "user_id": PROBES[1]}
        try:
            answer = await self._sender.write(
                "POST", MEMORIES, {"memories": [{"id": name, "text": text, "topics": [name], **scope}]}
            )
        except GaveUp:
            state.doubtful = True
            return
        state.text, state.topics = text, [name]
        self._ledger.acknowledged("memories stored", state, answer.position)
        seen = Probe(time.monotonic())
        self._probes.append(seen)
        wanted = {"topics": {"eq": name}, "namespace": {"eq": PROBES[0]}, "limit": 1}
        pause = LOOK_SECONDS
        while True:
            found = await self._sender.read(MEMORIES + "search", {}, wanted)
            if found is not None and found.status == 200 and found.body["memories"]:
                seen.seconds = time.monotonic() - seen.at
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, LONGEST_LOOK_SECONDS)
