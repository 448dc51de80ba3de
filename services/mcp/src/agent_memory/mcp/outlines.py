"""A week of the timeline as a model reads it. Pure."""

import re
from collections.abc import Iterator, Sequence
from datetime import date

from agent_memory.client.toc import TocNode
from agent_memory.mcp.domain import Misused

MOST_BULLETS = 8
_WEEK = re.compile(r"(?:toc:week:)?(\d{4})-?W(\d{1,2})", re.IGNORECASE)
_ASKED = (
    "Summarise this week for somebody who was there: what it was about, what was decided, what is still open. Use only what stands "
    "below; where it is not enough, look with browse_timeline and expand_grip, and quote the words."
)


def week_node(week: str, today: date) -> str:
    """The node of an ISO week such as 2026-W05; without one, of the week of `today`. Raises Misused."""
    if not week.strip():
        year, number, _ = today.isocalendar()
        return f"toc:week:{year}-W{number:02}"
    said = _WEEK.fullmatch(week.strip())
    if said is None or not 1 <= int(said[2]) <= 53:
        raise Misused(f"{week!r} is no week: say 2026-W05, or leave it out for this week")
    return f"toc:week:{said[1]}-W{int(said[2]):02}"


def nothing_said(node_id: str) -> str:
    """What is told where a week holds nothing."""
    week = node_id.removeprefix("toc:week:")
    return f"nothing is recorded of the week {week} here: name another; browse_timeline shows what there is"


def week_prompt(week: TocNode, days: Sequence[tuple[TocNode, Sequence[TocNode]]]) -> str:
    """What a model is asked about a week, with its days and what was said in them."""
    lines = [_ASKED, "", f"# {week.title} ({week.node_id})", *_about(week)]
    for day, segments in days:
        lines += ["", f"## {day.title} ({day.node_id}, {day.event_count} events)"]
        for segment in segments:
            lines += [f"### {segment.title} ({segment.node_id})", *_about(segment)]
    return "\n".join(lines)


def _about(node: TocNode) -> Iterator[str]:
    if node.summary:
        yield node.summary
    for bullet in node.bullets[:MOST_BULLETS]:
        grips = f" [{', '.join(bullet.grip_ids)}]" if bullet.grip_ids else ""
        yield f"- {bullet.text}{grips}"
