"""Entry point of `agent-memory`.

Exit codes: 0 done; 1 could not be done; 2 wrong usage; 3 the stack is not running; 4 done in part (some input was refused);
130 interrupted.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from agent_memory.cli.assembling import Invocation, assemble, run
from agent_memory.cli.registry import COMMANDS
from agent_memory.runtime.settings.dotenv import adopt_dotenv


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code. An error is one line and a hint; --debug adds the traceback."""
    given = _with_dashes(list(sys.argv[1:] if arguments is None else arguments))
    debug = "--debug" in _before_command(given)
    invocation = Invocation(from_dotenv=adopt_dotenv())
    run(application(_named(given), invocation), given, "agent-memory", debug=debug)


def application(named: str | None, invocation: Invocation | None = None, *, whole: bool = False) -> typer.Typer:
    """The Typer app, with the named command imported and all others known by their help only; `whole`: with every one imported."""
    app = typer.Typer(
        name="agent-memory",
        help="Durable memory for AI agents: the whole stack on one machine, and a look inside.",
        epilog="Exit codes: 0 done, 1 could not be done, 2 wrong usage, 3 not running, 4 done in part, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "obj": invocation or Invocation()},
    )
    app.callback()(_options)
    return assemble(app, COMMANDS, named, whole=whole)


def _version(asked: bool) -> None:
    if asked:
        from agent_memory.cli.version import version  # noqa: PLC0415 (others need not wait for it)

        version()
        raise typer.Exit


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Options before the command; `main` has looked at them already."""


def _before_command(arguments: Sequence[str]) -> list[str]:
    named = _named(arguments)
    return list(arguments[: arguments.index(named)] if named else arguments)


def _with_dashes(arguments: list[str]) -> list[str]:
    """Commands with dashes go by the names with underscores, too, that they had once: rebuild_index."""
    if named := _named(arguments):
        arguments[arguments.index(named)] = named.replace("_", "-")
    return arguments


def _named(arguments: Sequence[str]) -> str | None:
    return next((argument for argument in arguments if not argument.startswith("-")), None)


if __name__ == "__main__":
    main()
