"""The databases that tests are lent: whatever the last one did, the next finds one that is empty and as it was made."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support.servers import Servers, fresh_database

LEFT = """
    INSERT INTO claims VALUES ('default', 'hash', 'm');
    INSERT INTO completions VALUES ('h', '{}', 1);
    UPDATE log_head SET position = 7;
"""
CHANGED = (
    "ALTER TABLE claims ADD COLUMN more text",
    "DROP INDEX events_once",
    "DROP TABLE tokens",
    "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DELETE FROM alembic_version",
    "INSERT INTO claims SELECT 'default', n::text, n::text FROM generate_series(1, 300) n",
)


def oid(connection: "psycopg.Connection[tuple[object, ...]]") -> object:
    """What stays the same of a database that goes by another name."""
    return connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()


def test_one_with_little_in_it_is_emptied_and_nobody_finds_it_again(servers: Servers) -> None:
    with fresh_database(servers) as url, psycopg.connect(url) as connection:
        connection.execute(LEFT)
        connection.commit()
        was, left_behind = oid(connection), psycopg.connect(url)
    with fresh_database(servers) as other, psycopg.connect(other) as connection, left_behind:
        assert oid(connection) == was
        assert connection.execute("SELECT position FROM log_head").fetchall() == [(0,)]
        assert connection.execute("SELECT 1 FROM claims UNION ALL SELECT 1 FROM completions").fetchall() == []
        with pytest.raises(psycopg.OperationalError):
            left_behind.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match=f'"{conninfo_to_dict(url)["dbname"]}" does not exist'):
            psycopg.connect(url)


@pytest.mark.parametrize("change", CHANGED)
def test_one_that_was_changed_or_filled_is_not_lent_again(servers: Servers, change: str) -> None:
    with fresh_database(servers) as url, psycopg.connect(url) as connection:
        connection.execute(change)
        was = oid(connection)
    with fresh_database(servers) as url, psycopg.connect(url) as connection:
        assert oid(connection) != was
