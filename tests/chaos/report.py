"""The ledger, as it is printed and written."""

from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent_memory.cli.doctor_pages import invariants_table
from chaos.account import Account
from chaos.ledger import Ledger
from chaos.rounds import Blow

SHOWN = 10


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How it was run."""

    seed: int
    seconds: float
    embedder: str
    parts: list[str]
    head: int
    restarts: dict[str, int]
    blows: list[Blow]
    doubtful: int


def printed(screen: Console, run: Run, ledger: Ledger, account: Account) -> None:
    """Tables, then whatever is wrong, then the verdict."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("ledger", "count"):
        table.add_column(heading, justify="right" if heading == "count" else "left")
    for name, count in rows(run, ledger, account):
        table.add_row(name, f"{count:,}" if isinstance(count, int) else count)
    screen.print(table)
    screen.print(invariants_table(account.invariants))
    digests = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("read model", "as it was", "rebuilt from the log"):
        digests.add_column(heading)
    for name, digest in account.live.items():
        again = account.rebuilt.get(name, "")
        digests.add_row(name, digest[:16], "the same" if again == digest else f"[red]{again[:16]}[/red]")
    screen.print(digests)
    wrong = [*account.lost, *account.duplicates, *account.stale, *account.other]
    wrong += [f"invariant {one.number}: {example}" for one in account.invariants for example in one.examples]
    for text in wrong[:SHOWN]:
        screen.print(f"[red]{escape(text)}[/red]", soft_wrap=True)
    if len(wrong) > SHOWN:
        screen.print(f"and {len(wrong) - SHOWN} more")
    screen.print("[green]every promise was kept[/green]" if account.ok else "[red]promises were broken[/red]")


def rows(run: Run, ledger: Ledger, account: Account) -> list[tuple[str, int | str]]:
    """The ledger, line by line."""
    killed = [blow.what for blow in run.blows if blow.what != "FLUSHALL"]
    return [
        ("processes killed (kill -9)", len(killed)),
        ("different parts among them", len(set(killed))),
        ("FLUSHALLs", len(run.blows) - len(killed)),
        ("requests", ledger.counts["requests"]),
        ("retries", ledger.counts["retries"]),
        *((name, count) for name, count in sorted(ledger.counts.items()) if name not in ("requests", "retries")),
        ("events and messages acknowledged", sum(len(events) for events in ledger.events.values())),
        ("log positions", run.head),
        ("nodes of the table of contents written about", account.nodes),
        ("revisions of them", account.revisions),
        ("never answered (not judged)", run.doubtful),
        ("acknowledged writes lost", len(account.lost)),
        ("duplicates", len(account.duplicates)),
        ("newest states not read back", len(account.stale)),
        ("other broken promises", len(account.other)),
        ("dead letters", account.dead_letters),
        ("views caught up in time", "no" if account.lagging else "yes"),
    ]


def as_json(run: Run, ledger: Ledger, account: Account) -> bytes:
    """Everything, for programs."""
    found: dict[str, Any] = {
        "ok": account.ok,
        "run": msgspec.to_builtins(run),
        "ledger": {name: count for name, count in rows(run, ledger, account)},
        "account": msgspec.to_builtins(account),
    }
    return msgspec.json.format(msgspec.json.encode(found))
