"""Measures the system on this machine, side by side with its servers alone. `--quick` for a look, `--list` for the names."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from agent_memory.embedded.errors import StackError
from bench import machine, tables
from bench.catalogue import configurations
from bench.figures import Figure, Run
from bench.idle import idle_memory
from bench.plan import Configuration, Measurement, Turn
from bench.report import Report
from bench.sites import Site

IDLE = "idle-memory"
QUICK_SCALE = 0.1


def main() -> int:
    """Runs what was asked for. Exit code 1 when a request failed, 0 otherwise: a goal that is missed is not an error."""
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 220)
    plan = configurations()
    if given.list:
        for configuration in plan:
            console.print(f"[bold]{configuration.name}[/bold]: {configuration.title}")
            for measurement in configuration.measurements:
                console.print(f"  {measurement.name:24} {measurement.title}", highlight=False)
        console.print(f"[bold]{IDLE}[/bold]: memory of a whole stack that has nothing to do")
        return 0
    if not _anything(plan, given.only):
        sys.exit(
            f"error: no figure has any of these in its name: {' '.join(given.only)}\n  hint: ./run bench --list names all of them"
        )
    machine.keep_to()
    started = time.monotonic()
    report = Report(
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine.describe(),
        seed=given.seed,
        repetitions=given.runs or (1 if given.quick else 3),
        scale=given.scale or (QUICK_SCALE if given.quick else 1.0),
        speed=[machine.speed()],
    )
    if _wanted(given.only, IDLE, IDLE):
        console.print(f"{IDLE} …")
        report.idle = idle_memory(3 if given.quick else 15)
    for configuration in plan:
        _measure(configuration, given.only, report, console)
    report.seconds = time.monotonic() - started
    tables.show(report, console)
    _write(report, given.json, given.markdown, console)
    return 1 if any(figure.errors for figure in report.figures) else 0


def _measure(configuration: Configuration, only: list[str], report: Report, console: Console) -> None:
    chosen = [one for one in configuration.measurements if _wanted(only, configuration.name, one.name)]
    if not chosen:
        return
    console.print(f"[bold]{configuration.title}[/bold]: starting")
    with configuration.open() as site:
        configuration.prepare(site, Turn(name=configuration.name, number=0, seed=report.seed, scale=report.scale))
        figures = [_figure(configuration, measurement) for measurement in chosen]
        report.figures += figures
        turns = [(at, number) for at in range(len(chosen)) for number in range(report.repetitions)]
        for at, number in sorted(turns, key=lambda turn: turn[1]) if configuration.in_turn else turns:
            turn = Turn(name=chosen[at].name, number=number, seed=report.seed, scale=report.scale)
            figures[at].runs.append(chosen[at].run(site, turn))
            console.print(_line(chosen[at], figures[at].runs[-1]), highlight=False)
        if isinstance(site, Site):
            report.memory[configuration.name] = site.memory()
    report.speed.append(machine.speed())


def _figure(configuration: Configuration, measurement: Measurement) -> Figure:
    return Figure(
        name=measurement.name,
        configuration=configuration.name,
        title=measurement.title,
        unit=measurement.unit,
        clients=measurement.clients,
        goal=measurement.goal,
        floor=measurement.floor,
        comparison=measurement.comparison,
    )


def _line(measurement: Measurement, run: Run) -> str:
    p50, p99 = run.latency_ms.get("p50", 0.0), run.latency_ms.get("p99", 0.0)
    line = f"  {measurement.name:24} {run.rate:>10,.0f} {measurement.unit}/s  p50 {p50:8.2f} ms  p99 {p99:8.2f} ms"
    if run.others_percent > 10:
        line += f"  [yellow]others took {run.others_percent:.0f}% of a core[/yellow]"
    if run.errors:
        line += f"  [red]{run.errors} errors, first: {run.first_error[:200]!r}[/red]"
    return line + "".join(f"  {note}" for note in run.notes)


def _anything(plan: Sequence[Configuration], only: list[str]) -> bool:
    """Whether there is something to measure."""
    names = [(one.name, measurement.name) for one in plan for measurement in one.measurements]
    return any(_wanted(only, *pair) for pair in (*names, (IDLE, IDLE)))


def _wanted(only: list[str], *names: str) -> bool:
    return not only or any(wanted in name for wanted in only for name in names)


def _write(report: Report, json: Path | None, markdown: Path | None, console: Console) -> None:
    for path, content in ((json, report.as_json()), (markdown, tables.markdown(report).encode())):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            console.print(f"written: {path}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="figures or configurations whose name contains this")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once: to see that it works")
    parser.add_argument("--list", action="store_true", help="names of all figures")
    parser.add_argument("--runs", type=int, default=0, help="how often each figure is measured (3)")
    parser.add_argument("--scale", type=float, default=0.0, help="how much of everything (1)")
    parser.add_argument("--seed", type=int, default=20260302)
    parser.add_argument(
        "--json", type=Path, default=Path("var/bench.json"), metavar="FILE", help="everything, raw (var/bench.json)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"{error.text}" + (f" ({error.hint})" if error.hint else ""))
