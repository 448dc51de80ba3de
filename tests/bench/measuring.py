"""One measured phase: a load generator against a site, with processor time and lag looked at before and after."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import msgspec

from bench import processes
from bench.figures import Run
from bench.load import Outcome
from bench.sites import Site, python_process
from bench.workloads import Job

GENERATOR = "(load generator)"
SETTLE_SECONDS = 0.3


class Generator(AbstractContextManager["Generator"]):
    """A load generator that is warmed up when the block begins. Raises RuntimeError when it dies; its log says why."""

    def __init__(self, job: Job) -> None:
        self._context = python_process("-m", "bench.load")
        self._process = self._context.__enter__()
        self._say(msgspec.json.encode(job).decode())
        if self._hear() != "ready":
            raise RuntimeError("the load generator said something else than ready")

    def go(self) -> Outcome:
        """The measured phase."""
        self._say("go")
        return msgspec.json.decode(self._hear(), type=Outcome)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._context.__exit__(kind, error, trace)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load generator ended with {self._process.wait()}")
        return line.strip()


def measure(
    site: Site,
    job: Job,
    *,
    per_request: int = 1,
    drain_seconds: float = 0.0,
    until: Callable[[Outcome], object] | None = None,
) -> Run:
    """Runs a job. `until` is waited for and belongs to the phase, which then ends with it.

    With `drain_seconds`, what the background still has to do is waited for (so long at most) and its processor time counted apart.
    """
    with Generator(job) as generator:
        time.sleep(SETTLE_SECONDS)
        lag_before = site.lag()
        cpu, busy, started = site.cpu(), processes.busy_seconds(), time.perf_counter()
        outcome = generator.go()
        seconds = outcome.seconds
        if until is not None:
            until(outcome)
            seconds = time.perf_counter() - started
        after, busy = site.cpu(), processes.busy_seconds() - busy
        elapsed = time.perf_counter() - started
    units = outcome.requests * per_request
    spent = _between(cpu, after)
    ours = sum(spent.values()) + outcome.cpu_seconds
    run = Run(
        seconds=seconds,
        requests=outcome.requests,
        units=units,
        errors=outcome.errors,
        first_error=outcome.first_error,
        latency_ms=outcome.latency_ms,
        cpu_us={name: one * 1e6 / units for name, one in {**spent, GENERATOR: outcome.cpu_seconds}.items()},
        lag_before=lag_before,
        lag_after=site.lag(),
        others_percent=round(100 * max(0.0, busy - ours) / elapsed, 1),
    )
    if drain_seconds:
        _wait_for_background(site, run, after, drain_seconds)
    return run


def _wait_for_background(site: Site, run: Run, before: dict[str, float], seconds: float) -> None:
    started = time.perf_counter()
    if site.drained(seconds):
        run.background_seconds = time.perf_counter() - started
        run.background_cpu_us = {name: one * 1e6 / run.units for name, one in _between(before, site.cpu()).items()}
    else:
        run.notes.append(f"background work was not done after {seconds:.0f} s: {site.lag()}")


def _between(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items() if seconds - before.get(name, 0.0) > 0.0}
