"""A folder of backups that are named by their time: which of them stay."""

import re
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

_OURS = re.compile(r"agent-memory-\d{8}T\d{6}Z\.zip")
_PART = re.compile(_OURS.pattern + r"\.part")
SILENT_SECONDS = 3600.0
"""A backup that goes on writes all the time: one that did not for so long was cut off."""


def named(taken: datetime) -> str:
    """The name of a backup that was begun at that time, in UTC; later ones sort behind."""
    return f"agent-memory-{taken:%Y%m%dT%H%M%SZ}.zip"


def surplus(names: Iterable[str], keep: int) -> list[str]:
    """Those that are more than the newest `keep`, oldest first. What is not named by us does not count and stays."""
    ours = sorted(name for name in names if _OURS.fullmatch(name))
    return ours[: max(0, len(ours) - keep)]


def swept(folder: Path, keep: int) -> list[str]:
    """Removes what is more than the newest `keep`, which it returns. Raises OSError."""
    gone = surplus((file.name for file in folder.iterdir()), keep)
    for name in gone:
        (folder / name).unlink()
    return gone


def tidy(folder: Path) -> None:
    """Removes what backups left that were cut off: before the next one, which may have no room otherwise. Raises OSError."""
    for file in folder.iterdir():
        if _PART.fullmatch(file.name) and time.time() - file.stat().st_mtime > SILENT_SECONDS:
            file.unlink()
