"""`agent-memory config`: the settings that services started here would have, and where each comes from."""

import difflib
import os
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from agent_memory.cli.assembling import Invocation
from agent_memory.cli.daemon.settings import ENVIRONMENT
from agent_memory.cli.output import AsJson, console, print_json, printable
from agent_memory.embedded.home import home_path
from agent_memory.runtime.settings import Settings, load
from agent_memory.runtime.settings.accepted import Accepted
from agent_memory.runtime.settings.auth import AuthSettings, Switches, load_auth
from agent_memory.runtime.settings.kinds import HIDDEN, Address, shown
from agent_memory.runtime.settings.parsing import parsed

Source = Literal["environment", ".env", "default"]
LONGEST = 60
PREFIX = "AGENT_MEMORY_"
ALIKE = 0.92
"""How near a name must be to that of a setting to be taken for a slip of the pen."""
_OF_COMMANDS = {"AGENT_MEMORY_HOME": False, "AGENT_MEMORY_URL": False, "AGENT_MEMORY_TOKEN": True}
"""Variables of the command line itself, and whether they are secret."""
_SILENT = ("AGENT_MEMORY_PROGRAM", "AGENT_MEMORY_TEST_SERVERS", "MEMORY_DAEMON_ADDR", "MEMORY_HOOK_SECONDS")


class Line(msgspec.Struct, frozen=True):
    """A setting as it may be read by anybody. `effect`: false for one of another server that has nothing to do here."""

    name: str
    value: Any
    source: Source
    effect: bool = True

    @property
    def given(self) -> bool:
        """Whether somebody has set it."""
        return self.source != "default"


class Unknown(msgspec.Struct, frozen=True):
    """A variable that looks as if it were meant for us, and is no setting. `meant`: the setting that it may stand for."""

    name: str
    source: Source
    meant: str = ""


def config(
    context: typer.Context,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are set.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting with its value, and whether it comes from the environment, from .env, or is the default.

    Keys and passwords are not shown. Variables that look like settings and are none are named at the end: those that begin with
    AGENT_MEMORY_, those of .env, and those that are nearly called as a setting is.
    """
    from_dotenv = (context.find_object(Invocation) or Invocation()).from_dotenv
    lines = [line for line in lines_of(os.environ, from_dotenv) if line.given or not changed]
    strange = unknown(os.environ, from_dotenv)
    if as_json:
        print_json({"settings": lines, "unknown": strange})
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for line in lines:
        table.add_row(line.name, escape(_short(line.value)), line.source + ("" if line.effect else ", without effect"))
    console().print(table)
    for one in strange:
        print(f"unknown: {one.name}, from {one.source}" + (f"; did you mean {one.meant}?" if one.meant else ""))


def lines_of(environment: Mapping[str, str], from_dotenv: Collection[str] = ()) -> list[Line]:
    """Every setting. Raises SettingsError for the first that cannot be used."""
    found: list[tuple[type[msgspec.Struct], msgspec.Struct]] = [
        (Settings, load(environment)),
        (AuthSettings, load_auth(environment)),
        (Switches, parsed(Switches, environment)),
        (Accepted, parsed(Accepted, environment)),
    ]
    lines = [
        Line(name, shown(getattr(values, field.name), field.type), _source(name, environment, from_dotenv), struct is not Accepted)
        for struct, values in found
        for field in msgspec.structs.fields(struct)
        if struct is not Accepted or field.name.upper() in environment
        for name in [field.name.upper()]
    ]
    held = {**environment, "AGENT_MEMORY_HOME": str(home_path(environment))}
    held["AGENT_MEMORY_URL"] = shown(held.get("AGENT_MEMORY_URL", ""), Address)
    return lines + [
        Line(name, HIDDEN if secret and held.get(name) else held.get(name, ""), _source(name, environment, from_dotenv))
        for name, secret in _OF_COMMANDS.items()
    ]


def unknown(environment: Mapping[str, str], from_dotenv: Collection[str] = ()) -> list[Unknown]:
    """What looks like a setting and is none, by name."""
    settings = [
        field.name.upper() for struct in (Settings, AuthSettings, Switches, Accepted) for field in msgspec.structs.fields(struct)
    ]
    of_daemon = [name for names in ENVIRONMENT.values() for name in names]
    known = {*settings, *_OF_COMMANDS, *_SILENT, *of_daemon}
    strange = []
    for name in sorted(environment.keys() - known):
        ours = name.startswith(PREFIX) or name in from_dotenv
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6 if ours else ALIKE)
        if ours or near:
            strange.append(Unknown(name, _source(name, environment, from_dotenv), near[0] if near else ""))
    return strange


def _source(name: str, environment: Mapping[str, str], from_dotenv: Collection[str]) -> Source:
    if name in from_dotenv:
        return ".env"
    return "environment" if name in environment else "default"


def _short(value: Any) -> str:
    text = "–" if value in (None, "") else printable(str(value))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
