"""What programs with many commands share: only the command that was asked for is imported, an error is one line and a hint."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import msgspec
import typer
from typer.exceptions import TyperException

from agent_memory.cli.output import CommandError, complain
from agent_memory.cli.registry import CommandSpec
from agent_memory.contracts.errors import MemoryFault, Unavailable
from agent_memory.embedded.errors import StackError
from agent_memory.runtime.settings import SettingsError

INTERRUPTED = 130
NOT_ANSWERING = 3
SERVERS = {"psycopg": ("Postgres", "DATABASE_URL"), "psycopg_pool": ("Postgres", "DATABASE_URL"), "redis": ("Redis", "REDIS_URL")}


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out before a command runs; commands find it in their context. `from_dotenv`: variables that `.env` set."""

    from_dotenv: frozenset[str] = frozenset()


def assemble(app: typer.Typer, commands: Sequence[CommandSpec], named: str | None, *, whole: bool = False) -> typer.Typer:
    """The app with the named command imported and all others known by their help only; `whole`: with every one imported."""
    completed = _completed()
    for spec in commands:
        _add(app, spec, imported=whole or spec.name == named or spec.name in completed)
    return app


def _completed() -> Sequence[str]:
    """The words that a shell asks to complete: bash hands them over in the first variable, other shells in the second."""
    if not any(name.endswith("_COMPLETE") for name in os.environ):
        return ()
    return os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()


def run(app: Callable[..., Any], arguments: list[str], program: str, *, debug: bool = False) -> None:
    """Runs the app and exits with its code."""
    try:
        code = app(args=arguments, prog_name=program, standalone_mode=False)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except typer.Abort:
        complain("not confirmed: nothing was changed")
        raise SystemExit(1) from None
    except TyperException as error:
        raise SystemExit(_misused(error, program)) from None
    except Exception as error:
        if debug:
            raise
        raise SystemExit(_explain(error, program)) from None
    raise SystemExit(code or 0)


def _add(app: typer.Typer, spec: CommandSpec, *, imported: bool) -> None:
    target = _load(spec.target) if imported else _not_imported
    if isinstance(target, typer.Typer) and target.info.invoke_without_command is True:
        # It does something by itself, and says what.
        app.add_typer(target, name=spec.name, hidden=spec.hidden)
    elif isinstance(target, typer.Typer):
        app.add_typer(target, name=spec.name, help=spec.help, hidden=spec.hidden)
    else:
        app.command(spec.name, help=None if imported else spec.help, hidden=spec.hidden)(target)


def _load(target: str) -> Callable[..., Any] | typer.Typer:
    module, _, attribute = target.partition(":")
    found: Callable[..., Any] | typer.Typer = getattr(import_module(module), attribute)
    return found


def _not_imported() -> None:
    """Stands for a command that was not asked for."""


def _misused(error: TyperException, program: str) -> int:
    """Says what is wrong with what was typed, in one line; of commands that need another one, which there are."""
    said = error.format_message()
    context = getattr(error, "ctx", None)
    if said.startswith("Usage:"):
        print(said, file=sys.stderr)
    else:
        complain(said, f"`{context.command_path if context else program} --help` shows what can be said")
    return error.exit_code


def _explain(error: Exception, program: str) -> int:
    """Says what went wrong, in one line. Drivers of servers are known by name, so that nobody has to load them for this."""
    text = " ".join(str(error).split())
    driver = type(error).__module__.partition(".")[0]
    match error:
        case CommandError():
            complain(error.text, error.hint)
            return error.code
        case StackError():
            complain(error.text, error.hint)
        case SettingsError():
            complain(text, "correct it in the environment or in .env")
        case Unavailable():
            complain(error.detail, f"`{program} status` shows what runs here; DATABASE_URL and REDIS_URL name other servers")
            return NOT_ANSWERING
        case MemoryFault():
            complain(error.detail)
        case _ if driver in SERVERS:
            complain(
                f"{SERVERS[driver][0]} cannot be used: {text}",
                f"{SERVERS[driver][1]} names it; `{program} status` shows what runs here",
            )
            return NOT_ANSWERING
        case _:
            complain(f"{type(error).__name__}: {text}", f"`{program} --debug COMMAND` shows where it comes from")
    return 1
