"""The schema before the services: made when it is missing, left alone when it is the newest."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from agent_memory.embedded.prepare import is_newest, last_step, made, prepare
from agent_memory.migrations import upgrade
from support.made_up_steps import newer_version
from support.servers import Servers


@pytest.fixture
def absent_url(servers: Servers) -> str:
    """A database that nobody has made."""
    return urlunsplit(urlsplit(servers.database_url)._replace(path="/absent_until_prepared"))


def test_a_database_that_is_absent_is_made_with_the_newest_schema(absent_url: str, servers: Servers) -> None:
    try:
        prepare(absent_url)
        with psycopg.connect(absent_url) as connection:
            assert is_newest(connection)
            assert connection.execute("SELECT position FROM log_head").fetchone() == (0,)
    finally:
        with psycopg.connect(servers.database_url, autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS absent_until_prepared")


def test_those_who_miss_one_database_at_a_time_make_it_once(absent_url: str, servers: Servers) -> None:
    def make(_: int) -> tuple[object, ...] | None:
        with made(absent_url) as connection:
            return connection.execute("SELECT current_database()").fetchone()

    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(make, range(8))) == [("absent_until_prepared",)] * 8
    finally:
        with psycopg.connect(servers.database_url, autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS absent_until_prepared")


def test_a_database_of_the_newest_schema_needs_no_migration_tool(database_url: str) -> None:
    program = (
        f"import sys; from agent_memory.embedded.prepare import prepare; prepare({database_url!r}); print('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_database_without_a_schema_or_of_another_step_is_not_the_newest(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert is_newest(connection)
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        assert not is_newest(connection)
        connection.execute("DROP TABLE alembic_version")
        assert not is_newest(connection)
    assert last_step() >= "0001"


def test_a_step_that_gets_no_lock_gives_up_so_that_writers_do_not_queue_behind_it(database_url: str, tmp_path: Path) -> None:
    more = "op.execute('ALTER TABLE events ADD COLUMN more text')"
    with newer_version(tmp_path, more) as newest, psycopg.connect(database_url) as busy:
        busy.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        with pytest.raises(OperationalError, match="lock timeout"):
            upgrade(database_url, lock_timeout_ms=50)
        busy.rollback()
        assert upgrade(database_url, lock_timeout_ms=50) == newest
