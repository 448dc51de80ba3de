"""Measures recall of evidence on a stack of its own with the local model. `--data FOLDER`, `--json FILE`."""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import Stemmer
from rich.console import Console
from rich.table import Table

from agent_memory.embedded.errors import StackError
from bench.sites import stack_site
from recall.asking import MODES, UNITS, Asked, ask, store
from recall.conversations import CATEGORIES, Conversation, found_in
from recall.scores import Scores, mean, percentile

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TOKENISER = (
    f"Unicode words, case folded; Snowball stems by script (PyStemmer {Stemmer.version()}); common English words are not ranked by"
)
HOW = f"BM25STD of Redis Search over own and preceding words; all-MiniLM-L6-v2. Words: {TOKENISER}"
_HEADS = {
    "frac_5": "frac@5",
    "frac_10": "frac@10",
    "any_10": "any@10",
    "all_10": "all@10",
    "ndcg_5": "nDCG@5",
    "ndcg_10": "nDCG@10",
}
HEADS = {**_HEADS, "hit_1": "Hit@1"}


class Figures(msgspec.Struct, frozen=True):
    """One row: what it is of, the means, and how long its searches took."""

    unit: str
    mode: str
    category: str
    questions: int
    scores: Scores
    p50_ms: float
    p95_ms: float


class Report(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    how: str
    machine: str
    conversations: int
    turns: int
    seconds: float
    figures: list[Figures]


def main() -> int:
    """Runs it. Exit code 0 also when there is nothing to measure with: the conversations are not part of this project."""
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    conversations = found_in(given.data)
    if not conversations:
        console.print(f"Nothing measured: {given.data} holds no conversations with questions and evidence (LoCoMo's form, *.json).")
        return 0
    started = time.monotonic()
    try:
        asked = _measured(conversations, console)
    except StackError as error:
        console.print(f"error: {error}")
        return 1
    report = Report(
        how=HOW,
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        conversations=len(conversations),
        turns=sum(len(one.turns) for one in conversations),
        seconds=round(time.monotonic() - started, 1),
        figures=figures(asked),
    )
    _show(report, console)
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-recall", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="conversations (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def _measured(conversations: Sequence[Conversation], console: Console) -> list[Asked]:
    turns, questions = (
        sum(len(part) for part in parts) for parts in zip(*((c.turns, c.questions) for c in conversations), strict=True)
    )
    console.print(f"{len(conversations)} conversations, {turns} turns, {questions} questions with evidence; starting a stack")
    with stack_site() as site:
        store(site, list(conversations))
        asked = []
        for conversation in conversations:
            console.print(f"asking {conversation.name} …")
            asked += list(ask(site, conversation))
        return asked


def figures(asked: Sequence[Asked]) -> list[Figures]:
    """Every unit, mode and category, and all categories together."""
    return [
        _figures(unit, mode, category, of)
        for unit in UNITS
        for mode in MODES
        for category in ("all", *CATEGORIES.values())
        if (of := [one for one in asked if (one.unit, one.mode) == (unit, mode) and category in ("all", one.category)])
    ]


def _figures(unit: str, mode: str, category: str, of: Sequence[Asked]) -> Figures:
    times = [one.milliseconds for one in of]
    p50, p95 = (round(percentile(times, share), 2) for share in (0.5, 0.95))
    return Figures(unit, mode, category, len(of), mean(one.scores for one in of), p50, p95)


def _show(report: Report, console: Console) -> None:
    console.print(report.how)
    for unit in UNITS:
        of_unit = [one for one in report.figures if one.unit == unit]
        overall = [one for one in of_unit if one.category == "all"]
        console.print(_table(f"{unit.capitalize()}: evidence found, by mode", "mode", overall, lambda one: one.mode))
        hybrid = [one for one in of_unit if one.mode == "hybrid" and one.category != "all"]
        console.print(_table(f"{unit.capitalize()}: hybrid, by kind of question", "kind", hybrid, lambda one: one.category))


def _table(title: str, first: str, rows: Sequence[Figures], name: Callable[[Figures], str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for head in ("questions", *HEADS.values(), "p50 ms", "p95 ms"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in rows:
        shares = (f"{getattr(one.scores, field):.3f}" for field in HEADS)
        table.add_row(name(one), str(one.questions), *shares, f"{one.p50_ms:.1f}", f"{one.p95_ms:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
