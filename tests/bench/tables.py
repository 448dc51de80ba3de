"""The report as tables: for the terminal and as Markdown."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

from bench.figures import Figure
from bench.report import Report


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Cells as text; all columns but the first `left` are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    below: str = ""


def tables(report: Report) -> list[Table]:
    """Those that have something to show."""
    floors = {figure.name: figure for figure in report.figures if _is_floor(figure)}
    ours = [figure for figure in report.figures if not _is_floor(figure)]
    made = [
        _figures(ours, floors),
        _comparisons(report.figures),
        _rates("Floors: what the servers do alone", list(floors.values())),
        _processor("Processor time per unit by process, µs", ours, background=False),
        _processor("Processor time per unit afterwards, until nothing was left to do, µs", ours, background=True),
        _memory(report),
    ]
    return [table for table in made if table.rows]


def show(report: Report, console: Console) -> None:
    """All tables on the terminal."""
    console.print(_speed(report), highlight=False)
    for table in tables(report):
        shown = RichTable(title=table.title, title_justify="left", caption=table.below or None, caption_justify="left")
        for at, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if at < table.left else "right", no_wrap=at > 0)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def markdown(report: Report) -> str:
    """All tables, and the machine above them."""
    machine = report.machine
    parts = [
        f"{machine.processor}; {machine.cores} of {machine.cores_of_machine} cores, {machine.memory_gb:g} GB; {machine.system}; "
        f"Python {machine.python}. Runs of each: {report.repetitions}; seed {report.seed}; scale {report.scale:g}; "
        f"{report.started_at}.",
        _speed(report),
    ]
    for table in tables(report):
        parts += [f"### {table.title}", _markdown(table)]
        if table.below:
            parts.append(table.below)
    return "\n\n".join(parts) + "\n"


def _is_floor(figure: Figure) -> bool:
    """Also one that is measured beside what it is the floor of, on the same rows."""
    return figure.configuration == "floors" or "-floor-" in figure.name


def _speed(report: Report) -> str:
    """How even the machine was: a fixed piece of work costs more processor time when others share its cores and caches."""
    python, floats = [one.python_ms for one in report.speed], [one.floats_ms for one in report.speed]
    return (
        f"Processor time of a fixed loop in Python {min(python):.1f}-{max(python):.1f} ms, of fixed matrix products "
        f"{min(floats):.1f}-{max(floats):.1f} ms, at the start and after each configuration."
    )


def _figures(figures: list[Figure], floors: dict[str, Figure]) -> Table:
    rows = []
    for figure in figures:
        floor = floors.get(figure.floor)
        share = f"{100 * figure.rate / floor.rate:.0f}% of {floor.name}" if floor else ""
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        errors = f" ({figure.errors} errors)" if figure.errors else ""
        rows.append(
            [
                figure.title,
                figure.name,
                str(figure.clients),
                f"{figure.rate:,.0f} {_spread(figure)}",
                *(_ms(figure.latency(name)) for name in ("p50", "p95", "p99")),
                str(figure.goal or ""),
                met + errors,
                share,
                _left(figure),
            ]
        )
    columns = (
        "what",
        "name",
        "clients",
        "per second (min-max)",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "goal",
        "met",
        "floor",
        "left to do",
    )
    return Table(title="Figures", columns=columns, rows=rows, left=2)


def _comparisons(figures: list[Figure]) -> Table:
    by_name = {figure.name: figure for figure in figures}
    rows = []
    for figure in figures:
        compared = figure.compared(by_name)
        if compared is None or figure.comparison is None:
            continue
        met = {True: "yes", False: "NO", None: ""}[compared.met]
        rows.append(
            [
                figure.title,
                figure.name,
                str(figure.clients),
                f"{figure.rate:,.0f}",
                f"{compared.rate:,.0f}" if compared.rate else "",
                _times(compared.rate_times),
                _ms(figure.latency("p50")),
                _ms(compared.p50_ms or None),
                _times(compared.p50_times),
                "" if compared.p50_more_ms is None else f"{compared.p50_more_ms:+.2f}",
                figure.comparison.figure or "the old server",
                str(figure.comparison),
                met,
            ]
        )
    rate, p50 = ("per second", "there", "times"), ("p50 ms", "there", "times", "more")
    columns = ("what", "name", "clients", *rate, *p50, "there is", "goal", "met")
    return Table(title="Beside the Redis agent memory server, and beside each other", columns=columns, rows=rows, left=2)


def _rates(title: str, figures: list[Figure]) -> Table:
    rows = [
        [
            figure.title,
            figure.name,
            str(figure.clients),
            f"{figure.rate:,.0f} {_spread(figure)}",
            *(_ms(figure.latency(name)) for name in ("p50", "p95", "p99")),
        ]
        for figure in figures
    ]
    columns = ("what", "name", "clients", "per second (min-max)", "p50 ms", "p95 ms", "p99 ms")
    return Table(title=title, columns=columns, rows=rows, left=2)


def _processor(title: str, figures: list[Figure], *, background: bool) -> Table:
    spent = {figure.name: figure.per_process(background=background) for figure in figures}
    spent = {name: by_process for name, by_process in spent.items() if by_process}
    processes = sorted(dict.fromkeys(process for one in spent.values() for process in one), key=lambda name: (name[0] == "(", name))
    rows = []
    for name, by_process in spent.items():
        ours = sum(microseconds for process, microseconds in by_process.items() if process[0] != "(")
        cells = [f"{by_process.get(process, 0.0):,.0f}" for process in processes]
        unit = next(figure.unit for figure in figures if figure.name == name)
        rows.append([f"{name} ({unit})", f"{ours:,.0f}", *cells])
    return Table(
        title=title, columns=("figure (unit)", "stack", *processes), rows=rows, below="In brackets: not part of the stack."
    )


def _memory(report: Report) -> Table:
    if report.idle is None:
        return Table(title="", columns=(), rows=[])
    seen = report.idle.memory
    proportional = {name: one.proportional for name, one in seen.items()}
    resident = {name: one.resident for name, one in seen.items()}
    later = {
        configuration: {name: one.proportional for name, one in memory.items()} for configuration, memory in report.memory.items()
    }
    columns = [("PSS idle", proportional), ("RSS idle", resident), *((f"PSS after {name}", one) for name, one in later.items())]
    rows = []
    for name in [*seen, "total"]:
        cells = [sum(one.values()) if name == "total" else one.get(name, 0) for _, one in columns]
        spent = report.idle.cpu_percent
        percent = sum(spent.values()) if name == "total" else spent.get(name, 0.0)
        rows.append([name, *(f"{cell / 1024**2:,.0f}" if cell else "" for cell in cells), f"{percent:.1f}%"])
    below = f"Idle: {report.idle.after_seconds:.0f} s after the start, which took {report.idle.ready_seconds:.1f} s."
    titles = ("process", *(title for title, _ in columns), "CPU idle")
    return Table(title="Memory, MB, and processor time of doing nothing, of one core", columns=titles, rows=rows, below=below)


def _spread(figure: Figure) -> str:
    rates = [run.rate for run in figure.runs]
    return f"({min(rates):,.0f}-{max(rates):,.0f})" if len(rates) > 1 else ""


def _left(figure: Figure) -> str:
    """The work that the background still had at the end of the last phase."""
    left = figure.runs[-1].lag_after
    return ", ".join(f"{name} {count:,}" for name, count in sorted(left.items(), key=lambda one: -one[1])[:2])


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}×"


def _markdown(table: Table) -> str:
    rule = [":---" if at < table.left else "---:" for at in range(len(table.columns))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (table.columns, rule, *table.rows))
