"""Group commit: while one batch is being written the next one gathers, and the callers of the one before are answered."""

import asyncio
from collections.abc import Sequence

import structlog

from agent_memory.ingest.handlers import Answers, Ingest
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry

log = structlog.get_logger("ingest")


class GroupCommit:
    """Between the bus and `Ingest`: `offer` takes entries, `write` and `answer` are the two tasks that see them through.

    Without it reading, writing and answering take turns, and each waits for a server while the others could work. Answers go
    out in the order of the log. What is not written or not answered stays pending on the bus and comes back, so nothing is
    kept here.
    """

    def __init__(self, ingest: Ingest, *, batch: int) -> None:
        self._ingest = ingest
        self._batch = batch
        self._waiting: list[Entry] = []
        self._written = Answers()
        self._unfinished = 0
        self._changed = asyncio.Condition()

    async def offer(self, entries: Sequence[Entry]) -> None:
        """Takes entries in and returns when they are being written.

        Until then more gathers on the bus: it is read once per batch, and what this replica cannot do goes to others.
        """
        async with self._changed:
            self._waiting += entries
            self._unfinished += len(entries)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: not self._waiting)

    async def write(self) -> None:
        """Writes what has gathered, at most `batch` commands in one transaction, until cancelled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
                self._changed.notify_all()
            answers = Answers()
            try:
                answers = await self._ingest.record(batch)
            except Exception as error:  # noqa: BLE001 - outermost loop: counted, named, and the batch stays pending
                _left_pending(error)
            async with self._changed:
                self._written.answered += answers.answered
                self._written.views += answers.views
                self._unfinished -= len(batch) - len(answers.answered)
                self._changed.notify_all()

    async def answer(self) -> None:
        """Answers what has been written, until cancelled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._written.answered)
                answers, self._written = self._written, Answers()
            try:
                await self._ingest.answer(answers)
            except Exception as error:  # noqa: BLE001 - outermost loop: counted, named, and the batch stays pending
                _left_pending(error)
            async with self._changed:
                self._unfinished -= len(answers.answered)
                self._changed.notify_all()

    async def drain(self) -> None:
        """Returns when all that was taken in is written and answered, or left for others."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._unfinished)


def _left_pending(error: Exception) -> None:
    # Outermost loop: what was not acknowledged is claimed and done again, which finds what is in the log already.
    telemetry.ERRORS.labels("ingest", type(error).__name__).inc()
    log.error("batch failed; it stays pending", exc_info=error)
