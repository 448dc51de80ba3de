"""`memory-daemon scheduler`: see and steer background jobs."""

from collections.abc import Callable
from typing import Annotated

import typer

from agent_memory.cli.daemon import pages
from agent_memory.cli.daemon.context import Endpoint, context_of, tell, timeline_at
from agent_memory.cli.output import AsJson, CommandError
from agent_memory.client.grpc_clients import SyncTimelineClient

app = typer.Typer(no_args_is_help=True, help="Manage background jobs.")
JobName = Annotated[str, typer.Argument(metavar="JOB_NAME")]


@app.callback()
def scheduler(context: typer.Context, endpoint: Endpoint = None) -> None:
    """Manage background jobs."""
    context.meta["settings"] = context_of(context).given(endpoint=endpoint)


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show scheduler and job status."""
    with timeline_at(context.meta["settings"], context_of(context).environment) as timeline:
        found = timeline.get_scheduler_status()
    tell(pages.scheduler(found), found, as_json=as_json)


@app.command()
def pause(context: typer.Context, job_name: JobName, as_json: AsJson = False) -> None:
    """Pause a scheduled job. Exit code 1 when there is none of that name."""
    _change(context, job_name, "paused", lambda timeline: timeline.pause_job(job_name), as_json)


@app.command()
def resume(context: typer.Context, job_name: JobName, as_json: AsJson = False) -> None:
    """Resume a paused job. Exit code 1 when there is none of that name."""
    _change(context, job_name, "resumed", lambda timeline: timeline.resume_job(job_name), as_json)


@app.command()
def run(context: typer.Context, job_name: JobName, as_json: AsJson = False) -> None:
    """Run a job now, whatever its schedule says. Exit code 1 when there is none of that name."""
    _change(context, job_name, "started", lambda timeline: timeline.run_job(job_name), as_json)


def _change(
    context: typer.Context, name: str, done: str, change: Callable[[SyncTimelineClient], str | None], as_json: bool
) -> None:
    with timeline_at(context.meta["settings"], context_of(context).environment) as timeline:
        refusal = change(timeline)
    if refusal:
        raise CommandError(refusal, hint="memory-daemon scheduler status lists the jobs")
    tell([f"Job '{name}' {done}"], {"job_name": name, "status": done}, as_json=as_json)
