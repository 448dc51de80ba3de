"""A backup of the log: one moment of it, whole or refused, and back."""

import os
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from redis import Redis

from agent_memory.cli.backups.archive import Backup, Manifest, Writer, written
from agent_memory.cli.backups.copying import copied
from agent_memory.contracts.streams import heartbeat_key
from agent_memory.migrations import TABLES, migrating, step_to
from support.bundles import filled
from support.controls import wait_until_now
from support.servers import Servers, fresh_database
from support.small_system import SmallSystem
from support.typed import Typed

Tables = dict[str, list[tuple[object, ...]]]


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)


def everything(database_url: str) -> Tables:
    with psycopg.connect(database_url) as connection:
        query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1")
        names = [*TABLES, "alembic_version"]
        return {name: connection.execute(query.format(sql.Identifier(name))).fetchall() for name in names}


def put(database_url: str, *tokens: str) -> None:
    with psycopg.connect(database_url) as connection:
        for token in tokens:
            connection.execute(
                "INSERT INTO tokens (id, hash, description, scopes, tenant, created_ms) VALUES (%s, 'h', %s, '[]', 't', 1)",
                (token, "a\tb\\\n"),
            )


def test_every_table_of_the_schema_is_in_a_backup_and_none_has_a_sequence(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall()
    assert {name for name, kind in found if kind in ("r", "p", b"r", b"p")} == {*TABLES, "alembic_version"}
    assert not [name for name, kind in found if kind in ("S", b"S")]


async def test_what_is_restored_is_what_was_backed_up(
    servers: Servers, database_url: str, redis_url: str, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = SmallSystem(database_url, redis_url)
    await filled(system)
    await system.close()
    put(database_url, "one")
    file = tmp_path / "log.backup"
    made = typed("backup", str(file), "--json")
    assert made.code == 0, made.err
    before = everything(database_url)
    assert made.json["rows"]["events"] == len(before["events"]) > 20
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert typed("backup", str(file)).code == 1
    with fresh_database(servers) as other, Redis.from_url(redis_url) as redis:
        redis.set("somebody:else", "1")
        monkeypatch.setenv("DATABASE_URL", other)
        told = typed("restore", str(file))
        assert told.code == 0, told.err
        assert everything(other) == before
        assert redis.keys("*") == [b"somebody:else"]
        assert redis.execute_command("FT._LIST") == []

        put(other, "two")
        again = typed("restore", str(file))
        assert (again.code, "holds something already" in again.err) == (1, True)
        assert len(everything(other)["tokens"]) == 2
        assert typed("restore", str(file), "--force").code == 0
        assert everything(other) == before


def test_a_backup_of_an_older_schema_is_brought_to_the_newest(database_url: str, typed: Typed, tmp_path: Path) -> None:
    newest = everything(database_url)["alembic_version"]
    with migrating(database_url) as connection:
        step_to(connection, "base")
        step_to(connection, "0001")
    put(database_url, "old")
    file = tmp_path / "old.backup"
    made = typed("backup", str(file), "--json")
    assert (made.code, made.json["revision"]) == (0, "0001"), made.err
    assert typed("restore", str(file), "--force").code == 0
    after = everything(database_url)
    assert (after["alembic_version"], len(after["tokens"])) == (newest, 1)


def test_a_schema_that_is_not_known_is_refused_both_ways(database_url: str, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "log.backup"
    assert typed("backup", str(file)).code == 0
    changed(file, file, "manifest.json", b'"revision": "0', b'"revision": "9')
    refused = typed("restore", str(file))
    assert (refused.code, "newer than this version knows" in refused.err) == (1, True)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused = typed("backup", str(tmp_path / "other"))
    assert (refused.code, "9999" in refused.err, "migrate" in refused.err) == (1, True, False)
    with psycopg.connect(database_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    refused = typed("backup", str(tmp_path / "other"))
    assert (refused.code, "`agent-memory migrate` makes it" in refused.err) == (1, True)
    assert list(tmp_path.iterdir()) == [file]


def test_a_database_of_a_schema_that_is_not_known_is_left_as_it_is(database_url: str, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "log.backup"
    assert typed("backup", str(file)).code == 0
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = everything(database_url)
    refused = typed("restore", str(file), "--force")
    assert (refused.code, "schema 9999" in refused.err) == (1, True)
    assert ("use the version that made it" in refused.err, "--force" in refused.err) == (True, False)
    assert everything(database_url) == before


def test_a_file_that_is_altered_or_cut_off_is_refused_and_nothing_is_touched(
    database_url: str, redis_url: str, typed: Typed, tmp_path: Path
) -> None:
    put(database_url, "one")
    file, bad = tmp_path / "log.backup", tmp_path / "bad.backup"
    assert typed("backup", str(file)).code == 0
    whole, before = file.read_bytes(), everything(database_url)
    with Redis.from_url(redis_url) as redis:
        redis.set("am:something", "1")
        for size in (0, 10, len(whole) // 2, len(whole) - 1):
            bad.write_bytes(whole[:size])
            assert_refused(typed, bad)
        for at in range(40, len(whole) - 100, max(len(whole) // 12, 1)):
            bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            typed("restore", str(bad))  # without --force the database is never touched, whatever the byte meant
        changed(file, bad, "tables/tokens.copy", b"one", b"two")
        assert_refused(typed, bad)
        assert redis.get("am:something") == b"1"
    assert everything(database_url) == before
    missing = typed("restore", str(tmp_path / "nowhere"))
    assert (missing.code, "cannot be read" in missing.err) == (1, True)


def assert_refused(typed: Typed, file: Path) -> None:
    refused = typed("restore", str(file), "--force")
    assert (refused.code, "nothing was restored" in refused.err) == (1, True), refused.err


def changed(file: Path, to: Path, name: str, old: bytes, new: bytes) -> None:
    """The same zip with another content of one member: its own checksums hold."""
    with zipfile.ZipFile(file) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    assert old in members[name]
    with zipfile.ZipFile(to, "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content.replace(old, new) if one == name else content)


def test_in_a_folder_so_many_of_the_newest_backups_stay(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL")
    old = [f"agent-memory-2026010{day}T000000Z.zip" for day in (1, 2, 3)]
    cut_off, going_on, others = "agent-memory-20260101T000000Z.zip.part", "agent-memory-20260104T000000Z.zip.part", "other.zip"
    for name in (*old, cut_off, going_on, others):
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / cut_off, (0, 0))
    made = typed("backup", str(tmp_path), "--keep", "2", "--json")
    assert (made.code, made.json["removed"]) == (0, old[:2]), made.err
    assert {file.name for file in tmp_path.iterdir()} == {old[2], Path(made.json["file"]).name, going_on, others}
    with Backup.opened(Path(made.json["file"])) as found:
        assert found.manifest.tables
    refused = typed("backup", str(tmp_path / "new"), "--keep", "2")
    assert (refused.code, "is no folder" in refused.err) == (1, True)


def test_a_backup_that_fails_takes_no_other_with_it(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agent-memory-20260101T000000Z.zip").write_bytes(b"")
    (tmp_path / "agent-memory-20260102T000000Z.zip.part").write_bytes(b"")
    os.utime(tmp_path / "agent-memory-20260102T000000Z.zip.part", (0, 0))  # cut off, and gone before the next one needs its room
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert typed("backup", str(tmp_path), "--keep", "1").code != 0
    assert [file.name for file in tmp_path.iterdir()] == ["agent-memory-20260101T000000Z.zip"]


def test_a_backup_that_is_told_to_stop_leaves_nothing_half_done(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as holding:
        holding.execute("LOCK TABLE events")
        command = subprocess.Popen(
            [sys.executable, "-m", "agent_memory.cli.main", "backup", str(tmp_path)], stderr=subprocess.DEVNULL
        )
        wait_until_now(lambda: bool(list(tmp_path.iterdir())), "the backup has begun")
        command.terminate()
        assert command.wait(60) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_services_that_live_hinder_a_restore(database_url: str, redis_url: str, typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "log.backup"
    assert typed("backup", str(file)).code == 0
    with Redis.from_url(redis_url) as redis:
        seconds, _ = redis.time()
        redis.hset(heartbeat_key("indexer"), "one", seconds * 1000 - 60_000)
        assert typed("restore", str(file)).code == 0
        redis.hset(heartbeat_key("indexer"), "one", seconds * 1000)
        refused = typed("restore", str(file))
        assert (refused.code, "services live: indexer" in refused.err) == (1, True)
        assert typed("restore", str(file), "--force").code == 0


def test_a_backup_is_of_one_moment_while_others_write(database_url: str, tmp_path: Path) -> None:
    file, stop, begun = tmp_path / "log.backup", threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with psycopg.connect(database_url) as connection:
                connection.execute("UPDATE log_head SET position = position + 1")
                connection.execute(
                    "INSERT INTO commands SELECT %s, 't', NULL, '', position, '{}', 1 FROM log_head", (f"c{number}",)
                )
                connection.execute(
                    "INSERT INTO tokens (id, hash, description, scopes, tenant, created_ms) VALUES (%s, '', '', '[]', 't', 1)",
                    (f"k{number}",),
                )
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(30)
        for _ in range(5):
            with written(file) as out:
                manifest = taken(database_url, out)
    finally:
        stop.set()
        writer.join()
    with Backup.opened(file) as backup:
        rows = {table.name: table.rows for table in backup.manifest.tables}
        for table in backup.manifest.tables:
            backup.verify(table)
    assert rows["commands"] == rows["tokens"] == manifest.position > 0


def taken(database_url: str, out: Writer) -> Manifest:
    return copied(database_url, out, "1.0", lambda _: None, lambda _done, _table: None)
