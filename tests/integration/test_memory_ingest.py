"""`memory-ingest` as an agent runs it: it answers at once whatever happens, and what it was told is never lost."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from agent_memory.cli.hooks.spool import Spool
from agent_memory.embedded.ports import free_port
from support.controls import wait_until_now
from support.small_timeline import SmallTimeline, small_timeline

PROMPT = {"hook_event_name": "UserPromptSubmit", "session_id": "s1", "prompt": "What is Rust?", "cwd": "/src"}
PROGRAM = (sys.executable, "-m", "agent_memory.cli.hooks.ingest")


@pytest.fixture
def service() -> Iterator[SmallTimeline]:
    with small_timeline() as service:
        yield service


def environment(home: Path, endpoint: str, **more: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMORY_", "AGENT_MEMORY_", "XDG_"))}
    places = {"AGENT_MEMORY_HOME": str(home), "HOME": str(home), "TMPDIR": str(home), "MEMORY_DAEMON_ADDR": endpoint}
    # What is not about time has as much of it as a busy machine takes.
    return {**kept, **places, "MEMORY_HOOK_SECONDS": "40", **more}


def ingest(home: Path, endpoint: str, said: object = PROMPT, **more: str) -> str:
    """Runs it to its end; what it said to people. It must have answered, and with success."""
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    run = subprocess.run(PROGRAM, input=raw, env=environment(home, endpoint, **more), capture_output=True, check=False, timeout=30)
    assert (run.returncode, run.stdout) == (0, b'{"continue":true}\n')
    return run.stderr.decode()


def spool(home: Path) -> Spool:
    return Spool([home / "spool"])


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_a_report_is_in_the_timeline_when_it_answers(service: SmallTimeline, tmp_path: Path) -> None:
    assert ingest(tmp_path, service.endpoint, MEMORY_NAMESPACE="work", AGENT_MEMORY_TOKEN="secret") == ""
    (event,) = service.events.values()
    (asked,) = service.metadata_of("IngestEvents")
    assert (event.text, event.session_id, dict(event.metadata)) == ("What is Rust?", "s1", {"cwd": "/src"})
    assert (asked["x-namespace"], asked["authorization"]) == ("work", "Bearer secret")
    assert spool(tmp_path).waiting() == []


def test_what_could_not_be_delivered_is_by_the_next_that_can(service: SmallTimeline, tmp_path: Path) -> None:
    assert "1 waiting" in ingest(tmp_path, nobody())
    assert "1 waiting" in ingest(tmp_path, nobody(), PROMPT | {"prompt": "And Go?"})
    assert len(spool(tmp_path).waiting()) == 2
    ingest(tmp_path, service.endpoint, PROMPT | {"prompt": "And Zig?"})
    assert sorted(event.text for event in service.events.values()) == ["And Go?", "And Zig?", "What is Rust?"]
    assert spool(tmp_path).waiting() == []


def test_flush_delivers_what_waits(service: SmallTimeline, tmp_path: Path) -> None:
    ingest(tmp_path, nobody())

    def flush(endpoint: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "agent_memory.cli.main", "hooks", "flush"]
        return subprocess.run(argv, env=environment(tmp_path, endpoint), capture_output=True, text=True, check=False)

    down, up = flush(nobody()), flush(service.endpoint)
    assert (down.returncode, down.stdout) == (3, "hooks: 0 delivered, 0 refused, 1 waiting\n")
    assert "no answer from" in down.stderr
    assert (up.returncode, up.stdout) == (0, "hooks: 1 delivered, 0 refused, 0 waiting\n")
    assert len(service.events) == 1


def test_status_says_whether_the_timeline_takes_what_is_reported_here(service: SmallTimeline, tmp_path: Path) -> None:
    def status() -> dict[str, object]:
        argv = [sys.executable, "-m", "agent_memory.cli.main", "hooks", "status", "--json"]
        told: dict[str, object] = json.loads(subprocess.check_output(argv, env=environment(tmp_path, service.endpoint)))
        return told

    service.failures = [(grpc.StatusCode.UNAUTHENTICATED, "Missing authorization header")]
    assert [status()["answers"] for _ in range(2)] == [False, True]


def test_a_service_that_hangs_keeps_nobody_waiting(service: SmallTimeline, tmp_path: Path) -> None:
    service.stuck = True
    began = time.monotonic()
    ingest(tmp_path, service.endpoint, MEMORY_HOOK_SECONDS="")
    assert time.monotonic() - began < 10
    assert len(spool(tmp_path).waiting()) == 1


def test_one_that_takes_connections_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        ingest(tmp_path, f"http://127.0.0.1:{mute.getsockname()[1]}", MEMORY_HOOK_SECONDS="")
    assert len(spool(tmp_path).waiting()) == 1


def test_standard_input_that_stays_open_is_not_waited_for(service: SmallTimeline, tmp_path: Path) -> None:
    process = subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(tmp_path, service.endpoint))
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(PROMPT, indent=1).encode() + b"\n")
    process.stdin.flush()
    assert process.wait(30) == 0
    assert process.stdout.read() == b'{"continue":true}\n'
    process.stdin.close()
    process.stdout.close()
    assert [event.text for event in service.events.values()] == ["What is Rust?"]


@pytest.mark.parametrize("said", [b"", b"\n", b"{", b"null", b'{"hook_event_name": "Stop"}', b"\xff\xfe"])
def test_nonsense_is_answered_too_and_kept_where_there_was_any(service: SmallTimeline, tmp_path: Path, said: bytes) -> None:
    words = ingest(tmp_path, service.endpoint, said)
    assert [file.read_bytes() for file in spool(tmp_path).refused()] == ([said] if said.strip() else [])
    assert ("kept in" in words) == bool(said.strip())
    assert service.events == {}


def test_what_is_far_too_long_is_cut(service: SmallTimeline, tmp_path: Path) -> None:
    assert ingest(tmp_path, service.endpoint, PROMPT | {"prompt": "x" * 50_000_000}) == ""
    (event,) = service.events.values()
    assert len(event.text.encode()) <= 1_000_000
    ingest(tmp_path, service.endpoint, b"x" * 50_000_000)
    (refused,) = spool(tmp_path).refused()
    assert refused.stat().st_size == 1_000_000
    assert "the first of 50000000 bytes" in refused.with_name(f"{refused.name}.reason").read_text()


@pytest.mark.parametrize("endpoint", ["nonsense://x", "http://[::1", "http://does-not-exist.invalid:1"])
def test_an_endpoint_that_is_none_loses_nothing(tmp_path: Path, endpoint: str) -> None:
    assert "1 waiting" in ingest(tmp_path, endpoint)


def test_a_home_that_cannot_be_written_is_done_without(service: SmallTimeline, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ingest(tmp_path / "file", service.endpoint, TMPDIR=str(tmp_path))
    ingest(tmp_path / "file", nobody(), TMPDIR=str(tmp_path))
    assert len(service.events) == 1
    assert len(list(tmp_path.glob("agent-memory-*/*/spool/*.json"))) == 1


def test_what_was_said_to_another_machine_is_not_told_to_this_one(service: SmallTimeline, tmp_path: Path) -> None:
    ingest(tmp_path, "http://does-not-exist.invalid:1")
    said = ingest(tmp_path, service.endpoint, PROMPT | {"prompt": "And Go?"})
    assert "1 waiting" in said
    assert "what waits is for http://does-not-exist.invalid:1" in said
    assert [event.text for event in service.events.values()] == ["And Go?"]


def test_what_waits_for_one_home_goes_into_no_other(service: SmallTimeline, tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).touch()
    ingest(tmp_path / "mine", nobody(), TMPDIR=str(tmp_path))
    ingest(tmp_path / "other", service.endpoint, PROMPT | {"prompt": "And Go?"}, TMPDIR=str(tmp_path))
    assert [event.text for event in service.events.values()] == ["And Go?"]
    ingest(tmp_path / "mine", service.endpoint, PROMPT | {"prompt": "And C?"}, TMPDIR=str(tmp_path))
    assert sorted(event.text for event in service.events.values()) == ["And C?", "And Go?", "What is Rust?"]


def test_a_report_that_there_is_no_time_for_waits(service: SmallTimeline, tmp_path: Path) -> None:
    service.stuck = True
    ingest(tmp_path, service.endpoint, MEMORY_HOOK_SECONDS="3")
    service.released.set()
    service.stuck = False
    ingest(tmp_path, service.endpoint, PROMPT | {"prompt": "And Go?"})
    # Where the time was over before the first was begun with, what goes on after it delivers it.
    wait_until_now(lambda: len(service.events) == 2, "both are delivered")
    assert sorted(event.text for event in service.events.values()) == ["And Go?", "What is Rust?"]


def test_what_a_busy_machine_had_no_time_for_is_delivered_after_the_hook(service: SmallTimeline, tmp_path: Path) -> None:
    for number, seconds in enumerate(("0.01", "0.03", "0.03"), 1):  # none is left, and too little to begin with
        ingest(tmp_path, service.endpoint, MEMORY_HOOK_SECONDS=seconds)
        wait_until_now(lambda: len(service.events) == number and not spool(tmp_path).waiting(), "it is delivered")  # noqa: B023


def test_a_config_file_that_is_broken_is_done_without(service: SmallTimeline, tmp_path: Path) -> None:
    (tmp_path / ".config" / "agent-memory").mkdir(parents=True)
    (tmp_path / ".config" / "agent-memory" / "config.toml").write_text("= =")
    assert "going on without it" in ingest(tmp_path, service.endpoint)
    assert len(service.events) == 1
