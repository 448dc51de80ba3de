"""Migrated, empty databases, one after the other for as many tests.

Making one and dropping it costs as much as a test. So one that a test leaves in the shape in which it was made, with little in it,
is emptied and lent again under another name: who still knows the old one (a task that was left behind) finds nothing there.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from agent_memory.migrations import upgrade

Connection = psycopg.Connection[tuple[object, ...]]
TEMPLATE = "migrated"
MOST_ROWS = 300
"""Of a database that is lent again: what more has left behind makes it slower to read than a new one."""
SHAPE = """
    SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
        SELECT concat_ws(' ', relnamespace, relname, relkind, relhastriggers, relhasrules, relrowsecurity, reloptions, attnum,
            attname, atttypid, attnotnull, attisdropped, attstattarget, attacl) FROM pg_class
            LEFT JOIN pg_attribute ON attrelid = pg_class.oid WHERE pg_class.oid >= 16384
        UNION ALL SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready) FROM pg_index WHERE indexrelid >= 16384
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', tgname, tgenabled) FROM pg_trigger WHERE oid >= 16384
        UNION ALL SELECT proname FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT nspname FROM pg_namespace WHERE oid >= 16384
        UNION ALL SELECT evtname FROM pg_event_trigger
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
            WHERE datname = current_database()
    ) AS lines(line)
"""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
NEVER_EMPTY = ("alembic_version", "log_head")
_spare: dict[str, list[str]] = {}
_shapes: dict[str, object] = {}


def make_template(admin_url: str) -> None:
    """What all are copies of. `admin_url` leads to another database of the same server."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    upgrade(named(admin_url, TEMPLATE))
    with psycopg.connect(named(admin_url, TEMPLATE)) as template:
        _shapes[admin_url], _spare[admin_url] = _shape(template), []


@contextmanager
def lent(admin_url: str) -> Iterator[str]:
    """URL of a migrated, empty database, gone afterwards, whoever is still connected."""
    spare = _spare[admin_url]
    with psycopg.connect(admin_url, autocommit=True) as admin:
        name = spare.pop() if spare else _made(admin)
        try:
            yield named(admin_url, name)
        finally:
            other = _fresh_name()
            if _renamed(admin, name, other) and _emptied(named(admin_url, other), _shapes[admin_url]):
                spare.append(other)
            else:
                for one in (name, other):
                    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(one)))


def _fresh_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def _made(admin: Connection) -> str:
    name = _fresh_name()
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    return name


def _renamed(admin: Connection, name: str, other: str) -> bool:
    """Whether nobody is connected any more, and nobody finds it again."""
    try:
        admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])
        admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(other)))
    except psycopg.Error:
        return False
    return True


def named(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _emptied(url: str, shape: object) -> bool:
    """Whether the database is again as it was made. It stays as it is where it was filled or changed too much."""
    try:
        with psycopg.connect(url) as used:
            if _shape(used) != shape:
                return False
            tables = [sql.Identifier(str(name)) for (name,) in used.execute(TABLES) if name not in NEVER_EMPTY]
            some = sql.SQL(" UNION ALL ").join(sql.SQL("(SELECT 1 FROM {} LIMIT {})").format(one, MOST_ROWS) for one in tables)
            if used.execute(some).rowcount >= MOST_ROWS:
                return False
            used.execute(sql.SQL(";").join(sql.SQL("DELETE FROM {}").format(one) for one in tables))
            used.execute("UPDATE log_head SET position = 0")
            return True
    except psycopg.Error:
        return False


def _shape(connection: Connection) -> object:
    steps = connection.execute("SELECT array_agg(version_num) FROM alembic_version").fetchone()
    return steps, connection.execute(SHAPE).fetchone()
