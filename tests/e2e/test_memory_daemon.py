"""`memory-daemon` over the whole stack: start, talk to it, look after it, stop."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agent_memory.client import Event, SyncMemoryClient, SyncTimelineClient
from agent_memory.embedded.home import Home
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.state import read_state
from support.controls import wait_until_now
from support.forks import python
from support.servers import stack_environment, temporary_home
from support.written import until_all_is_written

Ran = subprocess.CompletedProcess[str]
NOON = 1_769_774_400_000


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class Daemon:
    """One daemon, and the environment that its commands are typed in."""

    def __init__(self, home: Path) -> None:
        self.home = home
        places = {"AGENT_MEMORY_HOME": str(home / "usual"), "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
        self.environment: Mapping[str, str] = stack_environment(EMBEDDING_MODEL="hash", **places)
        self.port = free_port()

    def run(self, *arguments: str, module: str = "agent_memory.cli.daemon.main", said: str = "", **more: str) -> Ran:
        argv, environment = python(module, *arguments), {**self.environment, **more}
        return subprocess.run(argv, env=environment, input=said, capture_output=True, text=True, check=False, timeout=180)

    def told(self, *arguments: str) -> object:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with temporary_home() as path:
        one = Daemon(Path(path))
        # What a hook reports before there is a daemon waits for it.
        hook = {"hook_event_name": "UserPromptSubmit", "session_id": "s0", "prompt": "Said before the start."}
        home = ("--db-path", str(one.home / "elsewhere"))
        # Where nobody listens, whatever else runs on this machine; with as much time as a busy one takes, for a hook that has none
        # leaves what it was told to a process that goes on after it.
        alone = {"MEMORY_GRPC_PORT": str(one.port), "MEMORY_HOOK_SECONDS": "40"}
        spooled = one.run(module="agent_memory.cli.hooks.ingest", said=json.dumps(hook), **alone)
        assert "1 waiting" in spooled.stderr
        os.rename(one.home / "usual", one.home / "elsewhere")
        config = one.home / ".config" / "agent-memory" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text('[summarizer]\nmodel = "gpt-4o-mini"\n[dedup]\nenabled = true\n')
        started = one.run("start", "-p", str(one.port), *home)
        assert started.returncode == 0, started.stderr
        try:
            assert f"endpoint http://127.0.0.1:{one.port}" in started.stdout
            assert f"{config}: without effect here: dedup\n" in started.stderr
            assert "hooks: 1 delivered, 0 refused, 0 waiting" in started.stderr
            yield one
        finally:
            stopped = one.run("stop")
        assert stopped.stdout == "Daemon stopped\n"
        assert one.run("status").returncode == 3


def test_a_daemon_in_any_place_is_found_by_its_pid_file(daemon: Daemon) -> None:
    shown = daemon.run("status").stdout.splitlines()
    pid = (daemon.home / "run" / "agent-memory" / "daemon.pid").read_text().splitlines()[0]
    assert shown[:3] == ["Daemon Status: Running", f"  PID: {pid}", f"  Port: {daemon.port}"]
    again = daemon.run("start")
    assert again.returncode == 1
    assert f"already running (PID {pid}" in again.stderr


def test_what_was_said_is_walked_to_from_the_year_and_counted(daemon: Daemon) -> None:
    endpoint = f"http://[::1]:{daemon.port}"
    with SyncTimelineClient.connect(endpoint) as timeline:
        event = Event(event_id="e1", session_id="s1", timestamp_ms=NOON, text="From today we deploy on Thursdays.")
        assert timeline.ingest(event) == ("e1", True)
        assert timeline.ingest(event) == ("e1", False)
        assert timeline.ingest_batch([event, Event(event_id="e2", session_id="s1", timestamp_ms=NOON + 1, text="Noted.")]) == 1
        timeline.wait_for(timeline.position)
    root = daemon.run("query", "-e", endpoint, "root").stdout
    assert daemon.run("query", "root").stdout == root
    assert '  - toc:year:2026 "2026"' in root
    assert "  Title: January 30, 2026\n  Level: Day" in daemon.run("query", "-e", endpoint, "node", "toc:day:2026-01-30").stdout
    told = daemon.run("query", "-e", endpoint, "events", "--from", str(NOON), "--to", str(NOON + 1)).stdout
    assert '"From today we deploy on Thursdays."' in told
    assert "Total: 2 events (has_more: false)" in told
    tree = daemon.run("timeline", "-e", endpoint, "toc:year:2026", "--json", module="agent_memory.cli.main").stdout
    assert json.loads(tree)[0]["children"][0]["node_id"] == "toc:month:2026-01"

    def counted() -> bool:
        status, stats = daemon.told("status"), daemon.told("admin", "stats")
        families = stats["families"]  # type: ignore[index]
        return bool(status["events"] >= 3 and families["events"]["entries"] >= 3 and families["toc"]["entries"] >= 5)  # type: ignore[index]

    wait_until_now(counted, "the events are counted, and their nodes", 30)


def test_a_segments_bullet_leads_to_the_words(daemon: Daemon) -> None:
    endpoint = f"http://127.0.0.1:{daemon.port}"
    with SyncTimelineClient.connect(endpoint) as timeline:
        text = "The staging database moves to Frankfurt on Monday because the old host in Dublin is being shut down."
        timeline.ingest(Event(event_id="g1", session_id="s2", timestamp_ms=NOON + 86_400_000, text=text))

        def grips() -> list[str]:
            found = timeline.browse_toc("toc:day:2026-01-31").children
            return [grip for child in found for bullet in child.bullets for grip in bullet.grip_ids]

        state = read_state(Home(path=daemon.home / "elsewhere"))
        assert state
        until_all_is_written(state.http_urls[0], state.redis_url)
        expanded = daemon.run("query", "-e", endpoint, "expand", grips()[0]).stdout
        with SyncMemoryClient(state.http_urls[0]) as over_http:
            for name in ("toc:year:2026", "toc:day:2026-01-31", "toc:year:1999"):
                assert over_http.get_node(name) == timeline.get_node(name)
                assert over_http.browse_toc(name, 1) == timeline.browse_toc(name, 1)
            assert over_http.expand_grip(grips()[0], 1, 1) == timeline.expand_grip(grips()[0], 1, 1)
            assert over_http.expand_grip("grip:none") == timeline.expand_grip("grip:none")
            assert [year.node_id for year in over_http.get_toc_root()] == [year.node_id for year in timeline.get_toc_root()]
            assert over_http.ingest(Event(event_id="g1", session_id="s2", timestamp_ms=1)) == ("g1", False)
            assert {job.job_name for job in over_http.get_scheduler_status().jobs} >= {"hourly-rollup", "outbox-processor"}
            assert over_http.pause_job("nonesuch") == timeline.pause_job("nonesuch") == "Job not found: nonesuch"
    assert f"  --- EXCERPT ---\n  [USER] {text}\n" in expanded


def test_jobs_keep_what_was_said_about_them(daemon: Daemon) -> None:
    endpoint = f"http://127.0.0.1:{daemon.port}"
    assert daemon.run("scheduler", "-e", endpoint, "pause", "hourly-rollup").stdout == "Job 'hourly-rollup' paused\n"

    def paused() -> bool:
        return "Status: Paused" in daemon.run("scheduler", "-e", endpoint, "status").stdout

    wait_until_now(paused, "the job is shown as paused", 30)
    assert daemon.run("scheduler", "-e", endpoint, "resume", "hourly-rollup").stdout == "Job 'hourly-rollup' resumed\n"


def test_the_stores_are_looked_after(daemon: Daemon) -> None:
    stats = daemon.run("admin", "stats").stdout
    assert stats.startswith(f"Database Statistics:\n  Path: {daemon.home / 'elsewhere'}\n  Size: ")
    assert "tables vacuumed" in daemon.run("admin", "compact").stdout
    assert daemon.run("admin", "compact", "--cf", "toc").stdout.startswith("Compaction complete:\n  Redis:")
    assert daemon.run("admin", "compact", "--cf", "nonesuch").returncode == 2
    preview = daemon.run(
        "admin", "--db-path", str(daemon.home / "elsewhere"), "rebuild-toc", "--dry-run", "--from-date", "2026-01-01"
    )
    assert preview.returncode == 0, preview.stderr
    assert daemon.run("admin", "rebuild-toc", "--from-date", "soon").returncode == 2


def test_a_foreground_daemon_is_found_at_its_address_and_stops_when_told() -> None:
    with temporary_home() as path:
        one = Daemon(Path(path))
        host = "::1" if has_ipv6() else "127.0.0.1"
        one.environment = {**one.environment, "HOST": host, "MEMORY_GRPC_HOST": host}
        address = f"[{host}]" if ":" in host else host
        argv = [sys.executable, "-m", "agent_memory.cli.daemon.main", "start", "-f", "-p", str(one.port)]
        process = subprocess.Popen(argv, env=dict(one.environment), stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert f"endpoint http://{address}:{one.port}" in process.stdout.readline()
        assert one.run("query", "root").stdout == "TOC Root Nodes:\n"
        stopped = one.run("stop")
        assert (stopped.stdout, process.wait(60), process.stdout.read()) == ("Daemon stopped\n", 0, "Daemon stopped\n")
        process.stdout.close()
