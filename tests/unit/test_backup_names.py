"""Which backups of a folder stay."""

from datetime import UTC, datetime

from agent_memory.cli.backups.keeping import named, surplus

DAYS = [named(datetime(2026, 11, day, 2, 17, tzinfo=UTC)) for day in range(1, 10)]


def test_a_later_backup_sorts_behind() -> None:
    assert sorted(DAYS) == DAYS
    assert DAYS[0] == "agent-memory-20261101T021700Z.zip"


def test_the_newest_stay() -> None:
    assert surplus(reversed(DAYS), 7) == DAYS[:2]
    assert surplus(DAYS[:7], 7) == []


def test_what_is_named_otherwise_neither_counts_nor_goes() -> None:
    assert surplus([*DAYS[:2], "agent-memory-before-upgrade.zip", f"{DAYS[0]}.part", "zzz"], 1) == DAYS[:1]
