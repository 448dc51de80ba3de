"""Options that several commands have, by the names that they have in the Redis agent memory server."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How a result is printed."""

    text = "text"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text or json; --json is the same as --format json.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only of this namespace.")]
User = Annotated[str | None, typer.Option("--user-id", "-u", help="Only of this user.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")]


def listed(text: str | None) -> list[str]:
    """What stands between commas."""
    return [word for part in (text or "").split(",") if (word := part.strip())]
