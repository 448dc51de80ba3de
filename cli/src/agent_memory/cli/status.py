"""What `agent-memory status` sees: the supervisor's state, each process asked now."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from agent_memory.cli.output import in_words
from agent_memory.embedded.probes import is_healthy
from agent_memory.embedded.processes import memory_bytes
from agent_memory.embedded.state import ProcessState, StackState

if TYPE_CHECKING:
    from rich.table import Table


class ProcessLook(msgspec.Struct, frozen=True, kw_only=True):
    """One process as it is now. `memory_bytes` shares out what processes share, and counts a server's own children."""

    name: str
    role: str
    pid: int
    port: int
    memory_bytes: int
    restarts: int
    ready: bool
    log: str


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The stack as it is now."""

    phase: str
    ready: bool
    home: str
    postgres_data: str
    http_urls: list[str]
    grpc_port: int
    started_ms: int
    memory_bytes: int
    processes: list[ProcessLook]

    def as_json(self) -> str:
        """For programs."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()


def look(state: StackState) -> Look:
    """Asks every process at once, so that one that hangs costs its own time only."""
    pids = frozenset(process.pid for process in state.processes)
    with ThreadPoolExecutor(max_workers=max(1, len(state.processes))) as askers:
        processes = list(askers.map(lambda process: _look_at(process, pids), state.processes))
    supervisor = ProcessLook(
        name="supervisor",
        role="supervisor",
        pid=state.pid,
        port=0,
        memory_bytes=memory_bytes(state.pid, apart=pids),
        restarts=0,
        ready=state.alive,
        log="",
    )
    seen = [supervisor, *processes]
    return Look(
        phase=state.phase,
        ready=state.phase == "ready" and all(process.ready for process in seen),
        home=state.home,
        postgres_data=state.postgres_data,
        http_urls=state.http_urls,
        grpc_port=state.grpc_port,
        started_ms=state.started_ms,
        memory_bytes=sum(process.memory_bytes for process in seen),
        processes=seen,
    )


def status_table(found: Look) -> "Table":
    """One row per process."""
    from rich import box  # noqa: PLC0415 (only where a table is drawn)
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("process")
    for heading in ("pid", "port", "memory", "restarts"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    for process in found.processes:
        table.add_row(
            process.name,
            str(process.pid or ""),
            str(process.port or ""),
            in_words(process.memory_bytes),
            str(process.restarts),
            "[green]ready[/green]" if process.ready else "[red]not ready[/red]",
        )
    return table


def _look_at(process: ProcessState, pids: frozenset[int]) -> ProcessLook:
    alive = process.alive
    return ProcessLook(
        name=process.name,
        role=process.role,
        pid=process.pid if alive else 0,
        port=process.port,
        memory_bytes=memory_bytes(process.pid, apart=pids) if alive else 0,
        restarts=process.restarts,
        ready=alive and process.ready and (not process.health or is_healthy(process.health)),
        log=process.log,
    )
