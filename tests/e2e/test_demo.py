"""The demo as a newcomer types it; import and client against the stack that it leaves up."""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from agent_memory.cli.hooks.delivery import Server, flush
from agent_memory.cli.hooks.ingest import events_of
from agent_memory.cli.hooks.spool import Report, Spool
from agent_memory.cli.sample import history
from agent_memory.client import MemoryClient, NotFound, SyncTimelineClient
from agent_memory.contracts.records import TimelineEvent
from agent_memory.embedded.supervisor import Stack
from support.controls import wait_until_now
from support.forks import python
from support.servers import Servers, stack_environment
from support.stacks import running_stack

DATA = Path(__file__).parent.parent / "data" / "imports"
ARGV = [sys.executable, "-m", "agent_memory.cli.main"]


@pytest.fixture(scope="module")
def stack(servers: Servers) -> Iterator[Stack]:
    with running_stack(servers) as started:
        yield started


def processes_of(folder: Path) -> list[str]:
    """Command lines of what still runs out of a folder."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            commands.append(line.decode(errors="replace"))
    return commands


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for temporary files whose name is short enough for a socket inside a home inside."""
    with tempfile.TemporaryDirectory(prefix="am-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def test_the_demo_shows_all_of_it_and_leaves_nothing_behind(folder: Path) -> None:
    environment = stack_environment(TMPDIR=str(folder))
    done = subprocess.run([*ARGV, "demo"], env=environment, capture_output=True, text=True, check=False, timeout=400)
    assert (done.returncode, done.stderr) == (0, "")
    for expected in (
        "482 events in 29 sessions, 2025-09-01 to 2025-11-07",
        "semantic (by meaning)",
        "event ev-0924-06, session 2025-09-24-migration-rehearsal",
        "keyword (by words)",
        "event ev-1020-09, session 2025-10-20-the-worker-that-grows",
        "hybrid (by both)",
        "session 2025-09-18-review-tomeks-refunds",
        "Definitely keep the pills.",
        "timeline-index   indexer",
        "From the year to the words",
        "Week 36, 2025",
        "said in session 2025-09-01-first-day-on-skipper:",
        "agent-memory import",
        "claude mcp add memory -- /",
        '"mcpServers": {',
    ):
        assert expected in done.stdout
    assert "\x1b" not in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())
    assert list(folder.glob("agent-memory-demo-*")) == []
    assert processes_of(folder) == []


def test_a_demo_that_is_interrupted_leaves_nothing_behind_either(folder: Path) -> None:
    environment = stack_environment(TMPDIR=str(folder))
    running = subprocess.Popen([*ARGV, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until_now(lambda: list(folder.glob("agent-memory-demo-*/stack.json")), "the stack has begun to start", 60)
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=90)
    assert running.returncode == 128 + signal.SIGTERM
    assert list(folder.glob("agent-memory-demo-*")) == []
    assert processes_of(folder) == []


def test_a_second_demo_on_the_same_server_adds_nothing(stack: Stack) -> None:
    url = stack.http_urls[0]
    first, second = (
        subprocess.run(
            python("agent_memory.cli.main", "demo", "--url", url, *options),
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        for options in (["--json"], [])
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    told = json.loads(first.stdout)
    assert (told["tally"]["created"], told["session"]["session_id"]) == (482, "2025-10-16-not-walnuts")
    assert "482 of them were known already" in second.stdout
    assert f"curl -s {url}/v1/timeline/search" in second.stdout
    assert f'"--url",\n          "{url}"' in second.stdout
    program = next(line for line in second.stdout.splitlines() if line.endswith("- <<'END'"))
    script, _, _ = second.stdout.partition(program)[2].partition("  END\n")
    argv = shlex.split(program)[:2]
    asked = subprocess.run(argv, input=dedent(script), env={"PATH": ""}, capture_output=True, text=True, check=False, timeout=60)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "pills" in asked.stdout


def test_histories_of_every_format_are_imported_once_in_each_scope(stack: Stack) -> None:
    files = [str(history()), *(str(DATA / name) for name in ("own.jsonl", "claude_code.jsonl", "chatgpt.json"))]
    summaries = []
    for scope in ("one", "one", "two"):
        argv = python("agent_memory.cli.main", "import", *files, "--url", stack.http_urls[0], "-n", scope, "--json")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 4, done.stderr
        summaries.append(json.loads(done.stdout))
    first, again, elsewhere = summaries
    assert first["created"] == first["read"] == elsewhere["created"] == 482 + 5 + 13 + 7
    assert first["bad"] == 11 + 4 + 2
    assert (again["created"], again["known"]) == (0, first["read"])


@pytest.mark.parametrize("imported_first", [False, True], ids=["hooks first", "import first"])
def test_what_hooks_and_a_transcript_tell_is_there_once(stack: Stack, tmp_path: Path, imported_first: bool) -> None:
    """The first prompt was said before the hooks were installed; the last answer came when the transcript did not hold it yet."""
    began, namespace = 1_769_774_400_000, f"hooked-{imported_first}"
    turns = [("user", "Hello?"), ("user", "Why is it red?"), ("assistant", "I will look."), ("assistant", "A flaky test.")]
    records = [
        {
            "type": role,
            "uuid": f"u{number}",
            "sessionId": "hooked",
            "timestamp": f"2026-01-30T12:00:{10 * number:02}Z",
            "message": {"role": role, "content": text},
        }
        for number, (role, text) in enumerate(turns)
    ]
    transcript = tmp_path / "hooked.jsonl"
    transcript.write_text("".join(json.dumps(record) + "\n" for record in records[:-1]))
    hooks = [
        {"hook_event_name": "SessionStart", "source": "startup"},
        {"hook_event_name": "UserPromptSubmit", "prompt": "Why is it red?"},
        {"hook_event_name": "Stop", "stop_hook_active": False, "last_assistant_message": "A flaky test."},
    ]
    spool = Spool([tmp_path / "spool"])
    for number, hook in enumerate(hooks):
        said = {"session_id": "hooked", "transcript_path": str(transcript), "timestamp": began + 15_000 * number, **hook}
        spool.keep(Report(events=events_of(json.dumps(said).encode(), 0, "claude-code"), namespace=namespace))
    transcript.write_text("".join(json.dumps(record) + "\n" for record in records))

    def imported() -> tuple[int, int, int]:
        argv = python("agent_memory.cli.main", "import", str(transcript), "--url", stack.http_urls[0], "-n", namespace, "--json")
        summary = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=100).stdout)
        return summary["read"], summary["created"], summary["known"]

    def flushed() -> tuple[int, int]:
        outcome = flush(spool, Server(endpoint=f"127.0.0.1:{stack.grpc_port}"), 60)
        return outcome.delivered, outcome.left

    if imported_first:
        assert (imported(), flushed()) == ((5, 5, 0), (3, 0))
    else:
        assert (flushed(), imported()) == ((3, 0), (5, 1, 4))
    assert imported() == (5, 0, 5)
    with SyncTimelineClient(f"127.0.0.1:{stack.grpc_port}", namespace=namespace) as timeline:
        told = timeline.get_events(0, 2 * began, 100).events
    assert sorted(event.text for event in told if event.text) == sorted(text for _, text in turns)
    assert [event.event_type for event in told if not event.text] == ["session_start", "assistant_stop"]


async def test_the_client_reads_what_it_wrote_through_every_door(stack: Stack) -> None:
    async with MemoryClient(stack.http_urls[0], namespace="client", user_id="nadia") as memory:
        assert (await memory.ready()).ready
        event = TimelineEvent(event_id="a/b", session_id="s/1 ł", timestamp_ms=1_700_000_000_123, microseconds=456, text="A ferry")
        recorded = await memory.record_events([event])
        assert (recorded.created, (await memory.record_events([event])).created) == (1, 0)
        page = await memory.get_events(session_id="s/1 ł", min_position=recorded.position)
        assert [(found.event_id, found.text, found.position) for found in page.events] == [("a/b", "A ferry", recorded.position)]
        await memory.wait_for(recorded.position)
        assert (await memory.search_timeline("ferry", mode="keyword")).events[0].event_id == "a/b"

        appended = await memory.append_messages("s/1 ł", [{"role": "assistant", "content": "sails"}])
        session = await memory.get_working_memory("s/1 ł", min_position=appended.position)
        assert [message.content for message in session.messages] == ["A ferry", "sails"]
        years = await memory.get_toc_root(min_position=appended.position)
        assert [year.event_count for year in years] == [1, 1]
        assert session.messages[0].created_at.microsecond == 123_456
        assert (await memory.list_sessions()).sessions == ["s/1 ł"]
        assert (await memory.put_working_memory("s2", {"data": {"a": 1}})).data == {"a": 1}
        await memory.delete_working_memory("s2")
        with pytest.raises(NotFound):
            await memory.get_working_memory("s2")


async def test_the_client_keeps_long_term_memories(stack: Stack) -> None:
    async with MemoryClient(stack.http_urls[0], namespace="client", user_id="nadia") as memory:
        stored = await memory.create_long_term_memory([{"id": "tea", "text": "Nadia drinks green tea", "topics": ["drinks"]}])
        assert (await memory.get_long_term_memory("tea", min_position=stored.position)).topics == ["drinks"]
        assert (await memory.edit_long_term_memory("tea", {"text": "Nadia drinks sencha"})).text == "Nadia drinks sencha"
        found = await memory.search_long_term_memory(
            "sencha", mode="keyword", filters={"topics": {"any": ["drinks"]}}, min_position=memory.position
        )
        assert [(hit.id, hit.user_id, found.total) for hit in found.memories] == [("tea", "nadia", 1)]
        assert (await memory.delete_long_term_memories(["tea", "nothing"])).count == 1
        with pytest.raises(NotFound):
            await memory.get_long_term_memory("tea")
