"""Measures the table of contents of conversations on a stack of its own with the local model: what its bullets quote, what it says
of each session, and how much of the evidence for questions is reached by walking it. `--data FOLDER`, `--json FILE`.
"""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent_memory.embedded.errors import StackError
from bench.sequences import Connection
from bench.sites import Site, stack_site
from recall.__main__ import DATA, TOKENISER
from recall.asking import store
from recall.conversations import Conversation, found_in
from walks.asking import Answered, answered
from walks.gold import Inexact, anchored, covered, facts_quoted, gold_turns, inexact, keywords_shared
from walks.report import Report, coverage, reached, summed, tables
from walks.tree import Tree, read_tree

BUDGET = 2_000
HOW = (
    "Extractive summaries, all-MiniLM-L6-v2. A walk goes on where title and keywords, summary or a bullet have the greatest cosine"
    f" to the question. Tokens of cl100k_base. Words: {TOKENISER}"
)
SHOWN = 5
"""Inexact grips that are printed."""


def main() -> int:
    """Runs it. Exit code 1 when a bullet is not what was said; 0 also when there is nothing to measure with."""
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    conversations = found_in(given.data)
    if not conversations:
        console.print(f"Nothing measured: {given.data} holds no conversations with questions and evidence (LoCoMo's form, *.json).")
        return 0
    try:
        report = _measured(conversations, given.budget, console)
    except StackError as error:
        console.print(f"error: {error}")
        return 1
    console.print(report.how)
    for table in tables(report):
        console.print(table)
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    for one in report.inexact[:SHOWN]:
        console.print(f"[red]not what was said[/red]: {one.conversation} {one.node_id} {one.what}")
    return 1 if report.inexact else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-timeline", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="conversations (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures there")
    parser.add_argument("--budget", type=int, default=BUDGET, metavar="TOKENS", help="what may be read (default: %(default)s)")
    return parser.parse_args()


def _measured(conversations: Sequence[Conversation], budget: int, console: Console) -> Report:
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        steps = {
            name: progress.add_task(name, total=total)
            for name, total in (
                ("starting, recording, writing about nodes", 2),
                ("reading the table of contents", len(conversations)),
                ("asking", sum(len(one.questions) for one in conversations)),
            )
        }
        writing, reading, asking = steps.values()
        with stack_site(contents=True) as site:
            progress.advance(writing)
            store(site, list(conversations))
            progress.advance(writing)
            trees = []
            for conversation in conversations:
                trees.append(_tree(site, conversation))
                progress.advance(reading)
            answers: list[Answered] = []
            for conversation, tree in zip(conversations, trees, strict=True):
                answers += answered(site, conversation, tree, budget=budget, done=lambda: progress.advance(asking))
    return _report(conversations, trees, answers, budget, time.monotonic() - started)


def _tree(site: Site, conversation: Conversation) -> Tree:
    with Connection(site.host, site.port) as connection:
        return read_tree(connection, conversation.name)


def _report(
    conversations: Sequence[Conversation], trees: Sequence[Tree], answers: Sequence[Answered], budget: int, seconds: float
) -> Report:
    pairs = list(zip(trees, conversations, strict=True))
    turns = sum(len(one.turns) for one in conversations)
    wrong: list[Inexact] = [one for pair in pairs for one in inexact(*pair)]
    keywords, shared = (sum(counts) for counts in zip(*(keywords_shared(*pair) for pair in pairs), strict=True))
    return Report(
        how=HOW,
        machine=f"{platform.machine()}, Python {platform.python_version()}",
        seconds=round(seconds, 1),
        conversations=len(conversations),
        turns=turns,
        nodes=sum(1 for tree in trees for _ in tree.nodes()),
        grips=sum(len(tree.grips) for tree in trees),
        inexact=wrong,
        gold_share=sum(len(gold_turns(one)) for one in conversations) / turns,
        anchored=summed(one for pair in pairs for one in anchored(*pair)),
        facts=sum(len(one.facts) for one in conversations),
        facts_quoted=sum(facts_quoted(*pair) for pair in pairs),
        keywords=keywords,
        keywords_shared=shared,
        coverage=coverage(one for pair in pairs for one in covered(*pair)),
        budget=budget,
        reached=reached(answers),
    )


if __name__ == "__main__":
    sys.exit(main())
