"""What a step was, from what was seen while it lasted. Pure. Times are monotonic seconds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from bench.figures import percentiles

COUNTS = (1, 2, 4, 2, 1)
"""Replicas of each scaled service, step by step."""


class Write(msgspec.Struct, frozen=True):
    """An acknowledged write: when its answer came, and how many seconds after it was first sent."""

    at: float
    seconds: float


class Probe(msgspec.Struct):
    """A memory that was looked for from its acknowledgement on; `seconds` until a search showed it, None when none did."""

    at: float
    seconds: float | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at everything. `cpu`: seconds so far of each process, `busy`: of the whole machine; `lag`: positions that each
    projection is behind; `position`: of the last acknowledged write; `indexed`: events that each search index has taken in.
    """

    at: float
    cpu: dict[str, float]
    busy: float
    lag: dict[str, int]
    position: int
    indexed: dict[str, int]


class Takeover(msgspec.Struct, kw_only=True):
    """What a killed replica held: `held` entries in hand, and how many seconds until all were done by others."""

    name: str
    held: int
    seconds: float | None = None


class Step(msgspec.Struct, kw_only=True):
    """A stretch of time with so many replicas. `ready_seconds`: until those that were added were ready, before it began."""

    replicas: int
    began: float
    ended: float
    looks: list[Look] = []
    ready_seconds: float = 0.0
    killed: list[Takeover] = []


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A step in numbers. Rates are per second; `cpu` is in processors, by service, `others` what everything else on the machine
    took. `unseen`: probes that had not turned up when the step ended; they count in `visible_ms` with the time they had had.
    """

    replicas: int
    seconds: float
    writes: int
    writes_rate: float
    positions_rate: float
    indexed_rate: dict[str, float]
    write_ms: dict[str, float]
    visible_ms: dict[str, float]
    probes: int
    unseen: int
    max_lag: dict[str, int]
    cpu: dict[str, float]
    others: float
    ready_seconds: float
    killed: list[Takeover]


def service_of(process: str) -> str:
    """The service of a process: `indexer-3` is one of `indexer`."""
    name, dash, number = process.rpartition("-")
    return name if dash and number.isdigit() else process


def figures(step: Step, writes: Iterable[Write], probes: Iterable[Probe]) -> Figures:
    """A write belongs to the step in which it was answered, a probe to that in which it was written."""
    inside = [one for one in writes if step.began <= one.at < step.ended]
    looked = [one for one in probes if step.began <= one.at < step.ended]
    first, last = step.looks[0], step.looks[-1]
    seconds, between = step.ended - step.began, last.at - first.at
    waited = [visible_within(step, one) for one in looked]
    cpu = spent_by_service(first.cpu, last.cpu)
    return Figures(
        replicas=step.replicas,
        seconds=round(seconds, 3),
        writes=len(inside),
        writes_rate=len(inside) / seconds,
        positions_rate=(last.position - first.position) / between,
        indexed_rate={name: (done - first.indexed.get(name, 0)) / between for name, done in last.indexed.items()},
        write_ms=percentiles([one.seconds for one in inside]),
        visible_ms=percentiles([after for after, _ in waited]),
        probes=len(looked),
        unseen=sum(not seen for _, seen in waited),
        max_lag=max_lag(step.looks),
        cpu={service: spent / between for service, spent in cpu.items()},
        others=max(0.0, last.busy - first.busy - sum(cpu.values())) / between,
        ready_seconds=step.ready_seconds,
        killed=step.killed,
    )


def visible_within(step: Step, probe: Probe) -> tuple[float, bool]:
    """After how many seconds a probe was seen, and whether it was, while the step lasted: what is done after it tells nothing."""
    left = step.ended - probe.at
    return (left, False) if probe.seconds is None or probe.seconds > left else (probe.seconds, True)


def spent_by_service(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor seconds between two looks. A process that was started meanwhile counts from its beginning; one that went, not."""
    spent: dict[str, float] = defaultdict(float)
    for process, seconds in after.items():
        spent[service_of(process)] += seconds - before.get(process, 0.0)
    return dict(spent)


def max_lag(looks: Sequence[Look]) -> dict[str, int]:
    """The most that each projection was behind at any look."""
    most: dict[str, int] = {}
    for look in looks:
        for projection, lag in look.lag.items():
            most[projection] = max(most.get(projection, 0), lag)
    return most


def limit(found: Figures, cores: int) -> str:
    """What held a step back, in words, as far as processors can tell."""
    busy = sum(found.cpu.values()) + found.others
    if busy >= 0.9 * cores:
        most = sorted(found.cpu.items(), key=lambda one: -one[1])[:3]
        return f"processors: {busy:.2f} of {cores} ({', '.join(f'{name} {used:.2f}' for name, used in most)})"
    behind = max(found.max_lag.items(), key=lambda one: one[1], default=("", 0))
    if behind[1] > found.positions_rate * 2:
        return f"{behind[0]} waits: {busy:.2f} of {cores} processors are busy, and it is {behind[1]:,} positions behind"
    return f"nothing: {busy:.2f} of {cores} processors are busy, every view keeps up"
