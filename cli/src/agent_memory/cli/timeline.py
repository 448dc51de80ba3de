"""`agent-memory timeline`: the table of contents as a tree; what it has beside that are commands of their own."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree
from typer.core import TyperGroup

from agent_memory.cli.daemon.context import Endpoint
from agent_memory.cli.output import AsJson, CommandError, console, print_json
from agent_memory.cli.server import Url
from agent_memory.cli.timeline_door import Config, Namespace, User, timeline_of
from agent_memory.cli.timeline_search import search
from agent_memory.client.toc import TocLevel, TocNode

if TYPE_CHECKING:
    from agent_memory.cli.timeline_door import Timeline

PAGE = 100
LEVELS = 5
WIDEST_PICTURE = 132
"""Columns; what is longer is wrapped, as a terminal would."""
_NO_NODE = ""
_MEASURE = Console(width=100_000, color_system=None)
_FROM_ELSEWHERE = re.compile(r",\s*url\([^)]*\) format\([^)]*\)")
"""Fonts that a viewer would load from the network; those of its machine do as well."""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A node and what stands under it, as far down as was asked for."""

    node: TocNode
    children: list["Branch"] = []


class NodeOrCommand(TyperGroup):
    """A group that takes its first word for a command where it is the name of one; else everything is its own, in any order."""

    allow_interspersed_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Also the words of a command are handed on unread."""
        if args and args[0] in self.commands:
            return super().parse_args(ctx, [_NO_NODE, "--", *args])
        rest = super().parse_args(ctx, args)
        if (named := ctx.params["node_id"]) in self.commands:
            ctx.fail(f"options of '{named}' come after it: {ctx.command_path} {named} …")
        return rest

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own parameters; none where the way to one of its commands is told."""
        return super().get_params(ctx) if ctx.command is self else []


app = typer.Typer(cls=NodeOrCommand, invoke_without_command=True, subcommand_metavar="| COMMAND [ARGS]...")
app.command()(search)


@app.callback()
def timeline(
    context: typer.Context,
    node_id: Annotated[
        str | None, typer.Argument(metavar="NODE", help="Where to begin: toc:month:2026-01. Default: the years.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, max=LEVELS, help="Levels to show.")] = LEVELS,
    titles: Annotated[bool, typer.Option("--titles", help="Titles and keywords only, no summaries and bullets.")] = False,
    url: Url = None,
    endpoint: Endpoint = None,
    namespace: Namespace = None,
    user_id: User = None,
    config: Config = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw it into this file, as a picture.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the table of contents as a tree: years, months, weeks, days, and segments with what was said in them.

    Asked over HTTP where --url or AGENT_MEMORY_URL names a server, else over gRPC. Exit code 1 when there is no such node, 3 when
    nobody answers.
    """
    if context.invoked_subcommand:
        return
    with timeline_of(namespace, user_id, url=url, endpoint=endpoint, config=config) as client:
        branches = [branch(client, node, depth) for node in beginnings(client, node_id)]
    if svg:
        _draw([tree_of(one, titles=titles) for one in branches], svg)
        return
    if as_json:
        print_json([nested(one) for one in branches])
        return
    if not branches:
        print("nothing is recorded yet")
    for one in branches:
        _print(tree_of(one, titles=titles))


def beginnings(client: "Timeline", node_id: str | None) -> list[TocNode]:
    """The node that was named, or the years. Raises CommandError."""
    if node_id is None:
        return client.get_toc_root()
    found = client.get_node(node_id)
    if found is None:
        raise CommandError(f"Node not found: {node_id}", hint="`agent-memory timeline --depth 1` shows where to begin")
    return [found]


def branch(client: "Timeline", node: TocNode, depth: int) -> Branch:
    """The node with so many levels, its own counted."""
    if depth <= 1 or node.level is TocLevel.SEGMENT:
        return Branch(node=node)
    children: list[TocNode] = []
    token: str | None = None
    while True:
        page = client.browse_toc(node.node_id, PAGE, token)
        children += page.children
        token = page.continuation_token
        if not page.has_more or token is None:
            break
    return Branch(node=node, children=[branch(client, child, depth - 1) for child in children])


def picture_of(trees: Sequence[Tree]) -> str:
    """For pages: the tree as people see it on a terminal, as SVG."""
    width = min(WIDEST_PICTURE, max(width_of(tree) for tree in trees))
    paper = Console(file=io.StringIO(), record=True, highlight=False, width=width, color_system="truecolor", force_terminal=True)
    for tree in trees:
        paper.print(tree)
    return _FROM_ELSEWHERE.sub("", paper.export_svg(title="agent-memory timeline", unique_id="timeline"))


def width_of(tree: Tree) -> int:
    """Columns that a tree needs so that no line is broken."""
    return _MEASURE.measure(tree).maximum


def _print(tree: Tree) -> None:
    screen = console()
    if not screen.is_terminal:
        screen.width = width_of(tree)
    screen.print(tree)


def _draw(trees: Sequence[Tree], file: Path) -> None:
    if not trees:
        raise CommandError("nothing is recorded yet, so there is nothing to draw")
    try:
        file.write_text(picture_of(trees), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None


def nested(one: Branch) -> dict[str, Any]:
    """For programs: each node with its children in it."""
    return {**msgspec.to_builtins(one.node), "children": [nested(child) for child in one.children]}


def tree_of(one: Branch, *, titles: bool = False) -> Tree:
    """For people; `titles`: without what is written about each node."""
    tree = Tree(_label(one.node, titles=titles), guide_style="dim")
    for child in one.children:
        tree.add(tree_of(child, titles=titles))
    return tree


def _label(node: TocNode, *, titles: bool) -> str:
    keywords = f"  [dim]{escape(', '.join(node.keywords[:5]))}[/dim]" if node.keywords else ""
    lines = [f"[bold]{escape(node.title)}[/bold]  ({node.event_count})  [cyan]{escape(node.node_id)}[/cyan]{keywords}"]
    if titles:
        return lines[0]
    if node.level is TocLevel.SEGMENT:
        lines += [f"• {escape(bullet.text)}  [dim]{escape(' '.join(bullet.grip_ids))}[/dim]".rstrip() for bullet in node.bullets]
    elif node.summary:
        lines.append(f"[italic]{escape(node.summary)}[/italic]")
    return "\n".join(lines)
