"""The whole stack on this machine: up, down, status."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from agent_memory.cli.hooks.commands import deliver_waiting
from agent_memory.cli.loading.reach import token
from agent_memory.cli.output import AsJson, CommandError, callable_here, console, in_words, note, print_json
from agent_memory.cli.status import Look, look, status_table
from agent_memory.embedded.errors import StackError
from agent_memory.embedded.home import Home, home_path, is_held, open_home
from agent_memory.embedded.processes import until
from agent_memory.embedded.running import last_line
from agent_memory.embedded.serve import serve
from agent_memory.embedded.state import StackState, read_state
from agent_memory.embedded.supervisor import START_SECONDS, Stack

NOT_RUNNING = 3
STOP_SECONDS = 90.0


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; it goes on in the background.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start Postgres, Redis and every service on this machine.

    Data lies in AGENT_MEMORY_HOME. DATABASE_URL and REDIS_URL, when set, are used instead of own servers. PORT and GRPC_PORT
    say where to listen.
    """
    if detach:
        home = open_home(home_path(os.environ))
        note(f"starting in {home.path}")
        announce(start_in_background(home, os.environ), "`agent-memory down` stops it.", as_json=as_json)
        return
    serve(Stack(tell=note), lambda stack: announce(stack.state, "Ctrl-C stops it.", as_json=as_json), lambda: note("stopping"))


def down(as_json: AsJson = False) -> None:
    """Stop what `up` started, wherever that was typed. Also fine when nothing runs."""
    home = Home(path=home_path(os.environ))
    state = read_state(home)
    ran = is_held(home)
    if ran:
        _stop(home, state)
    note("stopped" if ran else f"nothing runs in {home.path}")
    if as_json:
        print_json({"home": str(home.path), "stopped": ran})


def _stop(home: Home, state: StackState | None) -> None:
    if state is None or not state.alive:
        raise CommandError(f"something uses {home.path}, but it is not known what", hint=f"see what holds {home.lock}")
    stop_running(home, state)


def status(as_json: AsJson = False) -> None:
    """Show each process: port, memory, restarts, ready or not.

    Exit code 0 when all is ready, 1 when something is not, 3 when nothing runs.
    """
    home = Home(path=home_path(os.environ))
    state = read_state(home)
    if state is None or not state.alive or not is_held(home):
        _say_not_running(home, state, as_json)
    found = look(state)
    if as_json:
        print(found.as_json())
    else:
        _print_status(found)
    if not found.ready:
        raise SystemExit(1)


def start_in_background(home: Home, environment: Mapping[str, str]) -> StackState:
    """A stack that is ready and outlives this program. Raises StackError when one runs there already, or it does not start."""
    if is_held(home):
        raise StackError(
            f"a stack already runs in {home.path}", hint="`agent-memory status` shows it, `agent-memory down` stops it"
        )
    log = home.logs / "supervisor.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_memory.embedded.serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=dict(environment),
        )
    try:
        state = _await_ready(home, process)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if state is None:
        ended = read_state(home)
        if ended and ended.pid == process.pid and ended.error:
            raise StackError(ended.error, hint=ended.hint)
        raise StackError(last_line(log) or "it did not start", hint=f"its log is {log}")
    # It outlives this command on purpose: without a return code nobody warns that it was not waited for.
    process.returncode = 0
    return state


def stop_running(home: Home, state: StackState) -> None:
    """Stops the stack of a home. Raises CommandError when it had to be killed."""
    os.kill(state.pid, signal.SIGTERM)
    if not until(lambda: not state.alive, STOP_SECONDS):
        os.kill(state.pid, signal.SIGKILL)
        raise CommandError(f"it did not stop in {STOP_SECONDS:.0f} s and was killed", hint=f"its logs are in {home.logs}")


def _await_ready(home: Home, process: "subprocess.Popen[bytes]") -> StackState | None:
    deadline = time.monotonic() + START_SECONDS + 30
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(home)
        if state and state.pid == process.pid and state.phase == "ready":
            return state
        time.sleep(0.05)
    return None


def announce(state: StackState, how_to_stop: str, *, as_json: bool = False) -> None:
    """Says where a stack that has started is reached, and delivers what hooks kept for it."""
    if as_json:
        print(look(state).as_json(), flush=True)
    else:
        _announce(state, how_to_stop)
    deliver_waiting(state, token(os.environ))


def _announce(state: StackState, how_to_stop: str) -> None:
    for url in state.http_urls:
        print(f"HTTP  {url}  (documentation: {url}/docs)")
    print(f"data  {state.home}" + ("" if not _elsewhere(state) else f"  (Postgres: {state.postgres_data})"))
    print(f"Ready. {callable_here(how_to_stop)}", flush=True)


def _elsewhere(state: StackState) -> bool:
    return bool(state.postgres_data) and not state.postgres_data.startswith(state.home)


def _say_not_running(home: Home, state: StackState | None, as_json: bool) -> NoReturn:
    if as_json:
        print('{"phase": "stopped", "ready": false, "processes": []}')
        raise SystemExit(NOT_RUNNING)
    why = f"; the last start failed: {state.error}" if state and state.error else ""
    raise CommandError(f"nothing runs in {home.path}{why}", hint="start it with `agent-memory up`", code=NOT_RUNNING)


def _print_status(found: Look) -> None:
    screen = console()
    screen.print(status_table(found))
    screen.print(f"{found.phase}, {in_words(found.memory_bytes)} in all, data in {found.home}", soft_wrap=True)
    if found.postgres_data and not found.postgres_data.startswith(found.home):
        screen.print(f"Postgres' data is in {found.postgres_data}, because its user cannot reach the home", soft_wrap=True)
    for url in found.http_urls:
        screen.print(f"HTTP {url}", soft_wrap=True)
