"""What the kernel says about processes: processor time and memory, of each with its children."""

import os
from collections.abc import Collection
from pathlib import Path

import msgspec

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `proportional` shares what is shared (it adds up), `resident` counts it in full; anonymous is nobody else's."""

    proportional: int
    resident: int
    processes: int


def cpu_seconds(pid: int, apart: Collection[int] = ()) -> float:
    """Processor time of a process, its living descendants and those it has waited for; 0 when it is gone."""
    return sum(_own_and_reaped(one) for one in tree(pid, apart))


def memory(pid: int, apart: Collection[int] = ()) -> Memory:
    """Of a process and its descendants."""
    family = tree(pid, apart)
    return Memory(
        proportional=sum(_kilobytes(Path(f"/proc/{one}/smaps_rollup"), "Pss:") for one in family) * 1024,
        resident=sum(_kilobytes(Path(f"/proc/{one}/status"), "VmRSS:") for one in family) * 1024,
        processes=len(family),
    )


def tree(pid: int, apart: Collection[int] = ()) -> list[int]:
    """A process and its descendants, without those that are counted apart, and theirs."""
    found = [pid]
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listing.read_text().split()
        except OSError:
            continue
        for child in children:
            if int(child) not in apart:
                found += tree(int(child), apart)
    return found


def busy_seconds() -> float:
    """Processor time that the whole machine has spent on anything."""
    numbers = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = numbers
    return (user + nice + system + irq + softirq + steal) * _TICK


def _own_and_reaped(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[at]) for at in (11, 12, 13, 14)) * _TICK


def _kilobytes(file: Path, label: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)
