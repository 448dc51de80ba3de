"""`agent-memory scheduler`: the jobs that are due again and again; see how they do, hold them, have one run now."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent_memory.cli.output import AsJson, CommandError, callable_here, console, print_json
from agent_memory.cli.server import Url, server_at
from agent_memory.contracts.job_catalogue import JOBS
from agent_memory.contracts.jobs import JobRun

if TYPE_CHECKING:
    from rich.table import Table

    from agent_memory.client import SyncMemoryClient
    from agent_memory.client.toc import JobStatus, SchedulerStatus

LOOK_EVERY_SECONDS = 0.2
COLOURS = {"success": "green", "failed": "red", "skipped": "yellow"}
LONGEST = 60

app = typer.Typer(no_args_is_help=True)


def job_names(incomplete: str) -> list[str]:
    """For the shell's completion."""
    return [job.name for job in JOBS if job.name.startswith(incomplete)]


Job = Annotated[str, typer.Argument(metavar="JOB", help="Its name, as `status` lists it.", autocompletion=job_names)]


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and of which job."""

    job_name: str
    run: JobRun


@app.callback()
def scheduler() -> None:
    """Background jobs: when they are due, how they went. AGENT_MEMORY_TOKEN is the credential, where one is needed."""


@app.command()
def status(url: Url = None, as_json: AsJson = False) -> None:
    """Show whether a scheduler runs, and each job: when it is due, how its last run went. Exit code 1 when none runs."""
    with server_at(url) as client:
        found = client.get_scheduler_status()
    if as_json:
        print_json(found)
    else:
        console().print(_status_table(found.jobs))
        _tell_failures(found)
    if not found.scheduler_running:
        raise CommandError("no scheduler runs: nothing is begun by itself", hint="`agent-memory status` shows what runs")


@app.command()
def pause(job: Job, url: Url = None, as_json: AsJson = False) -> None:
    """Pass over what comes due, until the job is resumed. Kept over restarts."""
    with server_at(url) as client:
        _change(client.pause_job, job)
    _tell_change(job, "paused", as_json)


@app.command()
def resume(job: Job, url: Url = None, as_json: AsJson = False) -> None:
    """Run a paused job again when its time comes."""
    with server_at(url) as client:
        _change(client.resume_job, job)
    _tell_change(job, "resumed", as_json)


@app.command("run-now")
def run_now(
    job: Job,
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait so long for its end.")] = 0.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a job run at once, paused or not. With --wait: how it went; exit code 1 when it failed, or goes on longer.

    A job that is running already is refused; with --wait it runs again after that.
    """
    with server_at(url) as client:
        if not wait:
            _change(client.run_job, job)
            _tell_change(job, "started", as_json)
            return
        ended = _awaited(client, job, deadline=time.monotonic() + wait, seconds=wait)
    if as_json:
        print_json(_as_told(ended))
    else:
        print(f"Job '{job}': {ended.run.result} in {_seconds(ended.run)}" + (f", {told}" if (told := _words(ended.run)) else ""))
    if ended.run.result != "success":
        raise SystemExit(1)


@app.command()
def history(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only its runs.", autocompletion=job_names)] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, max=50, help="At most so many of each job.")] = 10,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the last runs, the newest first: of one job, or of all."""
    with server_at(url) as client:
        names = [job] if job else [one.job_name for one in client.get_scheduler_status().jobs]
        found = [Ran(job_name=name, run=run) for name in names for run in client.job_runs(name, limit)]
    found.sort(key=lambda one: one.run.started_ms, reverse=True)
    if as_json:
        print_json([_as_told(one) for one in found])
    elif found:
        console().print(_history_table(found))
    else:
        print("nothing has run yet")


def _change(change: Callable[[str], str | None], job: str) -> None:
    if refusal := change(job):
        raise CommandError(refusal, hint="`agent-memory scheduler status` lists the jobs")


def _tell_change(job: str, done: str, as_json: bool) -> None:
    if as_json:
        print_json({"job_name": job, "status": done})
    else:
        print(f"Job '{job}' {done}")


def _asked(client: "SyncMemoryClient", job: str, deadline: float) -> set[int]:
    """Asks for a run as soon as none goes on; when those before it began. Raises CommandError."""
    from agent_memory.client import Conflict  # noqa: PLC0415 (--help need not wait for it)

    while True:
        before = {run.started_ms for run in client.job_runs(job, 5)}
        try:
            _change(client.run_job, job)
        except Conflict:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_EVERY_SECONDS)
        else:
            return before


def _awaited(client: "SyncMemoryClient", job: str, *, deadline: float, seconds: float) -> Ran:
    """The first run that ended of those that were asked for from now on. Raises CommandError."""
    known = _asked(client, job, deadline)
    while True:
        newer = [run for run in client.job_runs(job, 5) if run.manual and run.started_ms not in known]
        if newer:
            return Ran(job_name=job, run=newer[-1])
        if time.monotonic() >= deadline:
            raise CommandError(f"job '{job}' has not ended in {seconds:g} s", hint=f"`agent-memory scheduler history {job}` later")
        time.sleep(LOOK_EVERY_SECONDS)


def _status_table(jobs: "list[JobStatus]") -> "Table":
    from rich.table import Table  # noqa: PLC0415 (0.1 s that --help need not pay)

    from agent_memory.cli.daemon.pages import in_words, moment  # noqa: PLC0415 (as above)

    table = Table(box=None, pad_edge=False)
    for heading in ("job", "state", "due", "next (UTC)", "last run (UTC)", "result"):
        table.add_column(heading, no_wrap=True)
    for heading in ("runs", "errors"):
        table.add_column(heading, justify="right", no_wrap=True)
    for job in jobs:
        zone = "" if job.time_zone == "UTC" else f" {job.time_zone}"
        result = "" if job.last_result == "unspecified" else str(job.last_result)
        table.add_row(
            job.job_name,
            _state(job),
            (in_words(job.cron_expr) or job.cron_expr) + zone,
            moment(job.next_run_ms) if job.next_run_ms else "never",
            moment(job.last_run_ms) if job.last_run_ms else "–",
            _coloured(result),
            str(job.run_count),
            str(job.error_count),
        )
    return table


def _state(job: "JobStatus") -> str:
    if job.is_paused:
        return "[yellow]paused[/yellow]" + (", [cyan]running[/cyan]" if job.is_running else "")
    return "[cyan]running[/cyan]" if job.is_running else "active"


def _tell_failures(found: "SchedulerStatus") -> None:
    for job in found.jobs:
        if job.last_error and job.last_result == "failed":
            print(f"{job.job_name} failed: {' '.join(job.last_error.split())}")
    if any(job.is_paused for job in found.jobs):
        print(callable_here("`agent-memory scheduler resume JOB` has a paused job run again"))


def _history_table(found: list[Ran]) -> "Table":
    from rich.markup import escape  # noqa: PLC0415 (as above)
    from rich.table import Table  # noqa: PLC0415

    from agent_memory.cli.daemon.pages import moment  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for heading in ("started (UTC)", "job", "result"):
        table.add_column(heading, no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("by", no_wrap=True)
    table.add_column("what it tells")
    for one in found:
        run = one.run
        by = "hand" if run.manual else "clock"
        table.add_row(moment(run.started_ms), one.job_name, _coloured(run.result), _seconds(run), by, escape(_words(run)))
    return table


def _coloured(result: str) -> str:
    colour = COLOURS.get(result)
    return f"[{colour}]{result}[/{colour}]" if colour else result or "–"


def _seconds(run: JobRun) -> str:
    return f"{max(0, run.finished_ms - run.started_ms) / 1_000:.2f} s"


def _words(run: JobRun) -> str:
    """Why it failed or was passed over, else what its body told."""
    told = run.error or ", ".join(f"{name} {value}" for name, value in run.metadata.items())
    flat = " ".join(told.split())
    return flat if len(flat) <= LONGEST else flat[: LONGEST - 1] + "…"


def _as_told(one: Ran) -> dict[str, object]:
    return {"job_name": one.job_name, **msgspec.structs.asdict(one.run)}
