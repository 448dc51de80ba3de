"""Files and folders as they are typed."""

from pathlib import Path

import typer


def place(typed: str) -> Path:
    """A path. An empty one, which is what a variable that is not set leaves, would be the current folder. Raises BadParameter."""
    if not typed.strip():
        raise typer.BadParameter("it is empty; the current folder is .")
    return Path(typed)
