"""Entry point of `agent-memory`.

Exit codes: 0 done; 1 could not be done; 2 wrong usage; 3 the stack is not running; 4 done in part (some input was refused);
130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from agent_memory.cli.output import CommandError, complain
from agent_memory.cli.registry import COMMANDS, CommandSpec
from agent_memory.contracts.errors import MemoryFault
from agent_memory.embedded.errors import StackError
from agent_memory.runtime.settings import SettingsError
from agent_memory.runtime.settings.dotenv import adopt_dotenv

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code. An error is one line and a hint; --debug adds the traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in _before_command(given)
    adopt_dotenv()
    try:
        application(_named(given))(args=given, prog_name="agent-memory")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        raise SystemExit(_explain(error)) from None


def application(named: str | None) -> typer.Typer:
    """The Typer app, with the named command imported and all others known by their help only."""
    app = typer.Typer(
        name="agent-memory",
        help="Durable memory for AI agents: the whole stack on one machine, and a look inside.",
        epilog="Exit codes: 0 done, 1 could not be done, 2 wrong usage, 3 not running, 4 done in part, 130 interrupted.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    everything = any(name.endswith("_COMPLETE") for name in os.environ)
    for spec in COMMANDS:
        _add(app, spec, imported=everything or spec.name == named)
    return app


def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Options before the command; `main` has looked at them already."""


def _add(app: typer.Typer, spec: CommandSpec, *, imported: bool) -> None:
    target = _load(spec.target) if imported else _not_imported
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=spec.name, help=spec.help, hidden=spec.hidden)
    else:
        app.command(spec.name, help=None if imported else spec.help, hidden=spec.hidden)(target)


def _load(target: str) -> Callable[..., Any] | typer.Typer:
    module, _, attribute = target.partition(":")
    found: Callable[..., Any] | typer.Typer = getattr(import_module(module), attribute)
    return found


def _not_imported() -> None:
    """Stands for a command that was not asked for."""


def _before_command(arguments: Sequence[str]) -> list[str]:
    named = _named(arguments)
    return list(arguments[: arguments.index(named)] if named else arguments)


def _named(arguments: Sequence[str]) -> str | None:
    return next((argument for argument in arguments if not argument.startswith("-")), None)


def _explain(error: Exception) -> int:
    match error:
        case CommandError():
            complain(error.text, error.hint)
            return error.code
        case StackError():
            complain(error.text, error.hint)
        case SettingsError():
            complain(str(error), "correct it in the environment or in .env")
        case MemoryFault():
            complain(error.detail)
        case _:
            complain(f"{type(error).__name__}: {error}", "`agent-memory --debug COMMAND` shows where it comes from")
    return 1


if __name__ == "__main__":
    main()
