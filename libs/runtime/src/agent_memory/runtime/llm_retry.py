"""Asking a provider again: back-off with jitter, the provider's own hint honoured, a breaker in front."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec
import structlog

from agent_memory.contracts.errors import Refused, Unavailable
from agent_memory.runtime.breaker import Breaker

log = structlog.get_logger(__name__)

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class Transient(Exception):
    """An attempt that may succeed when repeated. `hint` is how many seconds the provider asks to wait."""

    def __init__(self, reason: str, *, hint: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class ProviderRefused(Refused):
    """The provider understood and said no; its words are in `detail`, its HTTP status in `status`."""

    def __init__(self, detail: str, *, status: int) -> None:
        super().__init__(detail)
        self.status = status

    @property
    def about_input(self) -> bool:
        """Whether this text was refused, so that others may pass; otherwise key, model or address are at fault for all."""
        return self.status in (400, 413, 422)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to insist. Waits in seconds; attempt n waits at random up to `first_wait` * 2**n, never above `longest_wait`.

    A provider that asks for more than `longest_hint` is not waited for.
    """

    attempts: int = 4
    first_wait: float = 0.25
    longest_wait: float = 8.0
    longest_hint: float = 30.0


PATIENT = Patience()
PROMPT = Patience(attempts=2, first_wait=0.1, longest_wait=0.5, longest_hint=0.5)
"""For somebody who waits for a search: better a quick error than a late answer."""


def hinted_wait(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date), never negative; None when it says nothing usable."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        return _until(retry_after, now)
    return max(seconds, 0.0) if abs(seconds) < float("inf") else None


def _until(moment: str, now: datetime | None) -> float | None:
    try:
        then = parsedate_to_datetime(moment)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max((then - (now or datetime.now(UTC))).total_seconds(), 0.0)
    except (ValueError, OverflowError):
        return None


class Persistence:
    """Repeats calls to one provider as `patience` says, behind `breaker`. Sleep and dice are arguments for tests."""

    def __init__(
        self,
        name: str,
        *,
        patience: Patience = PATIENT,
        breaker: Breaker | None = None,
        sleep: Sleep = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.patience = patience
        self.breaker = breaker or Breaker(name)
        self._sleep = sleep
        self._dice = dice

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The answer of the first attempt that gets one. Raises Unavailable when none does; refusals pass through."""
        for number in range(1, self.patience.attempts + 1):
            try:
                return await self._guarded(attempt)
            except Transient as trouble:
                wait = self._wait(trouble, number)
                if wait is None:
                    raise Unavailable(f"{self.name}: {trouble.reason} ({_times(number)})") from None
                log.warning("provider asked again", provider=self.name, reason=trouble.reason, attempt=number, wait=round(wait, 3))
            await self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _guarded(self, attempt: Callable[[], Awaitable[T]]) -> T:
        self.breaker.admit()
        report = self.breaker.released
        try:
            answer = await attempt()
            report = self.breaker.succeeded
            return answer
        except Transient:
            report = self.breaker.failed
            raise
        except ProviderRefused:
            report = self.breaker.succeeded
            raise
        finally:
            report()

    def _wait(self, trouble: Transient, number: int) -> float | None:
        if number >= self.patience.attempts:
            return None
        if trouble.hint is not None:
            return trouble.hint if trouble.hint <= self.patience.longest_hint else None
        return min(self.patience.first_wait * 2.0 ** (number - 1), self.patience.longest_wait) * (0.5 + self._dice() / 2)


def _times(number: int) -> str:
    return "tried once" if number == 1 else f"tried {number} times"
