"""`memory-daemon start`, `stop` and `status`."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import typer

from agent_memory.cli.daemon.context import NOT_RUNNING, context_of, enter, tell
from agent_memory.cli.daemon.pages import size, uptime
from agent_memory.cli.daemon.pidfile import find_running, home_in, pid_path, running_in, write_pid
from agent_memory.cli.daemon.settings import DaemonSettings
from agent_memory.cli.daemon.stats import Totals, totals
from agent_memory.cli.hooks.commands import deliver_waiting
from agent_memory.cli.output import AsJson, CommandError, note
from agent_memory.cli.places import place
from agent_memory.cli.stack import start_in_background, stop_running
from agent_memory.embedded.home import open_home
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.serve import serve
from agent_memory.embedded.state import StackState
from agent_memory.embedded.supervisor import Stack
from agent_memory.runtime.settings import load

_LEVELS = {"trace": "DEBUG", "debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR"}


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` tells. Counts are None where Postgres does not answer."""

    status: str
    pid: int = 0
    port: int = 0
    endpoint: str = ""
    uptime_seconds: float = 0.0
    events: int | None = None
    database_bytes: int | None = None
    home: str = ""


def start(
    context: typer.Context,
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Run in foreground (don't daemonize)")] = False,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Override gRPC port (default: 50051)")] = None,
    db_path: Annotated[Path | None, typer.Option("--db-path", parser=place, metavar="PATH", help="Override database path")] = None,
    as_json: AsJson = False,
) -> None:
    """Start the memory daemon: Postgres, Redis and every service. Exit code 1 when one runs already, or it does not start."""
    here = context_of(context)
    settings = here.given(grpc_port=port, db_path=str(db_path) if db_path else None)
    file = pid_path(here.environment)
    home = settings.home(here.environment)
    for one in (home_in(file), home):
        if one and (running := running_in(one)):
            raise CommandError(
                f"memory daemon is already running (PID {running.pid}, home {one.path})", hint="stop it with: memory-daemon stop"
            )
    models = here.models()
    home = open_home(home.path)
    enter(home)
    environment = stack_environment(settings, {**os.environ, **models})
    if foreground:
        serve(
            Stack(home.path, environment=environment, tell=note),
            lambda stack: _started(stack.state, file, settings, as_json),
            lambda: _stopping(file),
        )
        return
    note(f"starting in {home.path}")
    _started(start_in_background(home, environment), file, settings, as_json)


def stop(context: typer.Context, as_json: AsJson = False) -> None:
    """Stop the running daemon. Exit code 3 when none runs."""
    here = context_of(context)
    file = pid_path(here.environment)
    named = file.exists()
    home, state = find_running(here.environment, here.given().home(here.environment))
    if state is None:
        reason = "Daemon not running (stale PID file removed)" if named else "No PID file found - daemon may not be running"
        raise CommandError(reason, hint="start one with: memory-daemon start", code=NOT_RUNNING)
    stop_running(home, state)
    file.unlink(missing_ok=True)
    tell(["Daemon stopped"], {"status": "stopped", "pid": state.pid}, as_json=as_json)


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show daemon status. Exit code 3 when none runs."""
    here = context_of(context)
    home, state = find_running(here.environment, here.given().home(here.environment))
    if state is None:
        tell(["Daemon Status: Stopped"], DaemonStatus(status="stopped", home=str(home.path)), as_json=as_json)
        raise SystemExit(NOT_RUNNING)
    found = _totals(state)
    told = DaemonStatus(
        status="running" if state.phase == "ready" else state.phase,
        pid=state.pid,
        port=state.grpc_port,
        endpoint=state.grpc_endpoint,
        uptime_seconds=max(0.0, round(time.time() - state.started_ms / 1000, 1)),
        events=found.events if found else None,
        database_bytes=found.bytes if found else None,
        home=str(home.path),
    )
    tell(status_lines(told), told, as_json=as_json)


def status_lines(told: DaemonStatus) -> list[str]:
    """The block that people know."""
    return [
        f"Daemon Status: {told.status.title()}",
        f"  PID: {told.pid}",
        f"  Port: {told.port}",
        f"  Uptime: {uptime(told.uptime_seconds)}",
        f"  Events stored: {'unknown' if told.events is None else f'{told.events:,}'}",
        f"  Database size: {'unknown' if told.database_bytes is None else size(told.database_bytes)}",
    ]


def stack_environment(settings: DaemonSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """What the stack is started with. HTTP, which nobody asked for, takes another port when its own is taken."""
    held = load(environment)
    given = {**environment, "GRPC_PORT": str(settings.grpc_port)}
    given |= {"GRPC_HOST": settings.grpc_host} if settings.grpc_host else {}
    given |= {"LOG_LEVEL": _LEVELS[settings.log_level]} if settings.log_level else {}
    given["PORT"] = environment.get("PORT") or str(free_port(held.port))
    return given


def _started(state: StackState, file: Path, settings: DaemonSettings, as_json: bool) -> None:
    endpoint = state.grpc_endpoint
    try:
        write_pid(file, state.pid, open_home(Path(state.home)))
    except OSError as error:
        note(f"{file} cannot be written: {error.strerror}")
    told = {"status": "running", "pid": state.pid, "port": state.grpc_port, "endpoint": endpoint, "home": state.home}
    tell([f"Daemon started (PID {state.pid}, endpoint {endpoint})"], told, as_json=as_json)
    deliver_waiting(state, settings.token, settings)


def _stopping(file: Path) -> None:
    file.unlink(missing_ok=True)
    print("Daemon stopped", flush=True)


def _totals(state: StackState) -> Totals | None:
    try:
        return totals(state.database_url)
    except psycopg.Error as error:
        note(f"Postgres does not answer: {error}")
        return None
