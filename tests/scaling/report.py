"""The table of steps and the account, as they are printed and written."""

from collections.abc import Callable, Mapping

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.machine import Machine
from chaos.account import Account
from chaos.ledger import Ledger
from scaling.steps import Figures, limit

SHOWN = 10
Named = Callable[[Figures], Mapping[str, float]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `embedded`: texts that the model was asked for, 0 where words were hashed; `vectors`: how many there are."""

    machine: Machine
    seed: int
    model: str
    writers: int
    seconds: float
    steps: list[Figures]
    embedded: int
    vectors: int
    account: Account
    counts: dict[str, int]
    doubtful: int
    position: int


def printed(screen: Console, report: Report) -> None:
    """Tables, then whatever is wrong, then the verdict."""
    machine = report.machine
    screen.print(f"{machine.cores} cores of {machine.processor}, {machine.memory_gb} GB, {machine.system}; {report.model}")
    screen.print(steps_table(report.steps))
    screen.print(beside("processors used", report.steps, lambda step: step.cpu, lambda used: f"{used:.2f}", total=True))
    screen.print(beside("most positions behind", report.steps, lambda step: step.max_lag, lambda lag: f"{lag:,.0f}"))
    for number, step in enumerate(report.steps, start=1):
        screen.print(f"step {number}, limited by {limit(step, machine.cores)}")
        for killed in step.killed:
            after = "never" if killed.seconds is None else f"{killed.seconds:.1f} s"
            screen.print(f"  kill -9 {killed.name}: held {killed.held:,}, done by others after {after}")
    screen.print(account_table(report))
    account = report.account
    wrong = [*account.lost, *account.duplicates, *account.stale, *account.other]
    wrong += [f"invariant {one.number}: {example}" for one in account.invariants for example in one.examples]
    wrong += [
        f"view {name} is another when it is rebuilt" for name, live in account.live.items() if account.rebuilt.get(name) != live
    ]
    for text in wrong[:SHOWN]:
        screen.print(f"[red]{escape(text)}[/red]", soft_wrap=True)
    screen.print("[green]every promise was kept[/green]" if account.ok else "[red]promises were broken[/red]")


def steps_table(steps: list[Figures]) -> Table:
    """One line a step."""
    headings = (
        "replicas",
        "ready in",
        "writes/s",
        "write p50 / p99 / max, ms",
        "positions/s",
        "memories, said indexed/s",
        "visible p50 / p99, ms",
        "unseen",
        "most behind",
    )
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for step in steps:
        behind = max(step.max_lag.items(), key=lambda one: one[1], default=("", 0))
        table.add_row(
            f"{step.replicas}" + (f" (killed {len(step.killed)})" if step.killed else ""),
            f"{step.ready_seconds:.1f} s" if step.ready_seconds and not step.killed else "",
            f"{step.writes_rate:,.0f}",
            milliseconds(step.write_ms, "p50", "p99", "max"),
            f"{step.positions_rate:,.0f}",
            ", ".join(f"{rate:,.0f}" for rate in step.indexed_rate.values()),
            milliseconds(step.visible_ms, "p50", "p99"),
            f"{step.unseen} of {step.probes}",
            f"{behind[0]} {behind[1]:,}",
        )
    return table


def milliseconds(found: dict[str, float], *names: str) -> str:
    """Some percentiles; a dash where nothing was measured."""
    return " / ".join(f"{found[name]:,.0f}" for name in names) if found else "–"


def beside(title: str, steps: list[Figures], of: Named, shown: Callable[[float], str], *, total: bool = False) -> Table:
    """What has a number by name, one column a step."""
    table = Table(title, *(str(step.replicas) for step in steps), box=box.SIMPLE_HEAD, pad_edge=False)
    names = {name: None for step in steps for name in of(step)}
    for name in sorted(names, key=lambda one: -max(of(step).get(one, 0) for step in steps)):
        table.add_row(name, *(shown(of(step).get(name, 0)) for step in steps))
    if total:
        table.add_row("all of these", *(shown(sum(of(step).values())) for step in steps))
        table.add_row("others on the machine", *(shown(step.others) for step in steps))
    return table


def account_table(report: Report) -> Table:
    """What was promised, and what was kept."""
    table = Table("account", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, found in account_rows(report):
        table.add_row(name, found)
    return table


def account_rows(report: Report) -> list[tuple[str, str]]:
    """Line by line."""
    account = report.account
    same = sum(account.rebuilt.get(name) == live for name, live in account.live.items())
    return [
        ("acknowledged writes", f"{sum(step.writes for step in report.steps):,}"),
        (
            "requests / retries / connection errors",
            " / ".join(f"{report.counts.get(name, 0):,}" for name in ("requests", "retries", "connection errors")),
        ),
        ("log positions", f"{report.position:,}"),
        ("texts that the model was asked for / vectors in the log", f"{report.embedded:,} / {report.vectors:,}"),
        ("acknowledged writes lost", f"{len(account.lost)}"),
        ("duplicates", f"{len(account.duplicates)}"),
        ("dead letters", f"{account.dead_letters}"),
        ("sessions and memories that are not read as written, in their order", f"{len(account.stale)}"),
        ("other broken promises", f"{len(account.other)}"),
        ("never answered (not judged)", f"{report.doubtful}"),
        ("invariants that hold", f"{sum(one.ok for one in account.invariants)} of {len(account.invariants)}"),
        ("views that a rebuild makes the same", f"{same} of {len(account.live)}"),
        ("views caught up in time", "no" if account.lagging else "yes"),
    ]


def as_json(report: Report) -> bytes:
    """Everything, for programs."""
    return msgspec.json.format(msgspec.json.encode({"ok": report.account.ok, **msgspec.to_builtins(report)}))


def counts(ledger: Ledger) -> dict[str, int]:
    """What the writers counted."""
    return dict(sorted(ledger.counts.items()))
