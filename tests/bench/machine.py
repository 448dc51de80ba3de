"""What the figures were measured on."""

import os
import platform
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

PACKAGES = ("litestar", "uvicorn", "uvloop", "httptools", "msgspec", "redis", "hiredis", "psycopg", "faststream", "onnxruntime")
CORES = 2


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Processor milliseconds of two fixed pieces of work.

    Even processor time is not the same from hour to hour on a shared machine: compare figures only where these are alike.
    """

    python_ms: float
    floats_ms: float


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`cores` are those that everything was kept on, of all that there are; `load` is the machine's before anything started."""

    cores: int
    cores_of_machine: int
    processor: str
    memory_gb: float
    system: str
    python: str
    load: float
    versions: dict[str, str]


def keep_to(cores: int = CORES) -> None:
    """Runs this process, and all that it starts from now on, on the first cores that it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def describe() -> Machine:
    """This machine."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cores_of_machine=os.cpu_count() or 0,
        processor=_line("/proc/cpuinfo", "model name"),
        memory_gb=round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / 1024**2, 1),
        system=f"{_line('/etc/os-release', 'PRETTY_NAME').strip(chr(34))}, Linux {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0],
        versions={package: version(package) for package in PACKAGES},
    )


def _line(file: str, label: str) -> str:
    found = re.search(rf"^{label}\s*[:=]\s*(.*)$", Path(file).read_text(), re.MULTILINE)
    return found[1].strip() if found else "unknown"


def speed() -> Speed:
    """How fast one core is at this moment, by the faster of three tries."""
    matrix = np.ones((384, 384), dtype=np.float32)
    return Speed(
        python_ms=min(_milliseconds(lambda: sum(number * number for number in range(300_000))) for _ in range(3)),
        floats_ms=min(_milliseconds(lambda: [matrix @ matrix for _ in range(20)]) for _ in range(3)),
    )


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000
