"""`agent-memory schedule-task`: what scripts for the Redis agent memory server have done in the background."""

from typing import TYPE_CHECKING, Annotated

import typer

from agent_memory.cli.old_tasks import OLD_PACKAGE, OldTask, known_paths, task_of, value_of
from agent_memory.cli.output import AsJson, CommandError, note, print_json
from agent_memory.cli.server import Url, body_of, server_at

if TYPE_CHECKING:
    from agent_memory.client import SyncMemoryClient

LONGEST_SECONDS = 1_800.0
"""A compaction of one namespace is waited for."""
Arguments = dict[str, bool | int | float | str]


def schedule_task(
    path: Annotated[str, typer.Argument(metavar="TASK_PATH", help=f"{OLD_PACKAGE}.long_term_memory.…, or the name of a job.")],
    args: Annotated[
        list[str] | None, typer.Option("--args", "-a", metavar="KEY=VALUE", help="An argument; give it again for several.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a background task done now: by an import path of the Redis agent memory server, or by the name of a job.

    Paths are mapped to jobs of the scheduler (`agent-memory scheduler status`). What services do by themselves needs no
    scheduling, and is said so. AGENT_MEMORY_TOKEN is the credential, where one is needed: jobs are for admins.
    """
    task = task_of(path)
    if task is None:
        raise CommandError(f"there is no task {path}", hint=f"tasks: {', '.join(known_paths())}")
    if task.kind == "elsewhere":
        raise CommandError(f"{path} is not a task here", hint=task.instead)
    given = _arguments(args or [])
    if not as_json:
        print(f"Scheduling task {path} with arguments: {given}", flush=True)
    if task.kind == "automatic":
        _tell(
            path,
            given,
            "automatic",
            "Nothing to schedule: services do this by themselves, as soon as there is something to do.",
            as_json,
        )
        return
    used = _used(path, task, given)
    with server_at(url, timeout=LONGEST_SECONDS) as client:
        status = _scheduled(client, task, used)
    words = "Task scheduled successfully" if status == "scheduled" else "The task runs already"
    _tell(path, given, status, words, as_json)


def _arguments(texts: list[str]) -> Arguments:
    given: Arguments = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(f"Invalid argument format: {text}. Use key=value format.")
        given[name] = value_of(value)
    return given


def _used(path: str, task: OldTask, given: Arguments) -> dict[str, str]:
    """Those that mean something. Raises CommandError for unknown ones."""
    for name in sorted(given.keys() & task.wider.keys()):
        why, instead = task.wider[name]
        raise CommandError(why, hint=instead)
    if unknown := sorted(given.keys() - {*task.arguments, *task.idle}):
        known = ", ".join((*task.arguments, *task.idle)) or "none"
        raise CommandError(f"{path} has no argument {', '.join(unknown)}", hint=f"arguments: {known}")
    for name in given.keys() & task.idle.keys():
        note(f"{name} has no effect: {task.idle[name]}")
    return {name: str(value) for name, value in given.items() if name in task.arguments}


def _scheduled(client: "SyncMemoryClient", task: OldTask, used: dict[str, str]) -> str:
    from agent_memory.client import Conflict  # noqa: PLC0415 (--help need not wait for it)
    from agent_memory.client.paths import path  # noqa: PLC0415

    if task.kind == "view":
        if "view_id" not in used:
            raise CommandError("view_id is missing", hint="-a view_id=ID; GET /v1/summary-views lists them")
        body_of(client, "POST", path("v1", "summary-views", used.pop("view_id"), "run"), used)
        return "scheduled"
    if used:
        # Of one namespace or user alone: not what the job of the whole system does.
        body_of(client, "POST", "/v1/long-term-memory/compact", **used)
        return "scheduled"
    try:
        refusal = client.run_job(task.job)
    except Conflict as error:
        note(error.detail)
        return "running"
    if refusal:
        raise CommandError(refusal, hint="`agent-memory scheduler status` lists the jobs; forgetting needs FORGETTING_ENABLED")
    return "scheduled"


def _tell(path: str, given: Arguments, status: str, words: str, as_json: bool) -> None:
    if as_json:
        print_json({"task": path, "arguments": given, "status": status})
    else:
        print(words)
