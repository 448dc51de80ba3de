"""`agent-memory backup` and `restore`: the whole log in one file, and back."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import typer
from redis import Redis
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from agent_memory.cli.backups.archive import Backup, Manifest, written
from agent_memory.cli.backups.copying import NoSchema, copied, restored
from agent_memory.cli.backups.keeping import named, swept, tidy
from agent_memory.cli.backups.views import alive, forget
from agent_memory.cli.loading.summary import counted, meter
from agent_memory.cli.output import AsJson, CommandError, print_json
from agent_memory.cli.places import place
from agent_memory.cli.reach import Servers, servers
from agent_memory.cli.stopping import stoppable
from agent_memory.contracts.errors import Conflict, Refused
from agent_memory.embedded.home import Home, home_path, is_held
from agent_memory.embedded.prepare import made
from agent_memory.embedded.servers import running_servers
from agent_memory.migrations import revisions

File = Annotated[Path, typer.Argument(parser=place, metavar="FILE", help="The backup.")]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was written or put back. `bytes`: of the file; `rows`: of each table; `removed`: older backups that went."""

    file: str
    bytes: int
    product: str
    revision: str
    taken_at: str
    position: int
    rows: dict[str, int]
    seconds: float
    removed: list[str] = []


def backup(
    file: Annotated[
        Path, typer.Argument(parser=place, metavar="FILE", help="The backup, or a folder: in it the file is named by its time.")
    ],
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Of a folder: so many of the newest stay, older ones are removed. 0: all stay.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the whole log of DATABASE_URL, or of the stack on this machine, into one file: every tenant, vectors, answers, tokens.

    It is of one moment, and writers go on meanwhile. Only its owner may read the file: it holds what everybody said, and the hashes
    of tokens. Redis is not in it: what it shows is made anew from the log.
    """
    folder = file if file.is_dir() else None
    if keep and folder is None:
        raise CommandError(f"{file} is no folder, so there is nothing to keep in it", hint="make the folder, or leave --keep out")
    file = file / named(datetime.now(UTC)) if folder else file
    if file.exists() and not force:
        raise CommandError(f"{file} is there already", hint="name another file, or give --force")
    began = time.monotonic()
    try:
        if folder and keep:
            tidy(folder)
        with stoppable(), _database() as database_url, meter(Console(stderr=True)) as bar, written(file) as out:
            manifest = copied(database_url, out, version("agent-memory"), lambda total: bar.begin("Backing up", total), bar.show)
        # Only now: a backup that fails takes none of the others with it.
        removed = swept(folder, keep) if folder and keep else []
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from None
    except NoSchema as error:
        raise CommandError(error.detail, hint="`agent-memory migrate` makes it") from None
    except Refused as error:
        raise CommandError(error.detail) from None
    _tell(msgspec.structs.replace(_done(file, manifest, began), removed=removed), "backed up", as_json)


def restore(
    file: File,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace what the database holds, even while services live.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the log of DATABASE_URL, or of the stack on this machine, all of it or nothing.

    Stop the services first, but not Postgres and Redis; for a stack on this machine, `agent-memory down` is enough. The file is
    read and checked before anything is touched. A backup of an older schema is brought to this version's. What Redis shows of the
    log that was is dropped, and made anew when services start: `agent-memory doctor --wait 600` says when all is back.
    """
    began = time.monotonic()
    try:
        with Backup.opened(file) as found:
            _check(found)
            with stoppable(), _reached(making=True) as where:
                _put(found, where, force=force)
            done = _done(file, found.manifest, began)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from None
    except Refused as error:
        raise CommandError(f"{error.detail}; nothing was restored") from None
    except Conflict as error:
        raise CommandError(f"{error.detail}; nothing was restored", hint="name an empty database, or give --force") from None
    _tell(done, "restored", as_json)


def _check(found: Backup) -> None:
    """Reads all of it. Raises Refused."""
    manifest = found.manifest
    if manifest.revision not in revisions():
        raise Refused(f"the backup is of schema {manifest.revision} (version {manifest.product}), newer than this version knows")
    with meter(Console(stderr=True)) as bar:
        bar.begin("Checking", len(manifest.tables))
        for number, table in enumerate(manifest.tables):
            bar.show(number, table.name)
            found.verify(table)


def _put(found: Backup, where: Servers, *, force: bool) -> None:
    views = [Redis.from_url(url, protocol=2, socket_connect_timeout=3) for url in {where.redis_url, where.views_url} - {""}]
    living = sorted({service for redis in views for service in alive(redis)})
    if living and not force:
        raise CommandError(
            f"services live: {', '.join(living)}; nothing was restored",
            hint="stop them first (one that was killed counts as alive for 15 s), or give --force",
        )

    def forgotten() -> None:
        for redis in views:
            forget(redis)

    try:
        made(where.database_url).close()
        with meter(Console(stderr=True)) as bar:
            bar.begin("Restoring", sum(table.bytes for table in found.manifest.tables))
            restored(where.database_url, found, replace=force, show=bar.show, forget=forgotten)
        forgotten()  # again, for what a service that lives has written meanwhile
    except DBAPIError as error:
        raise (error.orig if isinstance(error.orig, psycopg.Error) else error) from error
    finally:
        for redis in views:
            redis.close()


@contextmanager
def _database() -> Iterator[str]:
    """Where the log is: a backup needs no Redis."""
    if named_url := os.environ.get("DATABASE_URL"):
        yield named_url
        return
    with _reached(making=False) as where:
        yield where.database_url


@contextmanager
def _reached(*, making: bool) -> Iterator[Servers]:
    """The servers that are named or run; else those of the stack on this machine, for as long as the block lasts.

    `making`: also where there was no stack yet.
    """
    home = Home(path=home_path(os.environ))
    named = os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL")
    there = making or (home.path / "secrets.json").exists()
    if named or not there or is_held(home):
        yield servers(os.environ)
        return
    with running_servers(home.path, os.environ) as urls:
        views_url = os.environ.get("WORKING_MEMORY_REDIS_URL", "")
        yield Servers(database_url=urls.database_url, redis_url=urls.redis_url, views_url=views_url)


def _done(file: Path, manifest: Manifest, began: float) -> Done:
    return Done(
        file=str(file),
        bytes=file.stat().st_size,
        product=manifest.product,
        revision=manifest.revision,
        taken_at=manifest.taken_at,
        position=manifest.position,
        rows={table.name: table.rows for table in manifest.tables},
        seconds=round(time.monotonic() - began, 3),
    )


def _tell(done: Done, verb: str, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    rows = counted(sum(done.rows.values()), "row")
    events = counted(done.rows.get("events", 0), "event")
    print(f"{done.file}: {verb} {events}, {rows} in all, {done.bytes:,} bytes in {done.seconds:.1f} s")
    print(f"schema {done.revision}, version {done.product}, taken at {done.taken_at}")
    for name in done.removed:
        print(f"removed: {name}")
