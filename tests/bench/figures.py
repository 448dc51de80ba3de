"""What is measured, and how it is summed up: the median of a few runs, with all of them kept."""

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from bench.comparisons import Compared, Comparison

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)


class Goal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a figure should reach: at least `rate` a second, at most these milliseconds."""

    rate: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0

    def __str__(self) -> str:
        parts = [f"≥ {self.rate:,.0f}/s"] if self.rate else []
        parts += [f"{name} ≤ {limit:g} ms" for name, limit in self.limits.items()]
        return ", ".join(parts)

    @property
    def limits(self) -> dict[str, float]:
        """Milliseconds by percentile, where there is a limit."""
        named = (("p50", self.p50_ms), ("p95", self.p95_ms), ("p99", self.p99_ms))
        return {name: limit for name, limit in named if limit}


class Run(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One measured phase. `units` is what is counted (events, memories, requests); latencies are of requests.

    `cpu_us` is processor time per unit by process within the phase, `background_cpu_us` what was spent after it until nothing was
    left to do (`background_seconds`). `lag` is how many events each projection was behind, at the start and at the end.
    """

    seconds: float
    requests: int
    units: int
    errors: int = 0
    first_error: str = ""
    latency_ms: dict[str, float] = {}
    cpu_us: dict[str, float] = {}
    lag_before: dict[str, int] = {}
    lag_after: dict[str, int] = {}
    background_seconds: float | None = None
    background_cpu_us: dict[str, float] = {}
    others_percent: float = 0.0
    """Processor time of everything on the machine that is not ours, of one core."""
    notes: list[str] = []

    @property
    def rate(self) -> float:
        return self.units / self.seconds if self.seconds else 0.0


class Figure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A measurement and its runs. `floor` names the figure that nothing built on the same servers can exceed."""

    name: str
    configuration: str
    title: str
    unit: str
    clients: int
    goal: Goal | None = None
    floor: str = ""
    comparison: Comparison | None = None
    runs: list[Run] = []

    @property
    def rate(self) -> float:
        return statistics.median(run.rate for run in self.runs)

    def latency(self, percentile: str) -> float | None:
        found = [run.latency_ms[percentile] for run in self.runs if percentile in run.latency_ms]
        return statistics.median(found) if found else None

    @property
    def errors(self) -> int:
        return sum(run.errors for run in self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the medians reach the goal, without an error; None without a goal."""
        if self.goal is None or not self.runs:
            return None
        slow = [name for name, limit in self.goal.limits.items() if (self.latency(name) or 0.0) > limit]
        return not slow and not self.errors and self.rate >= self.goal.rate

    def compared(self, figures: Mapping[str, "Figure"]) -> Compared | None:
        """Beside what it is held against, by name among `figures`; None when that was not measured, or there is nothing."""
        against = self.comparison
        if against is None or not self.runs:
            return None
        if against.figure:
            other = figures.get(against.figure)
            if other is None or not other.runs:
                return None
            against = msgspec.structs.replace(against, rate=other.rate, p50_ms=other.latency("p50") or 0.0)
        return against.compared(self.rate, self.latency("p50"), errors=self.errors)

    def per_process(self, *, background: bool = False) -> dict[str, float]:
        """Median processor time per unit, in microseconds, by process."""
        found = [run.background_cpu_us if background else run.cpu_us for run in self.runs]
        names = dict.fromkeys(name for one in found for name in one)
        return {name: statistics.median(one.get(name, 0.0) for one in found) for name in names}

    def summary(self) -> dict[str, object]:
        """Medians and their spread, for the JSON file."""
        rates = [run.rate for run in self.runs]
        return {
            "rate": {"median": self.rate, "min": min(rates), "max": max(rates)},
            "latency_ms": {name: self.latency(name) for name in self.runs[0].latency_ms},
            "cpu_us": self.per_process(),
            "background_cpu_us": self.per_process(background=True),
            "met": self.met,
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Of durations in seconds, in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    found = {f"p{share:g}": ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] for share in PERCENTILES}
    found |= {"min": ordered[0], "max": ordered[-1], "mean": statistics.fmean(ordered)}
    return {name: value * 1000 for name, value in found.items()}
