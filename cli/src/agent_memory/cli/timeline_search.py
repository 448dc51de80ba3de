"""`agent-memory timeline search`: what is written in the table of contents, its grips, and what was said."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from agent_memory.cli.daemon.context import Endpoint
from agent_memory.cli.daemon.pages import moment
from agent_memory.cli.output import AsJson, CommandError, console, print_json, printable
from agent_memory.cli.server import Url
from agent_memory.cli.timeline_door import Config, Namespace, User, timeline_of
from agent_memory.contracts.queries import TIMELINE_KINDS, SearchMode, backwards
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, to_milliseconds

if TYPE_CHECKING:
    from rich.table import Table

    from agent_memory.client.toc import TimelineMatch

MOST = 100
LONGEST = 400
"""Characters of a text that are shown; --json has all of them."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
COLOURS = {"node": "magenta", "grip": "green", "event": "blue"}


class Kind(StrEnum):
    """What can be found."""

    node = "node"
    grip = "grip"
    event = "event"


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    kind: Annotated[
        list[Kind] | None, typer.Option("--kind", "-k", help="Only these; give it again for several. Default: all.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on: ISO 8601 (without a zone UTC), or UTC milliseconds.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until then, included; a day alone is all of it.")] = None,
    session_id: Annotated[str | None, typer.Option("--session-id", "-s", help="Only of this session.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, max=MOST, help="At most so many.")] = 10,
    mode: Annotated[SearchMode, typer.Option("--mode", "-m", help="By meaning, by words, or by both.")] = "hybrid",
    url: Url = None,
    endpoint: Endpoint = None,
    namespace: Namespace = None,
    user_id: User = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Search the timeline, best first: nodes of the table of contents by what is written about them, grips by their words, events
    by what was said.

    `agent-memory timeline NODE` shows what stands under a node, `memory-daemon query expand GRIP` the conversation around a grip.
    Asked over HTTP where --url or AGENT_MEMORY_URL names a server, else over gRPC. Exit code 2 for an empty query, or for times
    that are none or end before they begin, 3 when nobody answers.
    """
    if not query.strip():
        raise CommandError("QUERY is empty", hint='agent-memory timeline search "words to look for"', code=2)
    since, until = time_of("--from", from_), time_of("--to", to, last=True)
    if backwards(since, until):
        raise CommandError("--to is before --from", hint="exchange them, or leave one out", code=2)
    kinds = [one for one in TIMELINE_KINDS if not kind or Kind(one) in kind]
    with timeline_of(namespace, user_id, url=url, endpoint=endpoint, config=config) as client:
        found = client.search_timeline(query, kinds=kinds, mode=mode, from_=since, to=until, limit=limit, session_id=session_id)
    # Over HTTP it is a page, whose rest nobody asked for.
    matches: list[TimelineMatch] = found if isinstance(found, list) else found.matches
    if as_json:
        print_json(matches)
    elif matches:
        _print(table_of(matches))
    else:
        print("nothing is found")


def time_of(option: str, text: str | None, *, last: bool = False) -> int | None:
    """UTC milliseconds of a time, or of the first moment of a day (`last`: of its last one). Raises CommandError (code 2)."""
    if text is None:
        return None
    given = text.strip()
    try:
        if given.lstrip("+-").isdecimal():
            milliseconds = int(given)
        elif _DAY.fullmatch(given):
            at = datetime.combine(date.fromisoformat(given), time.max if last else time.min, UTC)
            milliseconds = to_milliseconds(at)[0]
        else:
            said = datetime.fromisoformat(given)
            milliseconds = to_milliseconds(said if said.tzinfo else said.replace(tzinfo=UTC))[0]
    except (ValueError, OverflowError):
        hint = f"{option} takes 2026-01-30, 2026-01-30T10:00:00Z or UTC milliseconds"
        raise CommandError(f"{option} {text!r} is no time", hint=hint, code=2) from None
    return min(max(milliseconds, MIN_TIMESTAMP_MS), MAX_TIMESTAMP_MS)


def table_of(matches: Sequence["TimelineMatch"]) -> "Table":
    """For people: how near, what it is, when, its id and its words."""
    from rich.table import Table  # noqa: PLC0415 (0.1 s that --help need not pay)
    from rich.text import Text  # noqa: PLC0415 (as above)

    table = Table(box=None, pad_edge=False)
    table.add_column("score", justify="right", no_wrap=True)
    for heading in ("kind", "when (UTC)", "id"):
        table.add_column(heading, no_wrap=heading != "id", overflow="fold")
    table.add_column("text", overflow="fold", ratio=1)
    for one in matches:
        table.add_row(
            f"{one.score:.3f}",
            Text(one.kind, style=COLOURS.get(one.kind, "")),
            moment(one.timestamp_ms),
            Text(_printable(one.id), style="cyan"),
            Text(_words(one)),
        )
    return table


def _words(one: "TimelineMatch") -> str:
    """A node's title before what is written about it; who said an event, before its words."""
    before = one.node.title if one.node else one.event.role if one.event else ""
    text = _printable(one.text)
    told = f"{before}: {text}" if before and text != before else text
    return told if len(told) <= LONGEST else told[: LONGEST - 1] + "…"


def _printable(text: str) -> str:
    return " ".join(printable(text).split())


def _print(table: "Table") -> None:
    screen = console()
    if screen.is_terminal:
        screen.print(table)
        return
    # One line for each, for programs that take lines.
    screen.width = screen.measure(table, options=screen.options.update(max_width=100_000)).maximum
    with screen.capture() as drawn:
        screen.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))
