"""How an import is told: a progress bar while it lasts, a few lines or one JSON object at the end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from agent_memory.cli.loading.tally import Tally

SHOWN_FILES = 10


class Meter:
    """A bar on standard error; `show` moves it. Where standard error is no terminal nothing is drawn."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, note="")

    def begin(self, title: str, total: int | None) -> None:
        """A new length of work, from its start."""
        self._progress.reset(self._task, total=total, description=title, note="")

    def show(self, done: int, note: str = "") -> None:
        """How much is done, and a word about it."""
        self._progress.update(self._task, completed=done, note=note)

    def finish(self, note: str) -> None:
        """All is done."""
        total = self._progress.tasks[0].total or 1
        self._progress.update(self._task, total=total, completed=total, note=note)


@contextmanager
def meter(screen: Console) -> Iterator[Meter]:
    """A bar that lasts as long as the block."""
    columns = (
        TextColumn("{task.description}", table_column=None),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, expand=True, disable=not screen.is_terminal) as progress:
        yield Meter(progress)


def as_json(tally: Tally, *, dry_run: bool, error: str) -> str:
    """For programs. `bad_lines` holds the first 20 of `bad`."""
    return msgspec.json.encode(
        {
            "dry_run": dry_run,
            "files": tally.files,
            "read": tally.read,
            "created": tally.created,
            "known": tally.known,
            "bad": tally.bad,
            "bad_lines": tally.bad_lines,
            "left_out": tally.left_out,
            "sessions": len(tally.sessions),
            "event_types": tally.event_types,
            "from": iso(tally.first_ms),
            "to": iso(tally.last_ms),
            "position": tally.position,
            "error": error or None,
        }
    ).decode()


def as_text(tally: Tally, *, dry_run: bool) -> list[str]:
    """For people, one line each."""
    if len(tally.files) <= SHOWN_FILES:
        lines = [f"{kind}: {name}" for name, kind in tally.files.items()]
    else:
        lines = [f"{counted(len(tally.files), 'file')}: {listed(Counter(tally.files.values()))}"]
    span = f", {day(tally.first_ms)} to {day(tally.last_ms)}" if tally.first_ms is not None else ""
    lines.append(f"read {counted(tally.read, 'event')} in {counted(len(tally.sessions), 'session')}{span}")
    if tally.event_types:
        lines.append("  " + listed(tally.event_types))
    if tally.left_out:
        lines.append(f"left out: {listed(tally.left_out)}")
    if dry_run:
        lines.append("dry run: nothing was sent")
    else:
        lines.append(f"created {tally.created:,}, already known {tally.known:,}")
    return lines + _bad_lines(tally)


def _bad_lines(tally: Tally) -> list[str]:
    """What could not be used, of each kind under a heading of its own."""
    files = [f"  {bad.file}: {bad.reason}" for bad in tally.bad_lines if not bad.line]
    lines = [f"  {bad.file}:{bad.line}: {bad.reason}" for bad in tally.bad_lines if bad.line]
    number = tally.bad - tally.unread
    told = [f"{counted(tally.unread, 'file')} not read:", *files] if tally.unread else []
    told += [f"{counted(number, 'bad line')}:", *lines] if number else []
    rest = tally.bad - len(tally.bad_lines)
    return [*told, f"  and {rest:,} more"] if rest else told


def listed(counts: Counter[str]) -> str:
    """`3 user_message, 2 tool_result`, most frequent first."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def counted(number: int, thing: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def iso(ms: int | None) -> str | None:
    """A time for programs; None for none, or for a year that ISO 8601 does not reach."""
    try:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def day(ms: int | None) -> str:
    """A date for people."""
    text = iso(ms)
    return text[:10] if text else "far away"
