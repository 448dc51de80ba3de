"""One process of the stack while it lives: started, watched, started again."""

import shutil
import time
from pathlib import Path

import msgspec

from agent_memory.embedded.errors import StackError
from agent_memory.embedded.plan import Part
from agent_memory.embedded.processes import Process, birth
from agent_memory.embedded.state import ProcessState

STEADY_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
LOG_BYTES = 50_000_000


class Running:
    """Keeps one part alive. A death soon after a start doubles the wait before the next one."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.process: Process | None = None
        self.born: str | None = None
        self.ready = False
        self.was_ready = False
        self.restarts = 0
        self.deaths_in_a_row = 0
        self._started = 0.0
        self._due = 0.0

    def start(self) -> None:
        """Starts the process now."""
        rotate(self.part.launch.log)
        self.process = self.part.spawn(self.part.launch)
        self.born = birth(self.process.pid)
        self.ready = False
        self._started = time.monotonic()

    def tend(self) -> str | None:
        """One look: restart it when it is dead and due, ask it when it is not ready yet. Returns what changed, in words."""
        if self.process is None:
            return self._start_again() if time.monotonic() >= self._due and self.part.can_start() else None
        code = self.process.poll()
        if code is not None:
            return self._note_death(code)
        if not self.ready and self.part.ready():
            self.ready = self.was_ready = True
            return f"{self.part.name} is ready"
        return None

    def state(self) -> ProcessState:
        """As it stands in the state file; pid 0 between two lives."""
        return ProcessState(
            name=self.part.name,
            role=self.part.role,
            pid=self.process.pid if self.process else 0,
            born=self.born if self.process else None,
            port=self.part.port,
            health=self.part.health,
            restarts=self.restarts,
            ready=self.ready,
            log=str(self.part.launch.log),
        )

    def last_words(self) -> str:
        """The end of its log, one line, for an error message."""
        return last_line(self.part.launch.log)

    def _start_again(self) -> str:
        self.restarts += 1
        try:
            self.start()
        except (StackError, OSError) as error:
            return self._wait(f"cannot be started: {error}")
        return f"{self.part.name} was started again"

    def _note_death(self, code: int) -> str:
        if time.monotonic() - self._started > STEADY_SECONDS:
            self.deaths_in_a_row = 0
        self.process = None
        self.ready = False
        return self._wait(f"died ({f'signal {-code}' if code < 0 else f'exit code {code}'})")

    def _wait(self, what: str) -> str:
        self.deaths_in_a_row += 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (self.deaths_in_a_row - 1))
        self._due = time.monotonic() + delay
        return f"{self.part.name} {what}, next start in {delay:.1f} s"


def last_line(log: Path, limit: int = 400) -> str:
    """The last line that says something, in words: of a JSON line its event and error, without the traceback."""
    try:
        lines = [line for line in log.read_bytes()[-20_000:].decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    if not lines:
        return ""
    try:
        parsed = msgspec.json.decode(lines[-1], type=dict[str, object])
    except msgspec.DecodeError:
        return lines[-1].strip()[:limit]
    told = [str(parsed[name]).strip().splitlines()[-1] for name in ("event", "error", "exception") if parsed.get(name)]
    return " ".join(": ".join(told).split())[:limit]


def rotate(log: Path) -> None:
    """Keeps a log of a long life from filling the disk; one older part is kept."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        # Emptied, not replaced: the process that writes it appends.
        log.open("wb").close()
