"""The log's tables out of Postgres and back, each way in one transaction."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from agent_memory.cli.backups.archive import Backup, Manifest, TableCopy, Writer
from agent_memory.contracts.errors import Conflict, Refused
from agent_memory.migrations import TABLES, migrating, revisions, step_to

Connection = psycopg.Connection[tuple[Any, ...]]
Shown = Callable[[int, str], None]
"""Hears how many bytes are done, and of which table."""


class NoSchema(Refused):
    """There is nothing of ours in the database."""


_COLUMNS = """
    SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = ANY(%s) AND is_generated = 'NEVER' GROUP BY table_name
"""


def copied(database_url: str, out: Writer, product: str, begin: Callable[[int], None], show: Shown) -> Manifest:
    """Writes every table as it is at one moment, while others go on writing. Raises psycopg.Error, Refused, OSError."""
    with psycopg.connect(database_url, connect_timeout=10, application_name="agent-memory backup") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            revision = revision_of(connection)
            if not revision:
                raise NoSchema("the database has no schema")
            if revision not in revisions():
                raise _unknown(revision)
            columns = _columns(connection)
            sizes = [_one(connection, "SELECT pg_table_size(%s::regclass)", name) for name in columns]
            begin(sum(sizes))
            done = 0
            for name, size in zip(columns, sizes, strict=True):
                show(done, name)
                out.table(name, columns[name], _out_of(connection, name, columns[name], done, show))
                done += size
            manifest = Manifest(
                product=product,
                revision=revision,
                taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
                position=_one(connection, "SELECT position FROM log_head"),
                tables=out.tables,
            )
    out.seal(manifest)
    return manifest


def restored(database_url: str, backup: Backup, *, replace: bool, show: Shown, forget: Callable[[], None]) -> None:
    """Puts every table back, then applies the steps of the schema that the backup has not seen; all of it or nothing.

    `forget` is called when all is in place and before it holds. Raises Conflict when something is there already and `replace` is
    false, Refused, psycopg.Error or SQLAlchemy's, which then carries it.
    """
    with migrating(database_url) as transaction:
        connection = transaction.connection.driver_connection
        if not isinstance(connection, psycopg.Connection):
            raise Refused("the database is not reached by psycopg")
        connection.execute("SET LOCAL lock_timeout = '10s'")
        if revision := revision_of(connection):
            if revision not in revisions():
                raise _unknown(revision)
            if not replace and _holds_anything(connection):
                raise Conflict("the database holds something already")
            step_to(transaction, "base")
        step_to(transaction, backup.manifest.revision)
        columns, done = _columns(connection), 0
        for table in backup.manifest.tables:
            if table.name not in columns or not set(table.columns) <= set(columns[table.name]):
                raise Refused(f"schema {backup.manifest.revision} has no such table, or not its columns: {table.name}")
            show(done, table.name)
            _into(connection, table, backup, done, show)
            done += table.bytes
        step_to(transaction, "head")
        forget()


def _unknown(revision: str) -> Refused:
    return Refused(f"the database is at schema {revision}, which this version does not know: use the version that made it")


def revision_of(connection: Connection) -> str:
    """The step at which a database is; empty for none."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return ""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _holds_anything(connection: Connection) -> bool:
    columns = _columns(connection)
    others = (sql.SQL("EXISTS (SELECT FROM {})").format(sql.Identifier(name)) for name in columns if name != "log_head")
    query = sql.SQL("SELECT {} OR (SELECT position FROM log_head) > 0").format(sql.SQL(" OR ").join(others))
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _columns(connection: Connection) -> dict[str, list[str]]:
    """Our tables that are there, in the order of `TABLES`, with their columns."""
    found: dict[str, list[str]] = dict(connection.execute(_COLUMNS, (list(TABLES),)).fetchall())
    return {name: found[name] for name in TABLES if name in found}


def _out_of(connection: Connection, table: str, columns: list[str], before: int, show: Shown) -> Iterator[bytes]:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for piece in copy:
            before += len(piece)
            show(before, table)
            yield bytes(piece)


def _into(connection: Connection, table: TableCopy, backup: Backup, before: int, show: Shown) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))  # the step itself may have put a row there
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), names)
    with connection.cursor() as cursor:
        with cursor.copy(query) as copy:
            for piece in backup.pieces(table):
                copy.write(piece)
                before += len(piece)
                show(before, table.name)
        if cursor.rowcount != table.rows:
            raise Refused(f"table {table.name} took {cursor.rowcount} rows of {table.rows}")


def _one(connection: Connection, query: str, *values: object) -> int:
    row = connection.execute(query, values or None).fetchone()
    return int(row[0]) if row else 0
