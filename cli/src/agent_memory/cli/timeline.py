"""`agent-memory timeline`: the table of contents as a tree."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.tree import Tree

from agent_memory.cli.daemon.context import AsJson, Context, Endpoint, timeline_at
from agent_memory.cli.output import CommandError, console
from agent_memory.client.toc import TocLevel, TocNode

if TYPE_CHECKING:
    from agent_memory.client.grpc_clients import SyncTimelineClient

PAGE = 100
LEVELS = 5


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A node and what stands under it, as far down as was asked for."""

    node: TocNode
    children: list["Branch"] = []


def timeline(
    node_id: Annotated[
        str | None, typer.Argument(metavar="NODE", help="Where to begin: toc:month:2026-01. Default: the years.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, max=LEVELS, help="Levels to show.")] = LEVELS,
    endpoint: Endpoint = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Whose timeline: the namespace.")] = None,
    user_id: Annotated[str | None, typer.Option("--user-id", "-u", help="Whose timeline: the user.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Config file of memory-daemon.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the table of contents as a tree: years, months, weeks, days, and segments with what was said in them.

    Exit code 1 when there is no such node, 3 when nobody answers.
    """
    here = Context(environment=os.environ, file=config)
    settings = here.given(endpoint=endpoint, namespace=namespace, user_id=user_id)
    with timeline_at(settings, os.environ) as client:
        branches = [branch(client, node, depth) for node in beginnings(client, node_id)]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([nested(one) for one in branches])).decode())
        return
    if not branches:
        print("nothing is recorded yet")
    for one in branches:
        console().print(tree_of(one), soft_wrap=True)


def beginnings(client: "SyncTimelineClient", node_id: str | None) -> list[TocNode]:
    """The node that was named, or the years. Raises CommandError."""
    if node_id is None:
        return client.get_toc_root()
    found = client.get_node(node_id)
    if found is None:
        raise CommandError(f"Node not found: {node_id}", hint="`agent-memory timeline --depth 1` shows where to begin")
    return [found]


def branch(client: "SyncTimelineClient", node: TocNode, depth: int) -> Branch:
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


def nested(one: Branch) -> dict[str, Any]:
    """For programs: each node with its children in it."""
    return {**msgspec.to_builtins(one.node), "children": [nested(child) for child in one.children]}


def tree_of(one: Branch) -> Tree:
    """For people."""
    tree = Tree(_label(one.node), guide_style="dim")
    for child in one.children:
        tree.add(tree_of(child))
    return tree


def _label(node: TocNode) -> str:
    keywords = f"  [dim]{escape(', '.join(node.keywords[:5]))}[/dim]" if node.keywords else ""
    lines = [f"[bold]{escape(node.title)}[/bold]  ({node.event_count})  [cyan]{escape(node.node_id)}[/cyan]{keywords}"]
    if node.level is TocLevel.SEGMENT:
        lines += [f"• {escape(bullet.text)}  [dim]{escape(' '.join(bullet.grip_ids))}[/dim]".rstrip() for bullet in node.bullets]
    elif node.summary:
        lines.append(f"[italic]{escape(node.summary)}[/italic]")
    return "\n".join(lines)
