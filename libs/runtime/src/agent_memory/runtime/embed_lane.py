"""Threads that embed, fed with small pieces of work, so that nobody waits long behind somebody else's big batch."""

import asyncio
import heapq
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from agent_memory.contracts.errors import Unavailable

log = structlog.get_logger(__name__)

MOST_TEXTS = 32
MOST_TOKENS = 256
"""Of one run, padding included: about 20 ms of one processor. Four sentences are enough for the arithmetic to run at full speed;
what runs of more than twice as many tokens pass between their steps does not fit the processor's cache."""


Text = TypeVar("Text")
"""A text in whatever form the model takes it."""


class Piece(msgspec.Struct, Generic[Text], frozen=True, kw_only=True):
    """Texts of one request that are run together, with the tokens of the longest."""

    texts: list[Text]
    longest: int
    answer: "asyncio.Future[list[bytes]]"
    loop: asyncio.AbstractEventLoop


class Lane(Generic[Text]):
    """Serves pieces by turn, joining those that wait into one run. `run` is called in the lane's own threads, several at once."""

    def __init__(
        self, name: str, run: Callable[[Sequence[Text]], list[bytes]], *, background: bool = False, threads: int = 1
    ) -> None:
        self._run = run
        self._background = background
        self._waiting: list[tuple[int, int, Piece[Text]]] = []
        self._changed = threading.Condition()
        self._requests = 0
        self._pieces = 0
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        with self._changed:
            return sum(len(piece.texts) for _, _, piece in self._waiting)

    def put(self, pieces: Sequence[Piece[Text]]) -> None:
        """Queue the pieces of one request. Piece n goes behind the first pieces of the next n requests: nobody starves."""
        with self._changed:
            if self._closed:
                raise Unavailable("the local embedding model is shutting down")
            for number, piece in enumerate(pieces):
                heapq.heappush(self._waiting, (self._requests + number, self._pieces, piece))
                self._pieces += 1
            self._requests += 1
            self._changed.notify(len(pieces))

    def close(self) -> None:
        """Finish the runs in hand, refuse the rest, end the threads. Blocks for one run at most."""
        with self._changed:
            self._closed = True
            refused, self._waiting = [piece for _, _, piece in self._waiting], []
            self._changed.notify_all()
        for piece in refused:
            _deliver(piece, Unavailable("the local embedding model is shutting down"))
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        if self._background:
            yield_to_others()
        while pieces := self._take():
            try:
                vectors = self._run([text for piece in pieces for text in piece.texts])
            except Exception as error:
                log.exception("local embedding failed", texts=sum(len(piece.texts) for piece in pieces))
                for piece in pieces:
                    _deliver(piece, Unavailable(f"the local embedding model failed: {error}"))
                continue
            at = 0
            for piece in pieces:
                _deliver(piece, vectors[at : at + len(piece.texts)])
                at += len(piece.texts)

    def _take(self) -> list[Piece[Text]]:
        """The next pieces that fit one run; empty when closed."""
        with self._changed:
            while True:
                taken = self._fitting()
                if taken or self._closed:
                    return taken
                self._changed.wait()

    def _fitting(self) -> list[Piece[Text]]:
        taken: list[Piece[Text]] = []
        texts = longest = 0
        while self._waiting:
            piece = self._waiting[0][2]
            texts, longest = texts + len(piece.texts), max(longest, piece.longest)
            if taken and (texts > MOST_TEXTS or texts * longest > MOST_TOKENS):
                break
            heapq.heappop(self._waiting)
            if piece.answer.cancelled():
                texts -= len(piece.texts)
            else:
                taken.append(piece)
        return taken


def yield_to_others() -> None:
    """Makes the calling thread, and those it starts, run only when nobody else wants the processor. On Linux.

    A merely nicer thread that computes without pause still delays whoever wakes up by some milliseconds, at every step of a
    request; an idle-class thread gives way at once.
    """
    if sys.platform == "linux":
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))


def _deliver(piece: Piece[Any], outcome: list[bytes] | Unavailable) -> None:
    def settle() -> None:
        if piece.answer.done():
            return
        if isinstance(outcome, Unavailable):
            piece.answer.set_exception(outcome)
        else:
            piece.answer.set_result(outcome)

    try:
        piece.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        # The asker's event loop is closed: nobody is left to hear.
        return
