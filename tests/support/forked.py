"""Services, and workers of these tests, as processes of their own that are forked (`support/forks.py`).

That `python -m agent_memory.SERVICE.app` starts, too, is tested where a service is told to stop, and where a stack is started.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from agent_memory.embedded.processes import Launch, Process
from support.controls import wait_until
from support.forks import fork

_TESTS = str(Path(__file__).parents[1])
_OWN = {"PYTHONPATH": _TESTS, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class Forked:
    """One process."""

    def __init__(self, process: Process, log: Path) -> None:
        self.pid, self.send_signal, self.kill = process.pid, process.send_signal, process.kill
        self._process, self._log = process, log

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal, None while it lives."""
        return self._process.poll()

    @property
    def told(self) -> str:
        """All that it has put out."""
        return self._log.read_text()

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        await wait_until(lambda: self.returncode is not None, f"process {self.pid} has ended")
        return self.returncode or 0


class Forking:
    """Starts processes as `python -m MODULE` would."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count(1)

    @asynccontextmanager
    async def process(self, module: str, *arguments: str, **environment: str) -> AsyncIterator[Forked]:
        """One process, which is killed at the end if it still lives."""
        log = self._folder / f"{module.split('.')[1]}-{next(self._numbers)}.log"
        launch = Launch(
            argv=(sys.executable, "-m", module, *arguments),
            environment={**_environment(), **environment},
            log=log,
            folder=Path.cwd(),
        )
        started = Forked(fork(launch), log)
        try:
            yield started
        finally:
            started.kill()
            await started.wait()

    @asynccontextmanager
    async def service(self, name: str, **environment: str) -> AsyncIterator[Forked]:
        """A service, which is told to stop at the end, and then ends with success."""
        async with self.process(f"agent_memory.{name}.app", **environment) as started:
            yield started
            started.send_signal(signal.SIGTERM)
            assert await started.wait() == 0, started.told


def _environment() -> Mapping[str, str]:
    return {**os.environ, **_OWN}
