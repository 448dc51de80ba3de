"""Memory of a whole stack that has nothing to do, started as a user starts it."""

import subprocess
import sys
import time

import msgspec

from agent_memory.embedded.home import Home
from agent_memory.embedded.state import read_state
from bench import processes
from bench.processes import Memory
from support.servers import stack_environment, temporary_home


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen so many seconds after the stack was ready, and how long that took from the command.

    `cpu_percent` of one core is what each process spent on doing nothing, over as many seconds again.
    """

    after_seconds: float
    ready_seconds: float
    memory: dict[str, Memory]
    cpu_percent: dict[str, float]


def idle_memory(after_seconds: float) -> Idle:
    """`agent-memory up --detach` in a fresh home, with the local model; its supervisor is a process of its own."""
    with temporary_home() as path:
        environment = stack_environment(AGENT_MEMORY_HOME=str(path))
        started = time.monotonic()
        _command(environment, "up", "--detach")
        ready_seconds = time.monotonic() - started
        try:
            time.sleep(after_seconds)
            state = read_state(Home(path=path))
            assert state is not None
            pids = {process.name: process.pid for process in state.processes}
            cpu_percent = _cpu_percent(pids, after_seconds)
            alone = {name: processes.memory(pid, pids.values()) for name, pid in pids.items()}
            everything = processes.memory(state.pid)
        finally:
            _command(environment, "down")
    memory = {"supervisor": _without(everything, alone), **alone}
    return Idle(after_seconds=after_seconds, ready_seconds=ready_seconds, memory=memory, cpu_percent=cpu_percent)


def _cpu_percent(pids: dict[str, int], seconds: float) -> dict[str, float]:
    before = {name: processes.cpu_seconds(pid, pids.values()) for name, pid in pids.items()}
    time.sleep(seconds)
    return {name: 100 * (processes.cpu_seconds(pid, pids.values()) - before[name]) / seconds for name, pid in pids.items()}


def _without(everything: Memory, parts: dict[str, Memory]) -> Memory:
    """The supervisor alone: all others are its children."""
    return Memory(
        proportional=everything.proportional - sum(part.proportional for part in parts.values()),
        resident=everything.resident - sum(part.resident for part in parts.values()),
        processes=everything.processes - sum(part.processes for part in parts.values()),
    )


def _command(environment: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_memory.cli.main", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
