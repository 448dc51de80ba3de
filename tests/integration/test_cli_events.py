"""`agent-memory events tail` over a real log."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from typer.testing import CliRunner

from agent_memory.cli.events import app
from agent_memory.cli.output import CommandError
from agent_memory.contracts.records import Scope
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore
from support.logged import MadeUpLog


def record(database_url: str, log: MadeUpLog, start: int = 0) -> None:
    rows = [
        NewEvent(stream=one.stream, version=one.version, type=one.type, scope=one.scope, data=bytes(one.data))
        for one in log.envelopes[start:]
    ]

    async def write() -> None:
        connections = Connections(database_url)
        await EventStore(connections).append(Batch(events=rows), 1_769_731_200_000)
        await connections.close()

    asyncio.run(write())


def tail(database_url: str, *options: str) -> list[str]:
    result = CliRunner().invoke(app, ["tail", *options], env={"DATABASE_URL": database_url, "REDIS_URL": "unused"})
    if result.exception is not None:
        raise result.exception
    return result.stdout.splitlines()


def test_an_event_of_a_newer_version_is_shown_as_one(database_url: str) -> None:
    log = MadeUpLog()
    log.said(1)
    [said] = log.envelopes
    log.envelopes[:] = [msgspec.structs.replace(said, type="ThoughtRecorded", data=msgspec.Raw(b'{"type":"ThoughtRecorded"}'))]
    record(database_url, log)
    [line] = tail(database_url)
    assert line.split()[3] == "ThoughtRecorded"
    assert line.endswith("(of a newer version than this command)")


def test_the_newest_events_are_shown_oldest_first(database_url: str) -> None:
    log = MadeUpLog()
    for number in range(1200):
        log.said(number, text=f"text {number}")
    record(database_url, log)
    first, last = tail(database_url, "-n", "2")
    assert first.split() == ["1199", "2026-01-30", "00:00:00", "EventRecorded", "default//", "s", "user_message", "text", "1198"]
    assert last.split()[0] == "1200"
    assert len(tail(database_url, "-n", "700")) == 700
    assert tail(database_url, "-n", "0") == []
    assert len(tail(database_url, "--since", "10")) == 1190


def test_only_events_of_the_wanted_scope_are_shown_however_far_back(database_url: str) -> None:
    log = MadeUpLog()
    log.said(0, scope=Scope(namespace="work", user_id="u"))
    for number in range(600):
        log.said(number)
    record(database_url, log)
    (line,) = tail(database_url, "--namespace", "work", "--json")
    assert msgspec.json.decode(line)["position"] == 1
    assert tail(database_url, "--namespace", "work", "--user-id", "v") == []
    assert tail(database_url, "--tenant", "other") == []


def test_control_characters_of_a_text_do_not_reach_the_terminal(database_url: str) -> None:
    log = MadeUpLog()
    log.said(0, text="before\x1b[31m\nafter \u202e é 🎉")
    record(database_url, log)
    (line,) = tail(database_url)
    assert "before [31m after   é 🎉" in line


def test_an_empty_log_shows_nothing(database_url: str) -> None:
    assert tail(database_url) == []


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": "", "REDIS_URL": "", "AGENT_MEMORY_HOME": str(tmp_path)}
    result = CliRunner().invoke(app, ["tail"], env=environment)
    assert isinstance(result.exception, CommandError)
    assert result.exception.code == 3


def test_following_goes_on_with_what_is_recorded_later(database_url: str) -> None:
    log = MadeUpLog()
    log.said(0, text="first")
    record(database_url, log)
    command = [sys.executable, "-c", "from agent_memory.cli.events import app; app()", "tail", "--follow", "--json"]
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": "unused"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            assert msgspec.json.decode(process.stdout.readline())["position"] == 1
            log.said(1, text="second")
            record(database_url, log, start=1)
            assert msgspec.json.decode(process.stdout.readline())["position"] == 2
        finally:
            process.kill()
