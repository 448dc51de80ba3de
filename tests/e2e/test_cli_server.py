"""Commands of `agent-memory` that ask a server, against a real one."""

import io
from collections.abc import Iterator

import pytest

from agent_memory.client import SyncMemoryClient
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.supervisor import Stack
from support.servers import Servers
from support.stacks import running_stack
from support.typed import Typed


@pytest.fixture(scope="module")
def stack(servers: Servers) -> Iterator[Stack]:
    with running_stack(servers) as started:
        yield started


@pytest.fixture(autouse=True)
def server(typed: Typed, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_MEMORY_URL", stack.http_urls[0])


def test_a_job_is_paused_until_it_is_resumed(typed: Typed) -> None:
    assert typed("scheduler", "pause", "compaction").out == "Job 'compaction' paused\n"
    (paused,) = (job for job in typed("scheduler", "status", "--json").json["jobs"] if job["job_name"] == "compaction")
    table = typed("scheduler", "status").out
    assert typed("scheduler", "resume", "compaction", "--json").json == {"job_name": "compaction", "status": "resumed"}
    assert (paused["is_paused"], paused["next_run_ms"] > 0) == (True, True)
    assert any({"compaction", "every", "10", "min"} <= set(line.split()) and "paused" in line for line in table.splitlines())
    assert "paused" not in typed("scheduler", "status").out


def test_a_job_that_was_run_by_hand_is_in_the_history_once_it_has_ended(typed: Typed) -> None:
    ran = typed("scheduler", "run-now", "stream-trim", "--wait", "60", "--json")
    assert (ran.code, ran.json["job_name"], ran.json["result"], ran.json["manual"]) == (0, "stream-trim", "success", True)
    told = typed("scheduler", "history", "stream-trim", "--json").json
    assert ran.json["started_ms"] in [run["started_ms"] for run in told if run["manual"]]
    assert any({"stream-trim", "success", "hand"} <= set(line.split()) for line in typed("scheduler", "history").out.splitlines())


def test_a_job_that_runs_already_is_run_again_after_that(typed: Typed) -> None:
    first = typed("scheduler", "run-now", "index-check")
    assert first.err in ("", "error: Job is running: index-check\n")  # the stack has just begun: it may be due by itself
    ran = typed("scheduler", "run-now", "index-check", "--wait", "60", "--json")
    assert (ran.code, ran.json["result"], ran.json["manual"]) == (0, "success", True)
    told = typed("scheduler", "history", "index-check", "--json").json
    (before, *_) = (run for run in told if run["due_ms"] < ran.json["due_ms"])
    assert before["finished_ms"] <= ran.json["started_ms"]


def test_a_job_that_is_not_there_is_told_with_where_to_look(typed: Typed) -> None:
    for action in ("pause", "resume", "run-now"):
        ran = typed("scheduler", action, "no-such-job")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == "error: Job not found: no-such-job\n  hint: `agent-memory scheduler status` lists the jobs\n"
    assert typed("scheduler", "history", "no-such-job").err == "error: Job not found: no-such-job\n"


def test_a_server_that_does_not_answer_is_told_in_one_line(typed: Typed) -> None:
    ran = typed("scheduler", "status", "--url", f"http://127.0.0.1:{free_port()}")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: no answer from http://127.0.0.1:")
    assert ran.err.count("\n") == 2
    assert typed("scheduler", "status", "--url", "nowhere").code == 2


@pytest.fixture(scope="module")
def memories(stack: Stack) -> Iterator[None]:
    """Three memories of two namespaces, which can be found."""
    kept = [
        {"id": "tea", "text": "Nadia drinks green tea", "topics": ["drinks"], "namespace": "work", "user_id": "nadia"},
        {"id": "ferry", "text": "The ferry sails at noon", "topics": ["travel"], "entities": ["Ferry"], "namespace": "work"},
        {"id": "home", "text": "Tea at home is black", "topics": ["drinks"], "namespace": "home"},
    ]
    with SyncMemoryClient(stack.http_urls[0]) as client:
        client.wait_for(client.create_long_term_memory(kept).position)
        yield


def test_memories_are_found_and_told_as_documented(typed: Typed, memories: None) -> None:
    found = typed("search", "tea", "-n", "work", "--search-mode", "keyword")
    head, rule, *lines = found.out.splitlines()
    assert (found.code, head, rule) == (0, "Found 1 memories (showing 1):", "=" * 60)
    assert lines[:4] == ["[1] ID: tea", "    Score: 1.0000 (keyword)", "    Distance: 0.0000", "    Text: Nadia drinks green tea"]
    assert "    Topics: drinks" in lines


def test_programs_get_the_answer_of_the_server(typed: Typed, memories: None) -> None:
    by_format, by_json = typed("search", "tea", "-t", "drinks,travel", "--format", "json"), typed("search", "tea", "--json")
    assert by_format.json.keys() == by_json.json.keys() == {"memories", "total", "next_offset"}
    assert {hit["id"] for hit in by_format.json["memories"]} == {"tea", "home", "ferry"}
    assert by_format.out.startswith('{\n  "memories": [\n')


def test_without_a_query_the_filters_alone_list(typed: Typed, memories: None) -> None:
    def ids(*options: str) -> list[str]:
        return sorted(hit["id"] for hit in typed("search", *options, "--json").json["memories"])

    assert ids("-n", "work") == ["ferry", "tea"]
    assert ids("-e", "Ferry") == ["ferry"]
    assert ids("-n", "work", "-u", "nadia") == ["tea"]
    assert typed("search", "-n", "nowhere").out == "No memories found.\n"
    assert len(ids("-l", "1", "-o", "1")) == 1


def test_a_search_that_cannot_be_is_refused(typed: Typed) -> None:
    assert typed("search", "x", "--search-mode", "best").code == 2
    refused = typed("search", "x", "--search-mode", "keyword", "-d", "0.5")
    assert (refused.code, refused.err) == (1, "error: distance_threshold is only supported for semantic search mode\n")


def test_memories_are_deleted_by_id_within_their_namespace(typed: Typed, stack: Stack) -> None:
    with SyncMemoryClient(stack.http_urls[0], namespace="bin") as client:
        client.create_long_term_memory([{"id": name, "text": f"throw away {name}"} for name in ("a", "b")])
    assert typed("delete", "memory", "a", "b", "--dry-run").out == (
        "Would delete 2 memories:\n  a  throw away a\n  b  throw away b\n"
    )
    elsewhere = typed("delete", "memory", "a", "-n", "other", "-f")
    assert (elsewhere.out, elsewhere.err) == ("No memories to delete.\n", "Memory with ID a is of another namespace or user\n")
    assert typed("delete", "memory", "a", "b", "none", "-f").out == "Deleted 2 memories.\n"
    assert typed("delete", "memory", "a", "-f", "--json").json == {"dry_run": False, "deleted": 0, "memory_ids": []}


def test_what_is_stored_says_nothing_to_a_terminal(typed: Typed, stack: Stack) -> None:
    odd = {"id": "odd\x1b[31m", "text": "\x1b[2Jwiped", "topics": ["\x1b]0;title\x07"], "namespace": "odd\x1b[m"}
    with SyncMemoryClient(stack.http_urls[0]) as client:
        client.wait_for(client.create_long_term_memory([odd]).position)
    told = typed("search", "wiped", "-n", odd["namespace"]).out + typed("delete", "memory", odd["id"], "--dry-run").out
    assert told.count("wiped") == 2
    assert [line for line in told.splitlines() if not line.isprintable()] == []
    assert typed("delete", "memory", odd["id"], "-f").out == "Deleted 1 memories.\n"


def test_there_are_no_useless_memories_to_delete(typed: Typed, memories: None) -> None:
    assert typed("delete", "memory", "--empty-text", "--invalid", "-f").out == "No memories to delete.\n"
    assert typed("delete", "memory").code == typed("delete", "memory", "a", "--invalid").code == 2


def test_a_session_is_deleted_when_somebody_says_yes(typed: Typed, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with SyncMemoryClient(stack.http_urls[0]) as client:
        client.append_messages("s1", [{"role": "user", "content": "hello"}])
    for answer, code, out in (("n\n", 1, ""), ("y\n", 0, "Deleted working memory session: s1\n")):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        ran = typed("delete", "session", "s1")
        assert (ran.code, ran.out.lstrip()) == (code, out)
    gone = typed("delete", "session", "s1", "-f")
    assert (gone.code, gone.err) == (1, "error: Session s1 not found\n")


OLD = "agent_memory_server.long_term_memory"


def test_old_tasks_are_scheduled_as_documented(typed: Typed) -> None:
    compacting = (f"{OLD}.compact_long_term_memories", "-a", "limit=500", "-a", "compact_semantic_duplicates=false")
    ran = typed("schedule-task", *compacting)
    while "The task runs already" in ran.out:  # the scheduler's own run, which ends
        ran = typed("schedule-task", *compacting)
    assert (ran.code, ran.out) == (
        0,
        f"Scheduling task {OLD}.compact_long_term_memories with arguments: {{'limit': 500, 'compact_semantic_duplicates': False}}\n"
        "Task scheduled successfully\n",
    )
    assert "limit has no effect" in ran.err
    of_one = typed("schedule_task", f"{OLD}.compact_long_term_memories", "-a", "namespace=work", "--json")
    assert of_one.json["status"] == "scheduled"
    assert typed("schedule-task", "summary-views").code == 0
    assert "by themselves" in typed("schedule-task", f"{OLD}.index_long_term_memories").out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["os.system"], "there is no task os.system"),
        ([f"{OLD}.compact_long_term_memories", "-a", "limit"], "Invalid argument format: limit. Use key=value format."),
        ([f"{OLD}.compact_long_term_memories", "-a", "speed=9"], f"{OLD}.compact_long_term_memories has no argument speed"),
        (
            [f"{OLD}.compact_long_term_memories", "-a", "session_id=s1"],
            "memories of one session are not compacted alone: what says the same is looked for among all of a user",
        ),
        (["agent_memory_server.summary_views.refresh_summary_view"], "view_id is missing"),
        (["agent_memory_server.summary_views.refresh_summary_view", "-a", "view_id=x"], "SummaryView x not found"),
        ([f"{OLD}.periodic_forget_long_term_memories"], "Job not found: forgetting"),
        ([f"{OLD}.delete_long_term_memories"], f"{OLD}.delete_long_term_memories is not a task here"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_with_what_can(typed: Typed, arguments: list[str], error: str) -> None:
    ran = typed("schedule-task", *arguments)
    assert (ran.code, ran.err.splitlines()[0]) == (1, f"error: {error}")


def test_the_timeline_is_asked_over_http_where_a_server_is_named(typed: Typed, stack: Stack) -> None:
    event = {
        "event_id": "t1",
        "session_id": "t",
        "timestamp_ms": 1_769_731_200_000,
        "role": "user",
        "text": "We deploy on Thursdays.",
    }
    with SyncMemoryClient(stack.http_urls[0], namespace="told") as client:
        client.wait_for(client.record_events([event]).position, projections=["contents"])
        client.wait_for(client.position, projections=["timeline-index"])
    asked = ("timeline", "search", "deploy", "-n", "told", "--kind", "event", "--mode", "keyword", "--to", "2026-01-30", "--json")
    (over_http,), (over_grpc,) = typed(*asked).json, typed(*asked, "-e", f"http://127.0.0.1:{stack.grpc_port}").json
    assert (over_http["id"], over_http["event"], over_http["text"]) == ("t1", over_grpc["event"], over_grpc["text"])
    (year,) = typed("timeline", "-n", "told", "--json", "--depth", "2").json
    assert (year["node_id"], year["children"][0]["node_id"]) == ("toc:year:2026", "toc:month:2026-01")
    assert typed("timeline", "toc:year:1999", "--url", stack.http_urls[0]).err.startswith("error: Node not found: toc:year:1999\n")
