"""Entry point of `memory-daemon`.

Exit codes: 0 done; 1 could not be done; 2 wrong usage; 3 the daemon is not running; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from agent_memory.cli.assembling import assemble, run
from agent_memory.cli.daemon.context import Context
from agent_memory.cli.registry import CommandSpec
from agent_memory.runtime.settings.dotenv import adopt_dotenv

PROGRAM = "memory-daemon"
COMMANDS = (
    CommandSpec("start", "agent_memory.cli.daemon.lifecycle:start", "Start the memory daemon."),
    CommandSpec("stop", "agent_memory.cli.daemon.lifecycle:stop", "Stop the running daemon."),
    CommandSpec("status", "agent_memory.cli.daemon.lifecycle:status", "Show daemon status."),
    CommandSpec("query", "agent_memory.cli.daemon.query:app", "Query the memory system."),
    CommandSpec("admin", "agent_memory.cli.daemon.admin:app", "Administrative commands for database maintenance."),
    CommandSpec("scheduler", "agent_memory.cli.daemon.scheduler:app", "Manage background jobs."),
)

_WITH_VALUE = frozenset({"-c", "--config", "-l", "--log-level"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    adopt_dotenv()
    named = _named(given)
    debug = "--debug" in (given[: given.index(named)] if named else given)
    run(application(named), given, PROGRAM, debug=debug)


def application(named: str | None, *, whole: bool = False) -> typer.Typer:
    """The Typer app, with the named command imported; `whole`: with every one."""
    app = typer.Typer(
        name=PROGRAM,
        help="The memory daemon: the stack on this machine, and the timeline that it keeps.",
        epilog="Settings: defaults, then the config file, then MEMORY_* in the environment, then options. "
        "Exit codes: 0 done, 1 could not be done, 2 wrong usage, 3 not running, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    return assemble(app, COMMANDS, named, whole=whole)


def _version(asked: bool) -> None:
    if asked:
        print(f"{PROGRAM} {version('agent-memory')}")
        raise typer.Exit


def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="PATH", help="Path to config file (default: ~/.config/agent-memory/config.toml)"),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", "-l", metavar="LEVEL", help="Log level: trace, debug, info, warn, error")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version_: Annotated[bool, typer.Option("--version", "-V", help="Print version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options before the command; `main` has looked for --debug already."""
    context.obj = Context(environment=os.environ, file=config, log_level=log_level)


def _named(arguments: Sequence[str]) -> str | None:
    names = {spec.name for spec in COMMANDS}
    before = ("", *arguments)
    return next((word for last, word in zip(before, arguments, strict=False) if word in names and last not in _WITH_VALUE), None)


if __name__ == "__main__":
    main()
