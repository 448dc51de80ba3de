"""`memory-daemon query`: walk the timeline of any service that speaks gRPC."""

from typing import Annotated

import typer

from agent_memory.cli.daemon import pages
from agent_memory.cli.daemon.context import Endpoint, context_of, tell, timeline_at
from agent_memory.cli.daemon.settings import DaemonSettings
from agent_memory.cli.output import AsJson, CommandError

app = typer.Typer(no_args_is_help=True, help="Query the memory system.")


@app.callback()
def query(context: typer.Context, endpoint: Endpoint = None) -> None:
    """Query the memory system."""
    context.meta["settings"] = context_of(context).given(endpoint=endpoint)


@app.command()
def root(context: typer.Context, as_json: AsJson = False) -> None:
    """List root TOC nodes (year level)."""
    with timeline_at(_settings(context), context_of(context).environment) as timeline:
        nodes = timeline.get_toc_root()
    tell(pages.roots(nodes), {"nodes": nodes}, as_json=as_json)


@app.command()
def node(context: typer.Context, node_id: Annotated[str, typer.Argument(metavar="NODE_ID")], as_json: AsJson = False) -> None:
    """Get a specific TOC node. Exit code 1 when there is none of that id."""
    with timeline_at(_settings(context), context_of(context).environment) as timeline:
        found = timeline.get_node(node_id)
    if found is None:
        raise CommandError(f"Node not found: {node_id}", hint="memory-daemon query root lists where to begin")
    tell(pages.one_node(found), found, as_json=as_json)


@app.command()
def browse(
    context: typer.Context,
    parent_id: Annotated[str, typer.Argument(metavar="PARENT_ID")],
    limit: Annotated[int, typer.Option("--limit", "-l", help="Maximum results per page")] = 20,
    token: Annotated[str | None, typer.Option("--token", "-t", help="Continuation token for next page")] = None,
    as_json: AsJson = False,
) -> None:
    """Browse children of a node with pagination."""
    with timeline_at(_settings(context), context_of(context).environment) as timeline:
        page = timeline.browse_toc(parent_id, within(limit, 32), token)
        parent = timeline.get_node(parent_id)
    most = min(limit, 100) if limit > 0 else 20
    total = len(parent.child_node_ids) if parent else len(page.children)
    tell(pages.children(parent_id, page, limit=most, token=token, total=total), page, as_json=as_json)


@app.command()
def events(
    context: typer.Context,
    from_: Annotated[int, typer.Option("--from", metavar="MS", help="Start timestamp (Unix milliseconds)")],
    to: Annotated[int, typer.Option("--to", metavar="MS", help="End timestamp (Unix milliseconds)")],
    limit: Annotated[int, typer.Option("--limit", "-l", help="Maximum events to return")] = 50,
    as_json: AsJson = False,
) -> None:
    """Get events in a time range, both ends included."""
    with timeline_at(_settings(context), context_of(context).environment) as timeline:
        page = timeline.get_events(within(from_, 64), within(to, 64), within(limit, 32))
    tell(pages.events(from_, to, page), page, as_json=as_json)


@app.command()
def expand(
    context: typer.Context,
    grip_id: Annotated[str, typer.Argument(metavar="GRIP_ID")],
    before: Annotated[int, typer.Option("--before", help="Events before excerpt")] = 3,
    after: Annotated[int, typer.Option("--after", help="Events after excerpt")] = 3,
    as_json: AsJson = False,
) -> None:
    """Expand a grip to show context. Exit code 1 when there is none of that id."""
    with timeline_at(_settings(context), context_of(context).environment) as timeline:
        found = timeline.expand_grip(grip_id, within(before, 32), within(after, 32))
    if found.grip is None:
        raise CommandError(f"Grip not found: {grip_id}", hint="memory-daemon query node NODE_ID names the grips of its bullets")
    tell(pages.expansion(grip_id, found), found, as_json=as_json)


def within(number: int, bits: int) -> int:
    """The nearest number that a message has room for; the server draws it in further."""
    most = (1 << (bits - 1)) - 1
    return max(-most - 1, min(number, most))


def _settings(context: typer.Context) -> DaemonSettings:
    found: DaemonSettings = context.meta["settings"]
    return found
