"""What searches returned is counted: gathered for a moment, then told to the log, apart from the answer."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from agent_memory.contracts.commands import TouchMemories
from agent_memory.contracts.errors import MemoryFault
from agent_memory.contracts.records import Scope
from agent_memory.gateway.ports import CommandBus
from agent_memory.readmodels.standing import Scored
from agent_memory.runtime import telemetry

EVERY_SECONDS = 900
GATHER_SECONDS = 1.0
MOST = 10_000
"""Memories waiting to be counted; beyond, they are not, which a later search makes good."""
AT_ONCE = 500
log = structlog.get_logger(__name__)


class _Seen(msgspec.Struct):
    id: str
    last_accessed: datetime


_seen = msgspec.json.Decoder(_Seen).decode


class Touches:
    """Access counts, each memory's at most once in `EVERY_SECONDS`. What is gathered when the process ends is not counted."""

    def __init__(self, bus: CommandBus, clock: Callable[[], datetime], *, seconds: float = GATHER_SECONDS) -> None:
        self._bus = bus
        self._clock = clock
        self._seconds = seconds
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._telling: asyncio.Task[None] | None = None

    def note(self, tenant: str, hits: Sequence[Scored]) -> None:
        """These were returned to a caller."""
        before = self._clock() - timedelta(seconds=EVERY_SECONDS)
        due = [one.id for hit in hits if (one := _seen(hit.record)).last_accessed <= before]
        if not due or sum(map(len, self._waiting.values())) > MOST:
            return
        self._waiting[tenant].update(due)
        if self._telling is None:
            self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._seconds)
                gathered, self._waiting = self._waiting, defaultdict(set)
                for tenant, found in gathered.items():
                    memory_ids = sorted(found)
                    for start in range(0, len(memory_ids), AT_ONCE):
                        part = memory_ids[start : start + AT_ONCE]
                        await self._bus.ask(Scope(tenant=tenant), TouchMemories(memory_ids=part, every_seconds=EVERY_SECONDS))
        except MemoryFault as error:
            telemetry.ERRORS.labels("memory.touch", type(error).__name__).inc()
            log.warning("accesses not counted", error=f"{type(error).__name__}: {error}")
        finally:
            self._telling = None
