"""The schema changes while others work: nobody waits for an index, and a step that was interrupted is done again."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from agent_memory.embedded.prepare import CannotPrepare, is_newest, last_step, prepare
from agent_memory.migrations import migrating, step_to, upgrade
from support.controls import wait_until_now
from support.made_up_steps import newer_version

EVENT = """
    INSERT INTO events (position, stream, version, type, tenant, namespace, user_id, data, metadata, recorded_ms)
    VALUES (%s, 's', %s, 't', '', '', '', '{}', '{}', 1)
"""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('more')"
BUILDERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
MORE = "add_index('more', 'events (type)')"


def rows(connection: psycopg.Connection[tuple[object, ...]], query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


@contextmanager
def indexing(database_url: str) -> Iterator[tuple["psycopg.Connection[tuple[object, ...]]", "Future[str]"]]:
    """Somebody is in the middle of a transaction that writes, and the upgrade, which makes an index, waits for it."""
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(database_url) as writer,
        psycopg.connect(database_url, autocommit=True) as watcher,
    ):
        writer.execute(EVENT, (1, 1))
        upgrading = pool.submit(upgrade, database_url, lock_timeout_ms=50)
        try:
            wait_until_now(lambda: rows(watcher, BUILDERS), "the index is being made")
            yield writer, upgrading
        finally:
            writer.rollback()


def test_writers_go_on_while_an_index_is_made_and_it_waits_for_them_without_giving_up(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE), indexing(database_url) as (writer, upgrading):
        with psycopg.connect(database_url, options="-c lock_timeout=30s") as other:
            other.execute(EVENT, (2, 2))
        with pytest.raises(TimeoutError):
            upgrading.result(timeout=0.1)
        writer.commit()
        assert upgrading.result(timeout=60) == "9001"
        assert rows(writer, VALID) == [(True,)]
        assert rows(writer, "SELECT count(*) FROM events") == [(2,)]


def test_an_index_whose_making_was_interrupted_is_made_anew_by_the_next_attempt(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE):
        with indexing(database_url) as (_, upgrading), psycopg.connect(database_url, autocommit=True) as killer:
            killer.execute(f"SELECT pg_terminate_backend(pid) FROM ({BUILDERS}) AS builders")
            with pytest.raises(DBAPIError):
                upgrading.result(timeout=60)
            assert rows(killer, VALID) == [(False,)]
            assert rows(killer, "SELECT version_num FROM alembic_version") == [(last_step(),)]
        assert upgrade(database_url) == "9001"
        with psycopg.connect(database_url) as connection:
            assert rows(connection, VALID) == [(True,)]


def test_an_index_that_was_made_before_its_step_was_noted_is_kept(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE), psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE INDEX more ON events (type)")
        assert upgrade(database_url) == "9001"
        assert rows(connection, VALID) == [(True,)]


def test_several_who_start_at_once_migrate_once_and_do_not_wait_for_each_other_for_ever(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE, "op.execute('CREATE TABLE once (a int)')"), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, [database_url] * 4)) == ["9002"] * 4


def test_a_step_after_an_index_waits_no_longer_for_a_lock_than_others(database_url: str, tmp_path: Path) -> None:
    more = "op.execute('ALTER TABLE sessions ADD COLUMN more text')"
    with newer_version(tmp_path, MORE, more), psycopg.connect(database_url) as busy:
        busy.execute("LOCK TABLE sessions IN ROW EXCLUSIVE MODE")
        with pytest.raises(DBAPIError, match="lock timeout"):
            upgrade(database_url, lock_timeout_ms=50)
        assert rows(busy, "SELECT version_num FROM alembic_version") == [("9001",)]
        busy.rollback()
        assert upgrade(database_url) == "9002"


def test_within_a_transaction_of_the_caller_all_of_it_holds_or_nothing(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE), psycopg.connect(database_url, autocommit=True) as connection:
        with migrating(database_url) as transaction:
            step_to(transaction, "head")
            transaction.rollback()
        assert rows(connection, VALID) == []
        with migrating(database_url) as transaction:
            step_to(transaction, "head")
        assert rows(connection, VALID) == [(True,)]


def test_a_program_that_was_rolled_back_starts_on_a_newer_schema_that_only_adds(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, "op.execute('ALTER TABLE sessions ADD COLUMN more text')", MORE):
        upgrade(database_url)
    assert prepare(database_url) == "9002"
    with psycopg.connect(database_url) as connection:
        assert not is_newest(connection)
        assert rows(connection, VALID) == [(True,)]


def test_a_program_that_a_newer_schema_has_left_behind_says_so_and_touches_nothing(database_url: str, tmp_path: Path) -> None:
    with newer_version(tmp_path, MORE, "op.execute('ALTER TABLE sessions DROP COLUMN expires_ms')", oldest="9001"):
        upgrade(database_url)
    with pytest.raises(
        CannotPrepare, match=rf"at schema 9002, which versions from schema 9001 on .* this version knows {last_step()}"
    ):
        prepare(database_url)
    with psycopg.connect(database_url) as connection:
        assert rows(connection, "SELECT version_num FROM alembic_version") == [("9002",)]


def test_a_schema_that_says_nothing_of_who_works_with_it_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9001'")
        connection.execute("COMMENT ON TABLE alembic_version IS NULL")
    with pytest.raises(CannotPrepare, match="at schema 9001, which another version can work with"):
        prepare(database_url)
