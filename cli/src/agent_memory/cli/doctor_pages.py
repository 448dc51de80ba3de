"""What `agent-memory doctor` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from agent_memory.cli.invariants.condition import Condition
from agent_memory.cli.invariants.results import Result

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def as_json(found: msgspec.Struct) -> str:
    """For programs."""
    return msgspec.json.format(msgspec.json.encode(found)).decode()


def show(screen: "Console", condition: Condition, results: Sequence[Result], seconds: float) -> None:
    """Servers, projections, invariants, what is wrong, the verdict."""
    from rich.markup import escape  # noqa: PLC0415 (0.1 s that --help need not pay)

    for server in condition.servers:
        settings = ", ".join(f"{name} {value}" for name, value in server.settings.items())
        screen.print(f"[bold]{server.name} {server.version}[/bold]  {settings}", soft_wrap=True)
        for doubt in server.doubts:
            screen.print(f"  [yellow]{escape(doubt)}[/yellow]", soft_wrap=True)
    indexes = "; ".join(f"{kind} index: {words}" for kind, words in condition.indexes.items())
    screen.print(f"{indexes}; log head {condition.head}", soft_wrap=True)
    screen.print(_projections(condition))
    screen.print(invariants_table(results))
    for result in results:
        for example in result.examples:
            screen.print(f"[red]{result.number}[/red] {escape(example)}", soft_wrap=True)
        if result.wrong > len(result.examples):
            screen.print(f"[red]{result.number}[/red] and {result.wrong - len(result.examples)} more")
        for warning in result.warnings:
            screen.print(f"[yellow]{result.number}[/yellow] {escape(warning)}", soft_wrap=True)
        if result.hint:
            screen.print(f"  hint: {escape(result.hint)}", soft_wrap=True)
    failed = sum(1 for result in results if not result.ok)
    verdict = f"[red]{failed} of {len(results)} do not hold[/red]" if failed else f"[green]all {len(results)} hold[/green]"
    screen.print(f"{verdict}, looked at for {seconds:.1f} s")


def invariants_table(results: Sequence[Result]) -> "Table":
    """One row per invariant."""
    table = _table("", "invariant", "", "looked at")
    for result in results:
        looked_at = ", ".join(f"{count:,} {what}" for what, count in result.checked.items())
        mark = "[green]holds[/green]" if result.ok else f"[red]broken ×{result.wrong}[/red]"
        table.add_row(str(result.number), result.name, mark, looked_at)
    return table


def _projections(condition: Condition) -> "Table":
    table = _table("projection", "service", "alive", "position", "lag", "indexed", "skipped", "dead", "in flight", "pending")
    table.add_row(
        "commands", "ingest", str(condition.ingest_alive), str(condition.head), str(condition.commands_waiting), *[""] * 5
    )
    for view in condition.views:
        alive = f"[red]{view.alive}[/red]" if view.alive == 0 else str(view.alive)
        figures = (view.position, view.lag, view.applied, view.skipped, view.dead_lettered, view.in_flight, view.pending)
        table.add_row(view.projection, view.service, alive, *(str(figure) for figure in figures))
    return table


def _table(*headings: str) -> "Table":
    from rich import box  # noqa: PLC0415 (only where a table is drawn)
    from rich.table import Table  # noqa: PLC0415 (as above)

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table
