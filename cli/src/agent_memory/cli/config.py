"""`agent-memory config`: the settings that services started here would have."""

import os
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from agent_memory.cli.output import console
from agent_memory.runtime.settings import Settings, load
from agent_memory.runtime.settings.auth import AuthSettings, Switches, load_auth
from agent_memory.runtime.settings.kinds import shown
from agent_memory.runtime.settings.parsing import parsed

LONGEST = 60


class Line(msgspec.Struct, frozen=True):
    """A setting as it may be read by anybody."""

    name: str
    value: Any
    given: bool


def config(
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are set.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Show every setting with its value, from the environment, .env or by default. Keys and passwords are not shown."""
    lines = [line for line in lines_of(os.environ) if line.given or not changed]
    if as_json:
        print(msgspec.json.encode(lines).decode())
        return
    table = Table("setting", "value", "", box=None, pad_edge=False)
    for line in lines:
        table.add_row(line.name, _short(line.value), "set" if line.given else "default")
    console().print(table)


def lines_of(environment: "os._Environ[str] | dict[str, str]") -> list[Line]:
    """Every setting. Raises SettingsError for the first that cannot be used."""
    found: list[tuple[type[msgspec.Struct], msgspec.Struct]] = [
        (Settings, load(environment)),
        (AuthSettings, load_auth(environment)),
        (Switches, parsed(Switches, environment)),
    ]
    return [
        Line(field.name.upper(), shown(getattr(values, field.name), field.type), field.name.upper() in environment)
        for struct, values in found
        for field in msgspec.structs.fields(struct)
    ]


def _short(value: Any) -> str:
    text = "–" if value in (None, "") else str(value).replace("\n", " ")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
