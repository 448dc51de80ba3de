"""`agent-memory api` and `task-worker`: the gateway alone, the background services alone, as scripts for others start them."""

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent_memory.cli.output import CommandError, note
from agent_memory.cli.reach import servers

GATEWAY_MODULE = "agent_memory.gateway.app"
USUAL_GRPC_PORT = 50051
MOST_WORKERS = 64


class TaskBackend(StrEnum):
    """Who does what nobody waits for."""

    docket = "docket"
    asyncio = "asyncio"


def api(
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Where to listen; default PORT, or 8000.")] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="On which address; default HOST, or 127.0.0.1. Others need AUTH_MODE, or ALLOW_OPEN."),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again whenever the code changes.")] = False,
    task_backend: Annotated[
        TaskBackend,
        typer.Option(
            "--task-backend", help="docket: background services run elsewhere (task-worker, up). asyncio: start them, too."
        ),
    ] = TaskBackend.docket,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="The same as --task-backend asyncio.")] = False,
) -> None:
    """Serve the HTTP and gRPC API, until it is told to stop.

    With `docket` this is the gateway alone, on DATABASE_URL and REDIS_URL, or on the servers of the stack on this machine; writes
    are answered once `agent-memory task-worker` runs somewhere. With `asyncio` everything is started here, servers too where none
    are named; nothing is lost when it stops. Exit code 3 when there are no servers.
    """
    environment = _listening(os.environ, port, host)
    if no_worker or task_backend is TaskBackend.asyncio:
        _serve_all(environment, reload=reload)
    else:
        _serve_alone({**environment, **_reached(environment)}, reload=reload)


def task_worker(
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Pieces of work of one kind that are done at a time (WORK_AT_ONCE).")
    ] = 10,
    redelivery_timeout: Annotated[
        int,
        typer.Option(
            "--redelivery-timeout",
            min=1,
            help="Seconds before another worker takes over from one that is silent (WORK_LEASE_SECONDS).",
        ),
    ] = 30,
) -> None:
    """Run the background services, until told to stop: any number of workers may run, on any number of machines.

    They work on DATABASE_URL and REDIS_URL, or on the servers of the stack on this machine. Their logs are files in
    AGENT_MEMORY_HOME. Exit code 3 when there are no servers.
    """
    from agent_memory.embedded.serve import serve  # noqa: PLC0415 (--help need not wait for it)
    from agent_memory.embedded.supervisor import Stack  # noqa: PLC0415

    given = {"WORK_AT_ONCE": str(concurrency), "WORK_LEASE_SECONDS": str(redelivery_timeout)}
    environment = {**os.environ, **_reached(os.environ), **given}
    home = _worker_home(environment)
    stack = Stack(home, environment=environment, replicas={"gateway": 0}, tell=note)
    serve(stack, lambda _: note(f"background services run, their logs are in {home / 'logs'}"), lambda: note("stopping"))


def _listening(environment: Mapping[str, str], port: int | None, host: str | None) -> dict[str, str]:
    """Where the doors are. gRPC, which nobody asked for, takes another port when its own is taken."""
    from agent_memory.embedded.ports import free_port  # noqa: PLC0415 (--help need not wait for it)

    chosen = {} if environment.get("GRPC_PORT") else {"GRPC_PORT": str(free_port(USUAL_GRPC_PORT))}
    asked = {"PORT": None if port is None else str(port), "HOST": host}
    return {**environment, **chosen, **{name: value for name, value in asked.items() if value is not None}}


def _reached(environment: Mapping[str, str]) -> dict[str, str]:
    """Servers that are there, and the local embedding model of the stack whose they are. Raises CommandError (code 3)."""
    from agent_memory.embedded.home import Home, home_path  # noqa: PLC0415 (as above)
    from agent_memory.embedded.state import read_state  # noqa: PLC0415

    found = servers(environment)
    urls = {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}
    if found.views_url:
        urls["WORKING_MEMORY_REDIS_URL"] = found.views_url
    state = read_state(Home(path=home_path(environment)))
    near = state is not None and state.alive and state.database_url == found.database_url
    if state is not None and near and state.embeddings_url and not environment.get("EMBEDDINGS_URL"):
        urls |= {"EMBEDDINGS_URL": state.embeddings_url, "EMBEDDING_MODEL": "local"}
    return urls


def _serve_alone(environment: dict[str, str], *, reload: bool) -> None:
    _prepare(environment["DATABASE_URL"])
    argv = [sys.executable, "-m", GATEWAY_MODULE]
    if reload:
        _serve_reloading(argv, environment)
        return
    sys.stdout.flush()
    os.execve(sys.executable, argv, environment)


def _serve_all(environment: dict[str, str], *, reload: bool) -> None:
    from agent_memory.cli.stack import announce  # noqa: PLC0415 (--help need not wait for it)
    from agent_memory.embedded.serve import serve  # noqa: PLC0415
    from agent_memory.embedded.supervisor import Stack  # noqa: PLC0415

    if not reload:
        stack = Stack(environment=environment, tell=note)
        serve(stack, lambda stack: announce(stack.state, "Ctrl-C stops it."), lambda: note("stopping"))
        return
    with Stack(environment=environment, replicas={"gateway": 0}, tell=note) as stack:
        _serve_reloading([sys.executable, "-m", GATEWAY_MODULE], stack.environment)
        note("stopping")


def _serve_reloading(argv: list[str], environment: dict[str, str]) -> None:
    from agent_memory.cli.reloading import code_folders, run_reloading  # noqa: PLC0415 (only where somebody wants it)

    run_reloading(argv, environment, code_folders(), note)


def _prepare(database_url: str) -> None:
    """Brings the database to the newest schema. Raises CommandError."""
    import psycopg  # noqa: PLC0415 (--help need not wait for it)

    from agent_memory.embedded.prepare import CannotPrepare, prepare  # noqa: PLC0415

    try:
        prepare(database_url)
    except (psycopg.Error, CannotPrepare) as error:
        raise CommandError(
            f"the database cannot be prepared: {' '.join(str(error).split())}", hint="DATABASE_URL names it"
        ) from None


def _worker_home(environment: Mapping[str, str]) -> Path:
    """A folder for the logs and the state of one worker, which no other uses now."""
    from agent_memory.embedded.home import Home, home_path, is_held  # noqa: PLC0415 (as above)

    numbers = (home_path(environment) / "workers" / str(number) for number in range(1, MOST_WORKERS + 1))
    free = next((path for path in numbers if not is_held(Home(path=path))), None)
    if free is None:
        raise CommandError(f"{MOST_WORKERS} workers run here already")
    return free
