"""What the demo prints: what was stored, what three searches found, one session, how far each view is, how to go on."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent_memory.cli.loading.summary import counted, day
from agent_memory.cli.loading.tally import Tally
from agent_memory.cli.output import callable_here
from agent_memory.client.answers import EventHit, EventHits, Status, WorkingMemory
from agent_memory.client.toc import ExpandGripResult, TocNode
from agent_memory.contracts.queries import SearchMode

_WIDEST = 110
_SAYS: dict[SearchMode, str] = {"semantic": "by meaning", "keyword": "by words", "hybrid": "by both"}
_VOICES = {"user": "bold", "assistant": "", "tool": "dim", "system": "dim"}
_LAST_MESSAGES = 6


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """From a year down to a segment, and the words that its first bullet comes from; None while nothing is written there."""

    path: list[TocNode]
    words: ExpandGripResult | None


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the demo saw."""

    address: str
    tally: Tally
    store_seconds: float
    index_seconds: float
    hits: list[tuple[SearchMode, str, EventHits]]
    walk: Walk
    session: WorkingMemory
    status: Status


def show(screen: Console, found: Findings) -> None:
    """Print all that was seen."""
    width = min(screen.width, _WIDEST)
    _page(screen, "What was stored", _stored(found))
    _page(screen, "Three searches", _searches(found.hits, width))
    _page(screen, f"Working memory of session {found.session.session_id}", _session(found.session, width))
    _page(screen, "Every view of the log, and how far behind it is", _views(found.status))
    _page(screen, "From the year to the words", _walk(found.walk, width))


def show_further(screen: Console, address: str, *, lasting: bool, stops: bool) -> None:
    """How to go on. `lasting`: the server is still up; `stops`: and `agent-memory down` stops it."""
    _page(screen, "How to go on", _further(address, lasting, stops))
    _page(
        screen,
        "For agents, over MCP",
        Text("Claude Code; Claude Desktop and Cursor; others: docs/mcp.md"),
        _mcp(address if lasting else ""),
    )


def _page(screen: Console, title: str, page: RenderableType, to_copy: str = "") -> None:
    """`to_copy` stands below the page as it is: a line that is broken cannot be copied."""
    width = min(screen.width, _WIDEST)
    with screen.capture() as printed:
        screen.print(Rule(Text(title, style="bold"), align="left", style="dim"), width=width)
        screen.print(Padding(page, (0, 0, 0, 2)), width=width)
    # Columns are filled up with blanks, which nobody wants in a file or a copied text.
    lines = [line.rstrip() for line in printed.get().rstrip().split("\n")]
    screen.file.write("\n".join([*lines, *(f"  {line}".rstrip() for line in to_copy.splitlines())]) + "\n\n")
    screen.file.flush()


def _stored(found: Findings) -> RenderableType:
    tally = found.tally
    again = f" ({tally.known:,} of them were known already)" if tally.known else ""
    span = f"{day(tally.first_ms)} to {day(tally.last_ms)}"
    first = f"{counted(tally.read, 'event')}{again} in {counted(len(tally.sessions), 'session')}, {span}"
    types = Table.grid(padding=(0, 2))
    for name, count in tally.event_types.most_common():
        types.add_row(Text(f"{count:,}", justify="right"), Text(name))
    times = f"stored in {found.store_seconds:.2f} s, all of it searchable {found.index_seconds:.2f} s later"
    return Group(Text(first), types, Text(times, style="dim"))


def _searches(hits: list[tuple[SearchMode, str, EventHits]], width: int) -> RenderableType:
    pages: list[RenderableType] = []
    for mode, text, found in hits:
        pages.append(Text.assemble((mode, "bold cyan"), (f" ({_SAYS[mode]})  ", "dim"), (f"“{text}”", "bold")))
        pages += [Padding(_hit(hit, width - 4), (0, 0, 0, 2)) for hit in found.events]
        pages.append(Text())
    return Group(*pages[:-1])


def _hit(hit: EventHit, width: int) -> RenderableType:
    score = "  –  " if hit.score is None else f"{hit.score:.3f}"
    when = datetime.fromtimestamp(hit.timestamp_ms / 1000, UTC)
    head = Text.assemble((score, "green"), f"  {when:%a %d %b %Y, %H:%M} UTC  {hit.role}")
    source = Text(f"event {hit.event_id}, session {hit.session_id}", style="dim")
    rows = Table.grid(padding=(0, 0, 0, 7))
    for row in (source, _excerpt(hit.text, width - 8, lines=2)):
        rows.add_row(row)
    return Group(head, rows)


def _excerpt(text: str, width: int, *, lines: int) -> Text:
    """The start of a text on so many lines of so many columns."""
    return Text("\n".join(_folded(text, width, lines)))


def _folded(text: str, width: int, lines: int) -> list[str]:
    folded = [line.plain.rstrip() for line in Text(" ".join(text.split())).wrap(_MEASURE, width)]
    if len(folded) <= lines:
        return folded
    last = Text(folded[lines - 1] + " " + folded[lines])
    last.truncate(width, overflow="ellipsis")
    return [*folded[: lines - 1], last.plain]


_MEASURE = Console(width=_WIDEST, color_system=None)
"""Wrapping wants a console to ask about tabs and the like; it prints nothing."""


def _session(session: WorkingMemory, width: int) -> RenderableType:
    shown = session.messages[-_LAST_MESSAGES:]
    chat = Table.grid(padding=(0, 2))
    chat.add_column(no_wrap=True)
    chat.add_column(ratio=1)
    for message in shown:
        chat.add_row(Text(message.role, style="cyan"), _excerpt(message.content, width - 16, lines=2))
    left = len(session.messages) - len(shown)
    before = [Text(f"{counted(left, 'earlier message')}, then:", style="dim")] if left else []
    return Group(*before, chat)


def _walk(walk: Walk, width: int) -> RenderableType:
    lines: list[RenderableType] = []
    for depth, node in enumerate(walk.path):
        title = Text(f"{node.title}  ", style="bold").append(counted(node.event_count, "event"), style="dim")
        indent = (0, 0, 0, 2 * depth)
        lines.append(Padding(title, indent))
        if node.bullets:
            lines.append(Padding(_excerpt(f"• {node.bullets[0].text}", width - 4 - 2 * depth, lines=2), indent))
    words = walk.words
    if words is None or words.grip is None:
        return Group(*lines, Text("nothing is written about this segment yet", style="dim"))
    said = Table.grid(padding=(0, 2))
    said.add_column(no_wrap=True)
    said.add_column(ratio=1)
    for event in (*words.events_before, *words.excerpt_events, *words.events_after):
        if not event.text:
            continue  # a mark, such as the end of a session
        style = "bold" if event in words.excerpt_events else "dim"
        said.add_row(Text(event.role.name.lower(), style="cyan"), Text("\n".join(_folded(event.text, width - 16, 2)), style=style))
    return Group(*lines, Text(), Text(f"said in session {words.grip.session_id}:", style="dim"), said)


def _views(status: Status) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("view", no_wrap=True)
    table.add_column("kept by")
    for heading in ("position", "lag", "applied", "skipped", "dead"):
        table.add_column(heading, justify="right")
    for view in status.projections:
        figures = (view.position, view.lag, view.indexed, view.skipped, view.dead_lettered)
        table.add_row(view.projection, view.service, *(f"{figure:,}" for figure in figures))
    return table


def _further(address: str, lasting: bool, stops: bool) -> RenderableType:
    if not lasting:
        steps = [
            ("Everything was stopped and removed. For a memory that stays:", ""),
            ("", "agent-memory up --detach"),
            ("Then load what you have (JSONL, Claude Code transcripts, a ChatGPT export):", ""),
            ("", "agent-memory import ~/.claude/projects conversations.json"),
            ("Or run this demo again and leave it up:", ""),
            ("", "agent-memory demo --keep"),
        ]
        return Group(*(Text(words) if words else Text(f"  {callable_here(command)}", style="bold") for words, command in steps))
    lines = [Text(f"Ask it yourself ({address}/docs explains all of it):")]
    commands = callable_here(_COMMANDS.format(address=address, python=sys.executable)).splitlines()
    lines += [Text(f"  {line}", style="bold", no_wrap=True) for line in commands]
    return Group(*lines, *([Text("Stop it with:"), Text(callable_here("  agent-memory down"), style="bold")] if stops else []))


def _mcp(address: str) -> str:
    """What clients of MCP are told, about the server at an address, or the one of this machine."""
    program = Path(sys.executable).with_name("agent-memory")
    command = str(program) if program.exists() else "agent-memory"
    server: dict[str, object] = {"command": command, "args": ["mcp"]}
    options = ""
    if address:
        server = {"command": command, "args": ["mcp", "--url", address], "env": {"DEFAULT_MCP_NAMESPACE": "demo"}}
        options = " --env DEFAULT_MCP_NAMESPACE=demo"
    spoken = " ".join([command, *msgspec.convert(server["args"], list[str])])
    return f"claude mcp add memory{options} -- {spoken}\n\n{json.dumps({'mcpServers': {'memory': server}}, indent=2)}"


_COMMANDS = """\
curl -s {address}/v1/timeline/search \\
  -d '{{"text": "seasick pills", "namespace": "demo"}}'

{python} - <<'END'
from agent_memory.client import SyncMemoryClient
memory = SyncMemoryClient("{address}", namespace="demo")
print(memory.search_timeline("seasick pills").events[0].text)
END

agent-memory import ~/.claude/projects conversations.json"""
