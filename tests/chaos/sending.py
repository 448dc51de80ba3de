"""Requests that are sent until they are answered, over any of the gateways, with one Idempotency-Key for all attempts."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from chaos.ledger import Ledger

ATTEMPT_SECONDS = 15.0
PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0


class Answer(msgspec.Struct, frozen=True):
    """An answer that settles the request."""

    status: int
    body: Any
    position: int


class GaveUp(Exception):
    """No answer came until the end: whether the write took effect is not known."""


class Sender:
    """Sends for one writer. `until` is a monotonic time, after which nothing is tried again."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], ledger: Ledger, chance: random.Random) -> None:
        self._http = http
        self._urls = urls
        self._ledger = ledger
        self._chance = chance
        self.until = float("inf")

    async def write(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None, *, accept: tuple[int, ...] = ()
    ) -> Answer:
        """A write, tried until it is answered; safe, because every attempt carries the same key. Raises GaveUp."""
        key = str(UUID(int=self._chance.getrandbits(128)))
        pause = PAUSE_SECONDS
        while True:
            answer = await self._attempt(method, path, body, params, key)
            if answer is not None and (answer.status < 300 or answer.status in accept):
                return answer
            if answer is not None and answer.status != 503:
                self._ledger.broken(f"{method} {path} was answered {answer.status}: {str(answer.body)[:200]}")
                raise GaveUp
            if time.monotonic() > self.until:
                raise GaveUp
            self._ledger.counts["retries"] += 1
            await asyncio.sleep(pause * self._chance.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def read(self, path: str, params: Mapping[str, str], body: object = None) -> Answer | None:
        """One attempt to read; None when it could not be answered now."""
        answer = await self._attempt("GET" if body is None else "POST", path, body, params, None)
        if answer is None or answer.status == 503:
            return None
        if answer.status not in (200, 404):
            self._ledger.broken(f"reading {path} was answered {answer.status}: {str(answer.body)[:200]}")
            return None
        return answer

    async def _attempt(
        self, method: str, path: str, body: object, params: Mapping[str, str] | None, key: str | None
    ) -> Answer | None:
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        data = None if body is None else msgspec.json.encode(body)
        self._ledger.counts["requests"] += 1
        try:
            async with self._http.request(
                method,
                self._chance.choice(self._urls) + path,
                data=data,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=ATTEMPT_SECONDS),
            ) as response:
                text = await response.read()
                position = int(response.headers.get("x-memory-position", "0"))
                return Answer(response.status, msgspec.json.decode(text) if text else None, position)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, msgspec.DecodeError):
            self._ledger.counts["connection errors"] += 1
            return None
