"""What was measured of tables of contents, as rows for the tables and the JSON file."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from rich.table import Table

from recall.conversations import CATEGORIES
from walks.asking import WAYS, Answered
from walks.gold import LEVELS, Anchored, Covered, Inexact


class Coverage(msgspec.Struct, frozen=True):
    """Means over the sessions that are summed up."""

    said_by: str
    sessions: int
    words: float
    share: float


class Reached(msgspec.Struct, frozen=True):
    """One way of asking, over the questions of a category: mean share of the evidence, any of it, all of it; turns, nodes and
    tokens that were read.
    """

    way: str
    category: str
    questions: int
    frac: float
    any: float
    all: float
    turns: float
    nodes: float
    tokens: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` writes. `gold_share`: of all turns, those that a fact names: what a bullet taken by chance would reach."""

    how: str
    machine: str
    seconds: float
    conversations: int
    turns: int
    nodes: int
    grips: int
    inexact: list[Inexact]
    gold_share: float
    anchored: list[Anchored]
    facts: int
    facts_quoted: int
    keywords: int
    keywords_shared: int
    coverage: list[Coverage]
    budget: int
    reached: list[Reached]


def summed(many: Iterable[Anchored]) -> list[Anchored]:
    """By level, over all conversations."""
    counts: dict[str, list[int]] = {level: [0, 0] for level in LEVELS}
    for one in many:
        counts[one.level][0] += one.bullets
        counts[one.level][1] += one.gold
    return [Anchored(level, *found) for level, found in counts.items()]


def coverage(many: Iterable[Covered]) -> list[Coverage]:
    """Means, in the order of the first session."""
    by_text: dict[str, list[Covered]] = defaultdict(list)
    for one in many:
        by_text[one.said_by].append(one)
    return [Coverage(name, len(of), _mean(one.words for one in of), _mean(one.share for one in of)) for name, of in by_text.items()]


def reached(many: Sequence[Answered]) -> list[Reached]:
    """Every way and category, and all categories together."""
    return [
        Reached(
            way,
            category,
            len(of),
            _mean(one.share for one in of),
            _mean(float(one.share > 0) for one in of),
            _mean(float(one.share == 1) for one in of),
            _mean(one.turns for one in of),
            _mean(one.nodes for one in of),
            _mean(one.tokens for one in of),
        )
        for way in WAYS
        for category in ("all", *CATEGORIES.values())
        if (of := [one for one in many if one.way == way and category in ("all", one.category)])
    ]


def tables(report: Report) -> list[Table]:
    """For the terminal."""
    grips = _table("Bullets and grips", "what", "of", "share")
    for one in report.anchored:
        grips.add_row(f"bullets of {one.level}s with a gold turn", f"{one.bullets:,}", _share(one.gold, one.bullets))
    grips.add_row("turns that are gold, by chance", f"{report.turns:,}", f"{report.gold_share:.3f}")
    grips.add_row("facts of which a segment quotes a turn", f"{report.facts:,}", _share(report.facts_quoted, report.facts))
    exact = report.grips - len(report.inexact)
    grips.add_row("grips that are what was said", f"{report.grips:,}", _share(exact, report.grips))
    words = _table("What sessions were summed up to, by stems", "said by", "sessions", "words", "share")
    for each in report.coverage:
        words.add_row(each.said_by, str(each.sessions), f"{each.words:.0f}", f"{each.share:.3f}")
    words.add_row("keywords that stand in the summary", "", str(report.keywords), _share(report.keywords_shared, report.keywords))
    asked = _table(f"Evidence reached with {report.budget:,} tokens", "way", *_HEADS)
    for row in report.reached:
        if row.category == "all":
            asked.add_row(row.way, *_cells(row))
    kinds = _table("The same by kind of question", "way", "kind", *_HEADS, left=2)
    for row in report.reached:
        if row.category != "all":
            kinds.add_row(row.way, row.category, *_cells(row))
    return [grips, words, asked, kinds]


_HEADS = ("questions", "share", "any", "all", "turns", "nodes", "tokens")


def _cells(row: Reached) -> list[str]:
    shares = (f"{value:.3f}" for value in (row.frac, row.any, row.all))
    return [str(row.questions), *shares, *(f"{value:.0f}" for value in (row.turns, row.nodes, row.tokens))]


def _table(title: str, *heads: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left")
    for at, head in enumerate(heads):
        table.add_column(head, justify="left" if at < left else "right", no_wrap=True)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else ""


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
