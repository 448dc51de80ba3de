"""The servers from wheels, as tests and a one-machine stack use them."""

import psycopg
from redis import Redis


def test_each_test_gets_a_migrated_and_empty_database(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        events = connection.execute("SELECT count(*) FROM events").fetchone()

    assert ("alembic_version",) in tables
    assert events == (0,)


def test_the_log_is_durable_by_default(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        settings = connection.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()

    assert settings == ("on", "on")


def test_redis_is_empty_and_can_search(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as connection:
        assert connection.dbsize() == 0
        connection.execute_command("FT.CREATE", "notes", "PREFIX", "1", "note:", "SCHEMA", "text", "TEXT")
        connection.hset("note:1", "text", "a quick fox")
        assert connection.execute_command("FT.SEARCH", "notes", "fox", "NOCONTENT", "DIALECT", "2")[0] == 1
