"""Writes docs/cli.md from the commands themselves. `--check`: is it current?"""

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from agent_memory.cli import main as agent_memory
from agent_memory.cli.daemon import main as memory_daemon
from agent_memory.cli.registry import CommandSpec

PAGE = Path(__file__).with_name("cli.md")
PROGRAMS: tuple[tuple[str, Any], ...] = (("agent-memory", agent_memory), ("memory-daemon", memory_daemon))
HEAD = """# The command lines

Made by `python docs/make_cli.py` from the commands; not to be edited here. In a checkout `./run cli` is `agent-memory`.

**Where they look.** Commands that ask a server over HTTP take `--url`, or `AGENT_MEMORY_URL`, or the stack on this machine
(`AGENT_MEMORY_HOME`); those that look into the servers themselves take `DATABASE_URL` and `REDIS_URL`, or those of that stack. So
every command can be run in a container, against servers elsewhere, with settings from the environment or from `.env`.
`AGENT_MEMORY_TOKEN` is the credential. `agent-memory config` shows what holds.

**How they answer.** Results go to standard output, all else to standard error. `--json` gives programs all of it. An error is
one line and a hint; `agent-memory --debug COMMAND` adds the traceback. Names with dashes are understood with underscores, too
(`rebuild_index`). `agent-memory --install-completion` teaches the shell to complete commands, options and names of jobs.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | could not be done: there is no such thing, the server refused, a check failed |
| 2 | wrong usage |
| 3 | nothing runs, or nobody answers |
| 4 | done in part: some input was refused |
| 130 | interrupted |
"""


def page() -> str:
    """The whole text."""
    return "\n".join([HEAD, *(line for program, module in PROGRAMS for line in _program(program, module))]).rstrip() + "\n"


def _program(program: str, module: Any) -> Iterator[str]:
    group = typer.main.get_command(module.application(None, whole=True))
    names = [spec.name for spec in module.COMMANDS if not _hidden(spec)]
    yield from (f"## {program}", "", " ".join(inspect.cleandoc(group.help or "").split()), "")
    yield from ("| command | |", "|---|---|")
    yield from (
        _cells(f"[`{name}`](#{program}-{name})", spec.help) for name in names for spec in module.COMMANDS if spec.name == name
    )
    yield ""
    if common := list(_options(group, without=("install_completion", "show_completion"))):
        yield from (*common, "")
    for name in names:
        yield from _command(f"{program} {name}", group.commands[name])


def _hidden(spec: CommandSpec) -> bool:
    return spec.hidden


def _command(title: str, command: Any, level: int = 3) -> Iterator[str]:
    yield from (f"{'#' * level} {title}", "")
    yield from _paragraphs(command.help or "")
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield from ("```", " ".join([title, *_usage(command)]), "```", "")
    if rows := list(_options(command)):
        yield from (*rows, "")
    for name, one in (inner or {}).items():
        yield from _command(f"{title} {name}", one, level + 1)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield from (" ".join(paragraph.split()), "")


def _usage(command: Any) -> Iterator[str]:
    if any(_is_option(one) and not _is_help(one) for one in command.params):
        yield "[OPTIONS]"
    for one in command.params:
        if not _is_option(one):
            name = one.metavar or one.name.upper() + ("..." if one.nargs != 1 else "")
            yield name if one.required or name.startswith("[") else f"[{name}]"


def _options(command: Any, without: tuple[str, ...] = ()) -> Iterator[str]:
    shown = [one for one in command.params if not one.hidden and not _is_help(one) and one.name not in without]
    if shown:
        yield from ("| | default | meaning |", "|---|---|---|")
    for one in shown:
        yield _cells(_names(one), _default(one), one.help or "")


def _names(one: Any) -> str:
    if not _is_option(one):
        return f"`{one.metavar or one.name.upper()}`"
    value = "" if one.is_flag else f" {one.metavar or _kind(one)}"
    return ", ".join(f"`{name}`" for name in sorted(one.opts, key=len, reverse=True)) + (f" {value.strip()}" if value else "")


def _kind(one: Any) -> str:
    kind = one.type_descriptor.annotation
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "\\|".join(member.value for member in kind)
    if choices := get_args(kind):
        return "\\|".join(map(str, choices)) if all(isinstance(choice, str) for choice in choices) else "TEXT"
    names = {int: "NUMBER", float: "NUMBER", Path: "PATH"}
    return names.get(kind, "TEXT")


def _default(one: Any) -> str:
    if one.required:
        return "needed"
    value = one.default.value if isinstance(one.default, Enum) else one.default
    return "–" if value is False or value in (None, "") or callable(value) or not one.show_default else f"`{value}`"


def _is_option(one: Any) -> bool:
    return any(name.startswith("-") for name in one.opts)


def _is_help(one: Any) -> bool:
    return "--help" in one.opts


def _cells(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |"


def main() -> None:
    """Write the page, or with `--check` exit with 1 when it is not current."""
    if "--check" in sys.argv[1:]:
        raise SystemExit(PAGE.read_text() != page())
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
