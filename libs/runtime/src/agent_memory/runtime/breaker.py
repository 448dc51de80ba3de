"""A circuit breaker: what keeps failing is left alone for a while, and callers hear so at once."""

import time
from collections.abc import Callable

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime import telemetry

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


class Breaker:
    """Closed until `failures` attempts in a row have failed; then open for `cool_down` seconds; then one probe decides.

    Whoever is admitted reports one of `succeeded`, `failed` or `released` (cancelled, so nothing was learnt).
    """

    def __init__(
        self, name: str, *, failures: int = 5, cool_down: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._limit = failures
        self._cool_down = cool_down
        self._clock = clock
        self._in_a_row = 0
        self._open_until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether calls are refused now, but for one probe once the time is up."""
        return self._in_a_row >= self._limit

    def admit(self) -> None:
        """Let one attempt through. Raises Unavailable while open, and while another caller's probe is out."""
        if not self.open:
            return
        left = self._open_until - self._clock()
        if left > 0:
            raise Unavailable(f"{self._name} failed {self._in_a_row} times in a row; it is tried again in {left:.1f} s")
        if self._probing:
            raise Unavailable(f"{self._name} failed {self._in_a_row} times in a row; it is being tried again now")
        self._probing = True
        telemetry.BREAKER.labels(self._name).set(HALF_OPEN)

    def succeeded(self) -> None:
        """The attempt was answered: closed again."""
        self._in_a_row = 0
        self._probing = False
        telemetry.BREAKER.labels(self._name).set(CLOSED)

    def failed(self) -> None:
        """The attempt failed in a way that says something about the provider."""
        self._in_a_row += 1
        self._probing = False
        if self.open:
            self._open_until = self._clock() + self._cool_down
            telemetry.BREAKER.labels(self._name).set(OPEN)

    def released(self) -> None:
        """The attempt ended without an answer either way."""
        self._probing = False
        telemetry.BREAKER.labels(self._name).set(OPEN if self.open else CLOSED)
