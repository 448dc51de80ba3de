"""Operations on the server itself: is it there, is it ready, how far has it come."""

from collections.abc import Collection
from time import monotonic

from agent_memory.client.answers import Health, Identity, Projection, Readiness, Status
from agent_memory.client.errors import WaitTimeout
from agent_memory.client.exchange import fetch
from agent_memory.client.program import Caller, Program, Request, pause
from agent_memory.contracts.streams import MEMORY_INDEX, TIMELINE_INDEX

SEARCHABLE = (TIMELINE_INDEX, MEMORY_INDEX)


def health(caller: Caller) -> Program[Health]:
    """Does anybody answer? Raises ConnectionFailed."""
    return (yield from fetch(Request(method="GET", path="/v1/health"), caller.retry, Health))


def ready(caller: Caller) -> Program[Readiness]:
    """Is every part working? A server that is not ready answers too, and says what is missing. Raises ConnectionFailed."""
    return (yield from fetch(Request(method="GET", path="/ready", accept=(503,)), caller.retry, Readiness))


def whoami(caller: Caller, *, timeout: float | None = None) -> Program[Identity]:
    """Whom the server takes this client for. `timeout` in seconds, unless the client's own. Raises Unauthorized."""
    return (yield from fetch(Request(method="GET", path="/v1/whoami", timeout=timeout), caller.retry, Identity))


def status(caller: Caller) -> Program[Status]:
    """How far each projection has come."""
    return (yield from fetch(Request(method="GET", path="/v1/status"), caller.retry, Status))


def wait_for(
    caller: Caller,
    position: int,
    *,
    projections: Collection[str] = SEARCHABLE,
    timeout: float = 30.0,
) -> Program[Status]:
    """Return once the projections hold everything up to `position`; by default, once it can be searched.

    `timeout` is in seconds. Raises WaitTimeout, whose text says which projection is how far behind.
    """
    deadline = monotonic() + timeout
    wait = 0.01
    while True:
        now = yield from status(caller)
        behind = [view for view in now.projections if view.projection in projections and view.position < position]
        unknown = set(projections) - {view.projection for view in now.projections}
        if not behind and not unknown:
            return now
        if monotonic() >= deadline:
            raise WaitTimeout(_late(position, behind, unknown, timeout))
        yield from pause(wait)
        wait = min(wait * 1.5, 0.5)


def _late(position: int, behind: list[Projection], unknown: set[str], timeout: float) -> str:
    parts = [f"{view.projection} is at {view.position}" for view in behind] + [f"{name} is not known" for name in sorted(unknown)]
    return f"position {position} was not reached in {timeout:g} s: {', '.join(parts)}"
