"""A circuit breaker: what keeps failing is left alone for a while, and callers hear so at once."""

import time
from collections import defaultdict
from collections.abc import Callable
from weakref import WeakSet

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime import telemetry

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
SHOWN_SECONDS = 60.0
"""How long a failure shows as open, at least: between two attempts there may be more than a breaker is open for."""
_named: "defaultdict[str, WeakSet[Breaker]]" = defaultdict(WeakSet)


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
        self._failed_at = 0.0
        self._probing = False
        _named[name].add(self)
        telemetry.BREAKER.labels(name).set_function(lambda: max((one.state for one in _named[name]), default=CLOSED))

    @property
    def state(self) -> int:
        """As operators see it. Open is not for ever when nobody calls any more."""
        if not self.open:
            return CLOSED
        return OPEN if self._clock() < max(self._open_until, self._failed_at + SHOWN_SECONDS) else HALF_OPEN

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

    def succeeded(self) -> None:
        """The attempt was answered: closed again."""
        self._in_a_row = 0
        self._probing = False

    def failed(self) -> None:
        """The attempt failed in a way that says something about the provider."""
        self._in_a_row += 1
        self._failed_at = self._clock()
        self._probing = False
        if self.open:
            self._open_until = self._clock() + self._cool_down

    def released(self) -> None:
        """The attempt ended without an answer either way."""
        self._probing = False
