"""The load generator, a process of its own: raw HTTP/1.1, or HTTP/2 for gRPC, on uvloop: a tenth of what a client library costs.

Reads a job from standard input, warms up, says "ready", waits for a line, sends as fast as its clients are answered, and prints
what came of it. Each client has one request in flight on one connection.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import uvloop

from bench.calls import CALLS, call_all, calls
from bench.figures import percentiles
from bench.sequences import SEQUENCES
from bench.workloads import Job, requests


class Outcome(msgspec.Struct, kw_only=True):
    """What a load generator saw. `position` is the highest that a write was answered with."""

    seconds: float
    requests: int
    errors: int = 0
    first_error: str = ""
    latency_ms: dict[str, float] = {}
    cpu_seconds: float = 0.0
    position: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class Work:
    """What all clients of one phase share."""

    def __init__(self, todo: list[bytes]) -> None:
        self.todo: Iterator[bytes] = iter(todo)
        self.latencies: list[float] = []
        self.errors: list[bytes] = []
        self.position = 0
        self.received = 0
        self.active = 0
        self.finished = asyncio.Event()

    def leave(self) -> None:
        self.active -= 1
        if not self.active:
            self.finished.set()


class Client(asyncio.Protocol):
    """One connection. Works in callbacks: a task per request would cost more than the request."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.buffer = b""
        self.missing = -1
        self.sent = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def next(self) -> None:
        """Send the next request, or leave."""
        request = next(self.work.todo, None)
        self.busy = request is not None
        if request is None:
            self.work.leave()
            return
        self.sent = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        if self.missing < 0:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = data
                return
            head = data[:end].lower()
            self.missing = end + 4 + int(_header(head, b"\r\ncontent-length: ") or 0)
        if len(data) < self.missing:
            self.buffer = data
            return
        self._answered(data, time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self.busy = False
            self.work.errors.append(b"connection lost: " + repr(exc).encode())
            self.work.leave()

    def _answered(self, data: bytes, now: float) -> None:
        work = self.work
        work.latencies.append(now - self.sent)
        work.received += len(data)
        if data[9:12] != b"200":
            work.errors.append(data[:600])
        else:
            position = _header(data, b"\r\nx-memory-position: ")
            if position and (found := int(position)) > work.position:
                work.position = found
        self.buffer, self.missing = b"", -1
        self.next()


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(name)
    if at < 0:
        return None
    at += len(name)
    end = head.find(b"\r\n", at)
    return head[at:] if end < 0 else head[at:end]


async def send_all(job: Job, todo: list[bytes]) -> Outcome:
    """Send the requests over `clients` connections."""
    work = Work(todo)
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: Client(work), job.host, job.port))[1] for _ in range(job.clients)]
    work.active = len(clients)
    cpu, started = time.process_time(), time.perf_counter()
    for client in clients:
        client.next()
    await work.finished.wait()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    for client in clients:
        client.transport.close()
    return Outcome(
        seconds=seconds,
        requests=len(work.latencies),
        errors=len(work.errors),
        first_error=work.errors[0].decode(errors="replace") if work.errors else "",
        latency_ms=percentiles(work.latencies),
        cpu_seconds=cpu,
        position=work.position,
        sent_bytes=sum(map(len, todo)),
        received_bytes=work.received,
    )


async def send_calls(job: Job, todo: Sequence[Any]) -> Outcome:
    """Make the calls of a job over gRPC."""
    cpu = time.process_time()
    sent = await call_all(job, todo)
    return Outcome(
        seconds=sent.seconds,
        requests=len(sent.latencies),
        errors=len(sent.errors),
        first_error=sent.errors[0].decode(errors="replace") if sent.errors else "",
        latency_ms=percentiles(sent.latencies),
        cpu_seconds=time.process_time() - cpu,
        sent_bytes=sent.sent_bytes,
        received_bytes=sent.received_bytes,
    )


def _run(job: Job, todo: Sequence[Any]) -> Outcome:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(send_calls(job, todo) if job.workload in CALLS else send_all(job, list(todo)))


def in_sequence(job: Job, count: int, first: int) -> Outcome:
    """A job in which each request depends on the answer before it."""
    cpu, started = time.process_time(), time.perf_counter()
    latencies = SEQUENCES[job.workload](job, first, count)
    return Outcome(
        seconds=time.perf_counter() - started,
        requests=len(latencies),
        latency_ms=percentiles(latencies),
        cpu_seconds=time.process_time() - cpu,
    )


def main() -> None:
    """Do the job on standard input."""
    job = msgspec.json.decode(sys.stdin.readline(), type=Job)
    if job.workload in SEQUENCES:
        in_sequence(job, job.warm, 0)
        run: Callable[[], Outcome] = partial(in_sequence, job, job.count, job.warm)
    else:
        todo: Sequence[Any] = calls(job) if job.workload in CALLS else requests(job)
        warm, measured = todo[: job.warm], todo[job.warm :]
        if warm:
            _run(job, warm)
        run = partial(_run, job, measured)
    gc.collect()
    gc.freeze()
    gc.disable()
    print("ready", flush=True)
    sys.stdin.readline()
    print(msgspec.json.encode(run()).decode(), flush=True)


if __name__ == "__main__":
    main()
