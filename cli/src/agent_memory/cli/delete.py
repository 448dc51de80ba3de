"""`agent-memory delete`: long-term memories, and the working memory of a session."""

from typing import TYPE_CHECKING, Annotated

import typer

from agent_memory.cli.options import Force, Namespace, User
from agent_memory.cli.output import AsJson, CommandError, note, print_json, printable
from agent_memory.cli.server import Url, server_at

if TYPE_CHECKING:
    from agent_memory.client import SyncMemoryClient
    from agent_memory.client.answers import Memory

PAGE = 100
TEXT = 60
AT_ONCE = 100
"""Ids in one request: they stand in its address."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def delete() -> None:
    """Forget memories. The log keeps that they were there; no search and no session shows them any more."""


@app.command()
def memory(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[IDS]...", help="Ids of memories.")] = None,
    empty_text: Annotated[bool, typer.Option("--empty-text", help="Those whose text is empty.")] = False,
    invalid: Annotated[
        bool, typer.Option("--invalid", help="Those that cannot be used: without an id or a text. This server takes none in.")
    ] = False,
    namespace: Namespace = None,
    user_id: User = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which, delete nothing.")] = False,
    force: Force = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete long-term memories: by id, or those that are of no use. Ids that do not exist are told and passed over."""
    if bool(ids) == (empty_text or invalid):
        raise CommandError("name memories by id, or give --empty-text or --invalid", hint="`agent-memory search` shows ids", code=2)
    with server_at(url, namespace=namespace, user_id=user_id) as client:
        found = _named(client, ids) if ids else _useless(client)
        if dry_run or not found:
            _tell(found, 0, dry_run, as_json)
            return
        if not force:
            typer.confirm(f"Delete {_counted(len(found))}?", abort=True, err=True)
        each = [one.id for one in found]
        gone = sum(client.delete_long_term_memories(each[at : at + AT_ONCE]).count for at in range(0, len(each), AT_ONCE))
    _tell(found, gone, dry_run, as_json)


@app.command()
def session(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="The session.")],
    namespace: Namespace = None,
    user_id: User = None,
    force: Force = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete the working memory of a session. What was said stays on the timeline. Exit code 1 when there is none."""
    with server_at(url, namespace=namespace, user_id=user_id) as client:
        client.get_working_memory(session_id, recent_messages_limit=1)
        if not force:
            typer.confirm(f"Delete the working memory of session {session_id}?", abort=True, err=True)
        client.delete_working_memory(session_id)
    if as_json:
        print_json({"session_id": session_id, "deleted": True})
    else:
        print(printable(f"Deleted working memory session: {session_id}"))


def _named(client: "SyncMemoryClient", ids: list[str]) -> "list[Memory]":
    """Those that exist, within the namespace and the user that were named."""
    from agent_memory.client import NotFound  # noqa: PLC0415 (--help need not wait for it)

    found = []
    for memory_id in dict.fromkeys(ids):
        try:
            one = client.get_long_term_memory(memory_id)
        except NotFound as error:
            note(error.detail)
            continue
        if all(getattr(one, name) == value for name, value in client.caller.scope(None, None).items()):
            found.append(one)
        else:
            note(f"Memory with ID {memory_id} is of another namespace or user")
    return found


def _useless(client: "SyncMemoryClient") -> "list[Memory]":
    found: list[Memory] = []
    offset: int | None = 0
    while offset is not None:
        page = client.search_long_term_memory(limit=PAGE, offset=offset)
        found += [one for one in page.memories if not one.id or not one.text.strip()]
        offset = page.next_offset
    return found


def _tell(found: "list[Memory]", gone: int, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "deleted": gone, "memory_ids": [one.id for one in found]})
    elif dry_run and found:
        print(f"Would delete {_counted(len(found))}:")
        for one in found:
            print(printable(f"  {one.id}  {' '.join(one.text.split())[:TEXT]}"))
    elif found:
        print(f"Deleted {_counted(gone)}.")
    else:
        print("No memories to delete.")


def _counted(number: int) -> str:
    return f"{number} memories"
