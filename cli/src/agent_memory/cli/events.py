"""`agent-memory events tail`: the log, as it is written."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from agent_memory.cli.output import note, printable
from agent_memory.cli.reach import servers
from agent_memory.contracts.codec import decode_event, encode
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import NeedsUpgrade, Unavailable
from agent_memory.contracts.events import (
    AnyEvent,
    EventRecorded,
    JobDue,
    JobFinished,
    JobPaused,
    JobResumed,
    JobStarted,
    MemoriesExtracted,
    MemoryEdited,
    MemoryForgotten,
    MemoryStored,
    MessagesRestored,
    NodeRevised,
    PartitionSummarized,
    SummaryViewCreated,
    SummaryViewDeleted,
    TaskChanged,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.jobs import JobRun, JobState
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader

CHUNK = 500
FOLLOW_SECONDS = 0.2
RETRY_SECONDS = 1.0
TEXT = 100
"""Characters of a text on one line."""

Wanted = Callable[[EventEnvelope], bool]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def events() -> None:
    """Look at the log."""


@app.command()
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is recorded from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest events.")] = 20,
    since: Annotated[int | None, typer.Option("--since", min=0, help="All events after this log position, instead.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Only of this namespace.")] = None,
    user_id: Annotated[str | None, typer.Option(help="Only of this user.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Whole events, one JSON object a line.")] = False,
) -> None:
    """Show the newest events of the log, oldest first: position, time, kind, whose, and what."""

    def wanted(envelope: EventEnvelope) -> bool:
        asked = ((tenant, envelope.scope.tenant), (namespace, envelope.scope.namespace), (user_id, envelope.scope.user_id))
        return all(value is None or value == found for value, found in asked)

    shown = as_one_line if not as_json else lambda envelope: encode(envelope).decode()
    try:
        asyncio.run(_tail(servers(os.environ).database_url, lines, since, wanted, shown, follow=follow))
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _tail(
    database_url: str, lines: int, since: int | None, wanted: Wanted, shown: Callable[[EventEnvelope], str], *, follow: bool
) -> None:
    connections = Connections(database_url, size=1)
    log = LogReader(connections)
    try:
        head = await log.head()
        first = await newest(log, head, lines, wanted) if since is None else []
        for envelope in first:
            print(shown(envelope), flush=follow)
        async for envelope in after(log, head if since is None else since, follow=follow):
            if wanted(envelope):
                print(shown(envelope), flush=follow)
    finally:
        await connections.close()


async def newest(log: LogReader, head: int, count: int, wanted: Wanted) -> list[EventEnvelope]:
    """The last `count` wanted events up to `head`, oldest first. Reads backwards until it has them."""
    found: list[EventEnvelope] = []
    while head > 0 and len(found) < count:
        chunk = await log.after(head - CHUNK, up_to=head, limit=CHUNK)
        found = [envelope for envelope in chunk if wanted(envelope)] + found
        head -= CHUNK
    return found[-count:] if count else []


async def after(log: LogReader, position: int, *, follow: bool) -> AsyncIterator[EventEnvelope]:
    """Events beyond a position; with `follow` it waits for more, also while Postgres is away, and never ends."""
    while True:
        try:
            chunk = await log.after(position, limit=CHUNK)
        except Unavailable as error:
            if not follow:
                raise
            note(error.detail)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        for envelope in chunk:
            yield envelope
            position = envelope.position
        if not chunk:
            if not follow:
                return
            await asyncio.sleep(FOLLOW_SECONDS)


def as_one_line(envelope: EventEnvelope) -> str:
    """For people: position, UTC time of recording, kind, `tenant/namespace/user`, what. Control characters are left out."""
    recorded = datetime.fromtimestamp(envelope.recorded_ms / 1000, UTC)
    try:
        what = about(decode_event(envelope.type, envelope.data))
    except NeedsUpgrade:
        what = "(of a newer version than this command)"
    line = f"{envelope.position:>8}  {recorded:%Y-%m-%d %H:%M:%S}  {envelope.type:<21}  {envelope.scope.path}  {what}"
    return printable(line)


def about(event: AnyEvent) -> str:
    """What an event says, in a few words."""
    match event:
        case EventRecorded(event=said):
            return f"{said.session_id}  {said.event_type}  {_short(said.text)}"
        case WorkingMemoryReplaced(session_id=session_id, order=order):
            return f"{session_id}  {len(order)} messages"
        case MessagesRestored(session_id=session_id, messages=messages):
            return f"{session_id}  {len(messages)} messages"
        case WorkingMemoryDeleted(session_id=session_id, reason=reason):
            return f"{session_id}  {reason}"
        case MemoryStored(record=record):
            return f"{record.id}  {_short(record.text)}"
        case MemoryEdited(record=record, changed=changed):
            return f"{record.id}  {', '.join(changed)}  {_short(record.text)}"
        case MemoryForgotten(memory_id=memory_id, reason=reason):
            return f"{memory_id}  {reason}"
        case WorkingMemorySummarized(session_id=session_id, message_ids=message_ids, context=context):
            return f"{session_id}  {len(message_ids)} messages  {_short(context)}"
        case MemoriesExtracted(session_id=session_id, message_ids=message_ids, memory_ids=memory_ids):
            return f"{session_id}  {len(memory_ids)} memories from {len(message_ids)} messages"
        case SummaryViewCreated(view=view):
            return f"{view.id}  {_short(view.name or '')}"
        case SummaryViewDeleted(view_id=view_id):
            return view_id
        case PartitionSummarized(partition=partition):
            group = ", ".join(f"{name}={value}" for name, value in sorted(partition.group.items()))
            return f"{partition.view_id}  {group}  {_short(partition.summary)}"
        case TaskChanged(task=task):
            return f"{task.id}  {task.status}"
        case NodeRevised(revision=revision):
            return f"{revision.node_id}  {_short(revision.title)}"
        case JobFinished(job=job, state=JobState(last=JobRun(result=result, error=error))):
            return f"{job}  {result}{f': {error}' if error else ''}"
        case JobDue(job=job) | JobStarted(job=job) | JobFinished(job=job) | JobPaused(job=job) | JobResumed(job=job):
            return job


def _short(text: str) -> str:
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
