"""`memory-daemon admin`: look after the stores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from redis.exceptions import RedisError

from agent_memory.cli.daemon.context import NOT_RUNNING, context_of, enter, tell
from agent_memory.cli.daemon.pages import size
from agent_memory.cli.daemon.pidfile import find_running
from agent_memory.cli.daemon.stats import FAMILIES, Stats, compact, stats
from agent_memory.cli.output import AsJson, CommandError
from agent_memory.cli.places import place
from agent_memory.cli.reach import Servers, servers
from agent_memory.cli.rebuild_toc import day_of, rebuild_toc

app = typer.Typer(no_args_is_help=True, help="Administrative commands for database maintenance.")


@app.callback()
def admin(
    context: typer.Context,
    db_path: Annotated[
        Path | None, typer.Option("--db-path", parser=place, metavar="PATH", help="Database path (default from config)")
    ] = None,
) -> None:
    """Administrative commands for database maintenance."""
    here = context_of(context)
    settings = here.given(db_path=str(db_path) if db_path else None)
    home = settings.home(here.environment)
    enter(home if settings.db_path else find_running(here.environment, home)[0])


@app.command("stats")
def stats_(as_json: AsJson = False) -> None:
    """Show database statistics."""
    with _reached() as (where, path):
        told = stats(where, path)
    tell(stats_lines(told), told, as_json=as_json)


@app.command("compact")
def compact_(
    cf: Annotated[str | None, typer.Option("--cf", metavar="NAME", help="Compact only specific column family")] = None,
    as_json: AsJson = False,
) -> None:
    """Give back the space of what is not used any more: vacuum in Postgres, a fresh append-only file in Redis."""
    if cf is not None and cf not in FAMILIES:
        raise CommandError(f"there is no column family {cf!r}", hint=f"there are: {', '.join(FAMILIES)}", code=2)
    families = FAMILIES if cf is None else (cf,)
    done: list[str] = []
    with _reached() as (where, _):
        compact(where, families, done.append)
    lines = ["Compaction complete:", *(f"  {line}" for line in done)]
    tell(lines, {"status": "ok", "families": families, "done": done}, as_json=as_json)


@app.command("rebuild-toc")
def rebuild_toc_(
    from_date: Annotated[str, typer.Option("--from-date", metavar="YYYY-MM-DD", help="Start from this date")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done without changes")] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild TOC from raw events, with the summaries that are recorded; no model is asked."""
    # What is typed wrong is told, whether or not anything runs.
    day_of(from_date)
    _where()
    rebuild_toc(from_date=from_date, dry_run=dry_run, as_json=as_json)


def stats_lines(told: Stats) -> list[str]:
    """The block that people know, of our stores."""
    families = [f"    {name}: {one.entries:,} entries, {size(one.bytes)}" for name, one in told.families.items()]
    wal = "unknown" if told.wal_bytes is None else size(told.wal_bytes)
    return [
        "Database Statistics:",
        f"  Path: {told.path}",
        f"  Size: {size(told.bytes)}",
        "",
        "  Column Families:",
        *families,
        "",
        "  Postgres Info:",
        f"    Compaction: {told.dead_rows:,} pending",
        f"    WAL: {wal}",
        "",
        "  Redis Info:",
        f"    Memory: {size(told.redis_bytes)}",
    ]


@contextmanager
def _reached() -> Iterator[tuple[Servers, str]]:
    """The stores, and where they lie. Raises CommandError: code 3 when they are not there."""
    where = _where()
    try:
        yield where, os.environ["AGENT_MEMORY_HOME"]
    except (psycopg.Error, RedisError) as error:
        raise CommandError(f"the stores do not answer: {error}", hint="memory-daemon status", code=NOT_RUNNING) from None


def _where() -> Servers:
    try:
        return servers(os.environ)
    except CommandError as error:
        raise CommandError(
            f"memory daemon not running -- start with: memory-daemon start (database path: {os.environ['AGENT_MEMORY_HOME']})",
            hint="or set DATABASE_URL and REDIS_URL",
            code=error.code,
        ) from None
