"""`memory-daemon query` and `scheduler`, and `agent-memory timeline`, against a service that is somewhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import grpc
import pytest

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.embedded.ports import free_port
from support.small_timeline import SmallTimeline, small_timeline

Ran = subprocess.CompletedProcess[str]


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


def ran(home: Path, *arguments: str, module: str = "agent_memory.cli.daemon.main", said: str = "", **more: str) -> Ran:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEMORY_", "AGENT_MEMORY_", "XDG_"))}
    places = {"AGENT_MEMORY_HOME": str(home), "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.run(argv, input=said, env={**kept, **places, **more}, capture_output=True, text=True, check=False, timeout=60)


def shown(home: Path, service: SmallTimeline, group: str, *arguments: str) -> str:
    done = ran(home, group, "-e", service.endpoint, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_timeline_is_walked(home: Path, service: SmallTimeline) -> None:
    assert shown(home, service, "query", "root") == 'TOC Root Nodes:\n  - toc:year:2026 "2026" (1 child)\n'
    assert "  Title: January 2026\n  Level: Month\n" in shown(home, service, "query", "node", "toc:month:2026-01")
    page = shown(home, service, "query", "browse", "toc:year:2026", "-l", "5", "-t", "0")
    assert page.endswith('  1. toc:month:2026-01 "January 2026"\n\nPage 1 of 1 (has_more: false)\n')
    assert shown(home, service, "query", "browse", "toc:year:1999").startswith("Children of toc:year:1999:\n")
    told = shown(home, service, "query", "events", "--from", "1", "--to", "2")
    assert told.startswith('Events (1 - 2):\n  1. e1 [USER] 1970-01-01 00:00:00\n     "text 1"\n')
    assert "  --- EXCERPT ---\n  [USER] text 1\n" in shown(home, service, "query", "expand", "grip:1", "--before", "0")


def test_programs_are_told_in_json(home: Path, service: SmallTimeline) -> None:
    root = json.loads(shown(home, service, "query", "root", "--json"))
    events = json.loads(shown(home, service, "query", "events", "--from", "0", "--to", "9", "--limit", "2", "--json"))
    expanded = json.loads(shown(home, service, "query", "expand", "grip:1", "--json"))
    assert root["nodes"][0]["node_id"] == "toc:year:2026"
    assert ([event["event_id"] for event in events["events"]], events["has_more"]) == (["e0", "e1"], True)
    assert expanded["grip"]["excerpt"] == "text 1"
    assert (events["events"][0]["role"], events["events"][0]["event_type"]) == ("user", "user_message")


def test_numbers_of_any_size_are_drawn_in(home: Path, service: SmallTimeline) -> None:
    huge = str(10**20)
    assert "(has_more: false)" in shown(home, service, "query", "events", "--from", f"-{huge}", "--to", huge, "-l", huge)
    assert "text 0" in shown(home, service, "query", "expand", "grip:1", "--before", huge)
    assert "January 2026" in shown(home, service, "query", "browse", "toc:year:2026", "-l", huge)


def test_what_is_not_there_is_said_with_a_code(home: Path, service: SmallTimeline) -> None:
    for arguments, words in (
        (("node", "toc:year:1999"), "Node not found: toc:year:1999"),
        (("expand", "grip:none"), "Grip not found: grip:none"),
        (("node", ""), "node_id is required"),
    ):
        done = ran(home, "query", "-e", service.endpoint, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr


def test_who_comes_without_a_credential_is_told_how_to_name_one(home: Path, service: SmallTimeline) -> None:
    for module, arguments in (
        ("daemon.main", ["query", "-e", service.endpoint, "root"]),
        ("main", ["timeline", "-e", service.endpoint]),
    ):
        service.failures += [(grpc.StatusCode.UNAUTHENTICATED, "Missing authorization header")] * 2  # of connecting, of asking
        done = ran(home, *arguments, module=f"agent_memory.cli.{module}")
        assert (done.returncode, done.stdout) == (1, "")
        assert "Missing authorization header\n  hint: AGENT_MEMORY_TOKEN (or MEMORY_TOKEN" in done.stderr


def test_jobs_are_paused_and_resumed(home: Path, service: SmallTimeline) -> None:
    assert shown(home, service, "scheduler", "pause", "hourly-rollup") == "Job 'hourly-rollup' paused\n"
    assert "    Status: Paused\n" in shown(home, service, "scheduler", "status")
    assert shown(home, service, "scheduler", "resume", "hourly-rollup") == "Job 'hourly-rollup' resumed\n"
    assert shown(home, service, "scheduler", "run", "hourly-rollup") == "Job 'hourly-rollup' started\n"
    unknown = ran(home, "scheduler", "-e", service.endpoint, "pause", "nonesuch")
    assert unknown.returncode == 1
    assert "Job not found: nonesuch" in unknown.stderr


def test_nothing_running_is_said_with_what_to_do(home: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    asked = ran(home, "query", "-e", endpoint, "root")
    stopped, looked, counted = ran(home, "stop"), ran(home, "status"), ran(home, "admin", "stats")
    assert asked.returncode == stopped.returncode == looked.returncode == counted.returncode == 3
    assert f"memory daemon not running -- start with: memory-daemon start (endpoint: {endpoint})" in asked.stderr
    unknown = ran(home, "query", "-e", "http://does-not-exist.invalid:1", "root")
    assert (unknown.returncode, "(endpoint: http://does-not-exist.invalid:1)" in unknown.stderr) == (3, True)
    assert "No PID file found - daemon may not be running" in stopped.stderr
    assert looked.stdout == "Daemon Status: Stopped\n"
    assert "memory-daemon start" in counted.stderr


def test_a_service_with_a_certificate_of_its_own_is_trusted_when_that_is_named(home: Path, certificate: tuple[str, str]) -> None:
    chain, key = (Path(file).read_bytes() for file in certificate)
    trusted = {"MEMORY_CA_FILE": certificate[0]}
    with small_timeline(tls=(key, chain)) as service:
        assert ran(home, "query", "-e", service.endpoint, "root", **trusted).returncode == 0
        stranger = ran(home, "query", "-e", service.endpoint, "root")
        plain = ran(home, "query", "-e", service.endpoint.replace("https", "http"), "root")
        absent = ran(home, "query", "-e", service.endpoint, "root", MEMORY_CA_FILE=str(home / "none"))
        hook = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Over TLS."})
        ran(
            home,
            module="agent_memory.cli.hooks.ingest",
            said=hook,
            MEMORY_ENDPOINT=service.endpoint,
            MEMORY_HOOK_SECONDS="40",
            **trusted,
        )
        assert [event.text for event in service.events.values()] == ["Over TLS."]
    assert (stranger.returncode, plain.returncode, absent.returncode) == (3, 3, 2)
    assert f"where it speaks TLS: {service.endpoint}" in plain.stderr
    assert "none cannot be read" in absent.stderr


def test_a_service_that_asks_who_connects_is_shown_a_certificate(home: Path, certificate: tuple[str, str]) -> None:
    chain, key = (Path(file).read_bytes() for file in certificate)
    known = {"MEMORY_CA_FILE": certificate[0], "MEMORY_CERT_FILE": certificate[0], "MEMORY_KEY_FILE": certificate[1]}
    with small_timeline(tls=(key, chain), known=chain) as service:
        asked = ("query", "-e", service.endpoint, "root")
        assert ran(home, *asked, **known).returncode == 0
        half = ran(home, *asked, **{**known, "MEMORY_KEY_FILE": ""})
        assert (half.returncode, "cert_file and key_file go together" in half.stderr) == (2, True)
        hook = json.dumps({"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Who I am is shown."})
        reported = {"module": "agent_memory.cli.hooks.ingest", "said": hook, "MEMORY_HOOK_SECONDS": "40"}
        ran(home, MEMORY_ENDPOINT=service.endpoint, **known, **reported)
        assert [event.text for event in service.events.values()] == ["Who I am is shown."]


def test_a_pid_file_of_a_daemon_that_died_is_removed(home: Path) -> None:
    file = home / "agent-memory" / "daemon.pid"
    file.parent.mkdir()
    file.write_text(f"999999999\n{home}\n")
    assert "Daemon not running (stale PID file removed)" in ran(home, "stop").stderr
    assert not file.exists()


def test_options_before_the_command_and_settings_are_checked(home: Path, service: SmallTimeline) -> None:
    config = home / "config.toml"
    config.write_text(f'endpoint = "{service.endpoint}"\n')
    assert ran(home, "-c", str(config), "-l", "debug", "query", "root").returncode == 0
    assert ran(home, "query", "root", MEMORY_DAEMON_ADDR=service.endpoint).returncode == 0
    assert ran(home, "-l", "loud", "query", "root").returncode == 2
    assert ran(home, "-c", str(home / "none"), "query", "root").returncode == 2
    assert ran(home, "query", "-e", "nonsense://x", "root").returncode == 1
    assert ran(home, "-V").stdout.startswith("memory-daemon 0.")
    assert "  start " in ran(home, "--help").stdout
    assert "--foreground" in ran(home, "start", "--help").stdout


def test_the_tree_is_printed_and_told(home: Path, service: SmallTimeline) -> None:
    def timeline(*arguments: str) -> Ran:
        return ran(home, "timeline", "-e", service.endpoint, *arguments, module="agent_memory.cli.main")

    whole, top, nested = timeline(), timeline("--depth", "1"), json.loads(timeline("toc:month:2026-01", "--json").stdout)
    lines = [line.rstrip() for line in whole.stdout.splitlines()]
    assert lines[:3] == ["2026  (0)  toc:year:2026", "Rust.", "└── January 2026  (0)  toc:month:2026-01"]
    assert lines[3:] == ["    └── Rust [ownership]  (4)  toc:segment:01HX", "        • Data races are prevented.  grip:1"]
    assert len(top.stdout.splitlines()) == 2
    assert nested[0]["children"][0]["node_id"] == "toc:segment:01HX"
    assert timeline("toc:year:1999").returncode == 1


def test_the_tree_is_drawn_as_a_picture_that_needs_nothing_from_elsewhere(home: Path, service: SmallTimeline) -> None:
    file = home / "tree.svg"
    done = ran(home, "timeline", "-e", service.endpoint, "--svg", str(file), module="agent_memory.cli.main")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    drawn = " ".join("".join(ElementTree.parse(file).getroot().itertext()).split())
    assert "January 2026" in drawn
    assert "• Data races are prevented." in drawn
    assert "url(http" not in file.read_text()
    missing = ran(
        home, "timeline", "-e", service.endpoint, "--svg", str(home / "none" / "tree.svg"), module="agent_memory.cli.main"
    )
    assert (missing.returncode, "cannot be written" in missing.stderr) == (1, True)
