"""`memory-daemon query` and `scheduler`, and `agent-memory timeline`, against a service that is somewhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import grpc
import pytest

from agent_memory.cli.daemon.main import main as memory_daemon
from agent_memory.cli.main import main as agent_memory
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.embedded.ports import free_port
from support.small_timeline import SmallTimeline, small_timeline
from support.typed import Ran, Typed

Running = Callable[..., Ran]
Showing = Callable[..., str]


@pytest.fixture(scope="module")
def service() -> Iterator[SmallTimeline]:
    with small_timeline() as service:
        segment = pb.TocNode(
            node_id="toc:segment:01HX",
            level=pb.TOC_LEVEL_SEGMENT,
            title="Rust [ownership]",
            bullets=[pb.TocBullet(text="Data races are prevented.", grip_ids=["grip:1"])],
            event_count=4,
        )
        month = pb.TocNode(
            node_id="toc:month:2026-01", level=pb.TOC_LEVEL_MONTH, title="January 2026", child_node_ids=[segment.node_id]
        )
        year = pb.TocNode(
            node_id="toc:year:2026", level=pb.TOC_LEVEL_YEAR, title="2026", summary="Rust.", child_node_ids=[month.node_id]
        )
        service.nodes = {node.node_id: node for node in (year, month, segment)}
        service.events = {
            f"e{number}": pb.Event(event_id=f"e{number}", session_id="s", timestamp_ms=number, role=1, text=f"text {number}")
            for number in range(4)
        }
        service.grips["grip:1"] = pb.Grip(grip_id="grip:1", excerpt="text 1", event_id_start="e1", event_id_end="e1")
        service.jobs["hourly-rollup"] = pb.JobStatusProto(job_name="hourly-rollup", cron_expr="0 0 * * * *")
        yield service


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def places(home: Path) -> dict[str, str]:
    """The environment, with this home and no other settings of the daemon."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMORY_", "AGENT_MEMORY_", "XDG_"))}
    return {**kept, "AGENT_MEMORY_HOME": str(home), "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}


def apart(home: Path, module: str, *arguments: str, said: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    """A program as a process of its own."""
    argv, environment = [sys.executable, "-m", f"agent_memory.cli.{module}", *arguments], {**places(home), **more}
    return subprocess.run(argv, input=said, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def ran(home: Path, typed: Typed) -> Running:
    """Types a line of `memory-daemon`, or of another program, with the variables that are given."""

    def run(*arguments: str, program: Callable[..., None] = memory_daemon, **more: str) -> Ran:
        return typed.where({**places(home), **more}, *arguments, program=program)

    return run


@pytest.fixture
def shown(ran: Running, service: SmallTimeline) -> Showing:
    """Types a line that is to succeed; what it says."""

    def show(group: str, *arguments: str) -> str:
        done = ran(group, "-e", service.endpoint, *arguments)
        assert (done.code, done.err) == (0, "")
        return done.out

    return show


@pytest.mark.parametrize(
    ("module", "command", "said"),
    [
        ("daemon.main", ["query", "root"], ["TOC Root Nodes:", '  - toc:year:2026 "2026" (1 child)']),
        ("main", ["timeline", "--depth", "1"], ["2026  (0)  toc:year:2026", "Rust."]),
    ],
)
def test_the_programs_are_processes_that_say_how_it_went(
    home: Path, service: SmallTimeline, module: str, command: list[str], said: list[str]
) -> None:
    done = apart(home, module, *command[:1], "-e", service.endpoint, *command[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == said
    nowhere = apart(home, module, *command[:1], "-e", f"http://127.0.0.1:{free_port()}", *command[1:])
    assert (nowhere.returncode, nowhere.stdout) == (3, "")
    assert nowhere.stderr.startswith("error: ")


def test_the_timeline_is_walked(shown: Showing) -> None:
    assert shown("query", "root") == 'TOC Root Nodes:\n  - toc:year:2026 "2026" (1 child)\n'
    assert "  Title: January 2026\n  Level: Month\n" in shown("query", "node", "toc:month:2026-01")
    page = shown("query", "browse", "toc:year:2026", "-l", "5", "-t", "0")
    assert page.endswith('  1. toc:month:2026-01 "January 2026"\n\nPage 1 of 1 (has_more: false)\n')
    assert shown("query", "browse", "toc:year:1999").startswith("Children of toc:year:1999:\n")
    told = shown("query", "events", "--from", "1", "--to", "2")
    assert told.startswith('Events (1 - 2):\n  1. e1 [USER] 1970-01-01 00:00:00\n     "text 1"\n')
    assert "  --- EXCERPT ---\n  [USER] text 1\n" in shown("query", "expand", "grip:1", "--before", "0")


def test_programs_are_told_in_json(shown: Showing) -> None:
    root = json.loads(shown("query", "root", "--json"))
    events = json.loads(shown("query", "events", "--from", "0", "--to", "9", "--limit", "2", "--json"))
    expanded = json.loads(shown("query", "expand", "grip:1", "--json"))
    assert root["nodes"][0]["node_id"] == "toc:year:2026"
    assert ([event["event_id"] for event in events["events"]], events["has_more"]) == (["e0", "e1"], True)
    assert expanded["grip"]["excerpt"] == "text 1"
    assert (events["events"][0]["role"], events["events"][0]["event_type"]) == ("user", "user_message")


def test_numbers_of_any_size_are_drawn_in(shown: Showing) -> None:
    huge = str(10**20)
    assert "(has_more: false)" in shown("query", "events", "--from", f"-{huge}", "--to", huge, "-l", huge)
    assert "text 0" in shown("query", "expand", "grip:1", "--before", huge)
    assert "January 2026" in shown("query", "browse", "toc:year:2026", "-l", huge)


def test_what_is_not_there_is_said_with_a_code(ran: Running, service: SmallTimeline) -> None:
    for arguments, words in (
        (("node", "toc:year:1999"), "Node not found: toc:year:1999"),
        (("expand", "grip:none"), "Grip not found: grip:none"),
        (("node", ""), "node_id is required"),
    ):
        done = ran("query", "-e", service.endpoint, *arguments)
        assert (done.code, done.out) == (1, "")
        assert words in done.err


def test_who_comes_without_a_credential_is_told_how_to_name_one(ran: Running, service: SmallTimeline) -> None:
    for program, arguments in (
        (memory_daemon, ["query", "-e", service.endpoint, "root"]),
        (agent_memory, ["timeline", "-e", service.endpoint]),
    ):
        service.failures += [(grpc.StatusCode.UNAUTHENTICATED, "Missing authorization header")] * 2  # of connecting, of asking
        done = ran(*arguments, program=program)
        assert (done.code, done.out) == (1, "")
        assert "Missing authorization header\n  hint: AGENT_MEMORY_TOKEN (or MEMORY_TOKEN" in done.err


def test_jobs_are_paused_and_resumed(shown: Showing, ran: Running, service: SmallTimeline) -> None:
    assert shown("scheduler", "pause", "hourly-rollup") == "Job 'hourly-rollup' paused\n"
    assert "    Status: Paused\n" in shown("scheduler", "status")
    assert shown("scheduler", "resume", "hourly-rollup") == "Job 'hourly-rollup' resumed\n"
    assert shown("scheduler", "run", "hourly-rollup") == "Job 'hourly-rollup' started\n"
    unknown = ran("scheduler", "-e", service.endpoint, "pause", "nonesuch")
    assert unknown.code == 1
    assert "Job not found: nonesuch" in unknown.err


def test_nothing_running_is_said_with_what_to_do(ran: Running) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    asked = ran("query", "-e", endpoint, "root")
    stopped, looked, counted = ran("stop"), ran("status"), ran("admin", "stats")
    assert asked.code == stopped.code == looked.code == counted.code == 3
    assert f"memory daemon not running -- start with: memory-daemon start (endpoint: {endpoint})" in asked.err
    unknown = ran("query", "-e", "http://does-not-exist.invalid:1", "root")
    assert (unknown.code, "(endpoint: http://does-not-exist.invalid:1)" in unknown.err) == (3, True)
    assert "No PID file found - daemon may not be running" in stopped.err
    assert looked.out == "Daemon Status: Stopped\n"
    assert "memory-daemon start" in counted.err


def test_a_service_with_a_certificate_of_its_own_is_trusted_when_that_is_named(
    home: Path, ran: Running, certificate: tuple[str, str]
) -> None:
    chain, key = (Path(file).read_bytes() for file in certificate)
    trusted = {"MEMORY_CA_FILE": certificate[0]}
    with small_timeline(tls=(key, chain)) as service:
        assert ran("query", "-e", service.endpoint, "root", **trusted).code == 0
        stranger = ran("query", "-e", service.endpoint, "root")
        plain = ran("query", "-e", service.endpoint.replace("https", "http"), "root")
        absent = ran("query", "-e", service.endpoint, "root", MEMORY_CA_FILE=str(home / "none"))
        hook = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Over TLS."})
        apart(
            home,
            "hooks.ingest",
            said=hook,
            MEMORY_ENDPOINT=service.endpoint,
            MEMORY_HOOK_SECONDS="40",
            **trusted,
        )
        assert [event.text for event in service.events.values()] == ["Over TLS."]
    assert (stranger.code, plain.code, absent.code) == (3, 3, 2)
    assert f"where it speaks TLS: {service.endpoint}" in plain.err
    assert "none cannot be read" in absent.err


def test_a_service_that_asks_who_connects_is_shown_a_certificate(home: Path, ran: Running, certificate: tuple[str, str]) -> None:
    chain, key = (Path(file).read_bytes() for file in certificate)
    known = {"MEMORY_CA_FILE": certificate[0], "MEMORY_CERT_FILE": certificate[0], "MEMORY_KEY_FILE": certificate[1]}
    with small_timeline(tls=(key, chain), known=chain) as service:
        asked = ("query", "-e", service.endpoint, "root")
        assert ran(*asked, **known).code == 0
        half = ran(*asked, **{**known, "MEMORY_KEY_FILE": ""})
        assert (half.code, "cert_file and key_file go together" in half.err) == (2, True)
        hook = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Who I am is shown."})
        apart(home, "hooks.ingest", said=hook, MEMORY_ENDPOINT=service.endpoint, MEMORY_HOOK_SECONDS="40", **known)
        assert [event.text for event in service.events.values()] == ["Who I am is shown."]


def test_a_pid_file_of_a_daemon_that_died_is_removed(home: Path, ran: Running) -> None:
    file = home / "agent-memory" / "daemon.pid"
    file.parent.mkdir()
    file.write_text(f"999999999\n{home}\n")
    assert "Daemon not running (stale PID file removed)" in ran("stop").err
    assert not file.exists()


def test_options_before_the_command_and_settings_are_checked(home: Path, ran: Running, service: SmallTimeline) -> None:
    config = home / "config.toml"
    config.write_text(f'endpoint = "{service.endpoint}"\n')
    assert ran("-c", str(config), "-l", "debug", "query", "root").code == 0
    assert ran("query", "root", MEMORY_DAEMON_ADDR=service.endpoint).code == 0
    assert ran("-l", "loud", "query", "root").code == 2
    assert ran("-c", str(home / "none"), "query", "root").code == 2
    assert ran("query", "-e", "nonsense://x", "root").code == 2
    assert ran("-V").out.startswith("memory-daemon 0.")
    assert "  start " in ran("--help").out
    assert "--foreground" in ran("start", "--help").out


def test_the_tree_is_printed_and_told(ran: Running, service: SmallTimeline) -> None:
    def timeline(*arguments: str) -> Ran:
        return ran("timeline", "-e", service.endpoint, *arguments, program=agent_memory)

    whole, top, nested = timeline(), timeline("--depth", "1"), json.loads(timeline("toc:month:2026-01", "--json").out)
    lines = [line.rstrip() for line in whole.out.splitlines()]
    assert lines[:3] == ["2026  (0)  toc:year:2026", "Rust.", "└── January 2026  (0)  toc:month:2026-01"]
    assert lines[3:] == ["    └── Rust [ownership]  (4)  toc:segment:01HX", "        • Data races are prevented.  grip:1"]
    assert len(top.out.splitlines()) == 2
    assert nested[0]["children"][0]["node_id"] == "toc:segment:01HX"
    assert timeline("toc:year:1999").code == 1


def test_the_tree_is_drawn_as_a_picture_that_needs_nothing_from_elsewhere(home: Path, ran: Running, service: SmallTimeline) -> None:
    file = home / "tree.svg"
    done = ran("timeline", "-e", service.endpoint, "--svg", str(file), program=agent_memory)
    assert (done.code, done.out, done.err) == (0, "", "")
    drawn = " ".join("".join(ElementTree.parse(file).getroot().itertext()).split())
    assert "January 2026" in drawn
    assert "• Data races are prevented." in drawn
    assert "url(http" not in file.read_text()
    missing = ran("timeline", "-e", service.endpoint, "--svg", str(home / "none" / "tree.svg"), program=agent_memory)
    assert (missing.code, "cannot be written" in missing.err) == (1, True)
