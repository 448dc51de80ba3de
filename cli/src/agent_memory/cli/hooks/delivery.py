"""Reports go from the spool into the timeline, once each however often it is tried."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent_memory.cli.daemon.settings import Certificates, DaemonSettings
from agent_memory.cli.hooks.sifting import fresh
from agent_memory.cli.hooks.spool import Report, Spool
from agent_memory.client.endpoint import parse_endpoint
from agent_memory.client.errors import (
    ConnectionFailed,
    Forbidden,
    InvalidEndpoint,
    InvalidRequest,
    MemoryClientError,
    SerializationFailed,
)
from agent_memory.client.program import Retry
from agent_memory.client.toc import Event

if TYPE_CHECKING:
    from agent_memory.client.grpc_clients import SyncTimelineClient

TOGETHER = 200
"""Reports that go in one call."""
LEAST_SECONDS = 0.02


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where to deliver, and as whom. `named`: how the settings name it; empty, it is the stack of the home. What was meant for the
    server of another machine waits for that one; `takes_all`: it comes here, too.
    """

    endpoint: str
    token: str | None = None
    certificates: Certificates = Certificates()
    named: str = ""
    takes_all: bool = False


class Delivery(msgspec.Struct, kw_only=True):
    """What came of it. `left`: still waiting; `why`: what keeps them, where something does."""

    delivered: int = 0
    refused: int = 0
    left: int = 0
    why: str = ""


class Deadline:
    """`left()`: seconds until its end, at least 0. `over()`: whether that is too little to begin anything."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        return max(0.0, self._end - self._clock())

    def over(self) -> bool:
        return self.left() < LEAST_SECONDS


def deliver(spool: Spool, files: list[Path], server: Server, deadline: Deadline) -> Delivery:
    """Send what these files hold, as far as the time suffices. Never raises for what the server does."""
    outcome = Delivery(left=len(files))
    for scope, batch in _batches(spool, files, server, outcome):
        if deadline.over():
            outcome.why = "there was no time left"
            break
        try:
            _send(spool, batch, scope, server, deadline, outcome)
        except (Forbidden, SerializationFailed) as error:
            # This credential does not reach that place, or gRPC cannot name it; those of others must not wait behind it.
            outcome.why = str(error)
        except MemoryClientError as error:
            outcome.why = str(error)
            break
    return outcome


def flush(spool: Spool, server: Server, seconds: float) -> Delivery:
    """Send all that waits."""
    return deliver(spool, spool.waiting(), server, Deadline(seconds))


Scope = tuple[str | None, str | None]
Batch = list[tuple[Path, Report]]


def _batches(spool: Spool, files: list[Path], server: Server, outcome: Delivery) -> Iterator[tuple[Scope, Batch]]:
    """Reports of one scope at a time. What is no report is set aside, what is for another machine waits."""
    for start in range(0, len(files), TOGETHER):
        loaded: Batch = []
        for file in files[start : start + TOGETHER]:
            try:
                report = spool.read(file)
            except msgspec.MsgspecError as error:
                _set_aside(spool, file, f"not a report: {error}", outcome)
                continue
            if report is None:
                outcome.left -= 1
            elif server.takes_all or _same_machine(report.endpoint, server.named):
                loaded.append((file, report))
            else:
                outcome.why = f"what waits is for {report.endpoint or 'the stack of this home'}"
        for scope, batch in groupby(loaded, key=lambda one: (one[1].namespace, one[1].user_id)):
            yield scope, list(batch)


def _same_machine(meant: str, named: str) -> bool:
    """Whether both name the same one, at whatever port: a server may move there. An address that is none is no machine's."""
    try:
        return _host(meant) == _host(named)
    except InvalidEndpoint:
        return True


def _host(endpoint: str) -> str:
    """Empty for this machine."""
    host = parse_endpoint(endpoint).target.rpartition(":")[0].strip("[]").lower() if endpoint else ""
    return "" if host in ("localhost", "::1") or host.startswith("127.") else host


def _send(spool: Spool, batch: Batch, scope: Scope, server: Server, deadline: Deadline, outcome: Delivery) -> None:
    with connected(server, scope, deadline.left()) as timeline:
        try:
            tell(timeline, [event for _, report in batch for event in report.events])
        except (InvalidRequest, SerializationFailed):
            # One of them is at fault; the others must not wait for it.
            for file, report in batch:
                _send_alone(spool, file, report, timeline, outcome)
            return
    for file, _ in batch:
        _done(spool, file, outcome)


def _send_alone(spool: Spool, file: Path, report: Report, timeline: "SyncTimelineClient", outcome: Delivery) -> None:
    try:
        for event in fresh(report.events, timeline):
            timeline.ingest(event)
    except (InvalidRequest, SerializationFailed) as error:
        _set_aside(spool, file, str(error), outcome)
    else:
        _done(spool, file, outcome)


def tell(timeline: "SyncTimelineClient", events: list[Event]) -> None:
    """Record those of the events that nobody imported. Raises MemoryClientError."""
    timeline.ingest_batch(fresh(events, timeline))


def _done(spool: Spool, file: Path, outcome: Delivery) -> None:
    spool.done(file)
    outcome.delivered += 1
    outcome.left -= 1


def _set_aside(spool: Spool, file: Path, reason: str, outcome: Delivery) -> None:
    spool.refuse(file, reason)
    outcome.refused += 1
    outcome.left -= 1


def connected(server: Server, scope: Scope, seconds: float) -> "SyncTimelineClient":
    """A client that tries once and gives up after this time. Raises InvalidEndpoint; ConnectionFailed when nobody listens."""
    _knock(server.endpoint, seconds)
    # Only now is it worth the time that gRPC takes to load.
    from agent_memory.client.grpc_clients import SyncTimelineClient  # noqa: PLC0415

    namespace, user_id = scope
    return SyncTimelineClient(
        server.endpoint,
        server.token,
        namespace,
        user_id,
        retry=Retry(attempts=1),
        timeout=seconds,
        root_certificates=server.certificates.roots,
        private_key=server.certificates.key,
        certificate_chain=server.certificates.chain,
    )


def server_of(settings: DaemonSettings, environment: Mapping[str, str]) -> Server:
    """The server that these settings name. Raises BadConfig."""
    reach = settings.reach(environment)
    return Server(endpoint=reach.endpoint, token=settings.token, certificates=reach.certificates(), named=settings.endpoint)


def _knock(endpoint: str, seconds: float) -> None:
    host, _, port = parse_endpoint(endpoint).target.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=max(seconds, 0.01)).close()
    except OSError as error:
        raise ConnectionFailed(f"no answer from {endpoint}: {error.strerror or error}") from None
