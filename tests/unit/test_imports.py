"""`agent-memory import`, from the command line to the requests that a server gets."""

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from agent_memory.cli.loading.reach import server_url
from agent_memory.cli.main import main
from agent_memory.cli.output import CommandError
from agent_memory.cli.sample import history
from agent_memory.embedded.home import Home
from agent_memory.embedded.processes import birth
from agent_memory.embedded.state import StackState, write_state
from support.scripted import Asked, ScriptedServer, Told, scripted

DATA = Path(__file__).parent.parent / "data" / "imports"


class Timeline:
    """What a server keeps: each event once, in the order of arrival. Refuses texts that say so."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.scopes: set[tuple[str | None, str | None]] = set()
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Told:
        body: Any = asked.json
        with self._lock:
            for index, event in enumerate(body["events"]):
                if event["text"].startswith("refuse me"):
                    return Told(status=422, body={"detail": [{"loc": ["body", "events", index, "text"], "msg": "not wanted"}]})
                if event["text"] == "break":
                    return Told(status=422, body={"detail": "something in here is wrong"})
            outcomes = [{"event_id": each["event_id"], "created": each["event_id"] not in self.events} for each in body["events"]]
            self.events |= {event["event_id"]: event for event in body["events"] if event["event_id"] not in self.events}
            self.scopes.add((body.get("namespace"), body.get("user_id")))
            created = sum(outcome["created"] for outcome in outcomes)
            return Told(body={"events": outcomes, "created": created, "position": len(self.events)})


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture
def server(timeline: Timeline) -> Iterator[ScriptedServer]:
    with scripted(respond=timeline.answer) as running:
        yield running


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code: object = 0
    try:
        main(["import", *arguments])
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    assert code is None or isinstance(code, int)
    return code or 0, out, err


def written(path: Path, *texts: str, session: str = "s") -> str:
    lines = [{"session_id": session, "timestamp": number, "role": "user", "text": text} for number, text in enumerate(texts)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_the_sample_is_imported_whole_and_once(
    capsys: pytest.CaptureFixture[str], server: ScriptedServer, timeline: Timeline
) -> None:
    first = run(capsys, str(history()), "--url", server.url, "--json", "-n", "work", "-u", "nadia")
    second = run(capsys, str(history()), "--url", server.url, "--json", "-n", "work", "-u", "nadia")
    assert (first[0], second[0]) == (0, 0)
    created, known = json.loads(first[1]), json.loads(second[1])
    assert created["created"] == created["read"] == len(timeline.events)
    assert (known["created"], known["known"]) == (0, created["read"])
    assert timeline.scopes == {("work", "nadia")}


def test_events_of_a_session_arrive_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: ScriptedServer, timeline: Timeline
) -> None:
    names = [written(tmp_path / f"{name}.jsonl", *map(str, range(1_300)), session=name) for name in "abc"]
    assert run(capsys, *names, "--url", server.url)[0] == 0
    for name in "abc":
        texts = [event["text"] for event in timeline.events.values() if event["session_id"] == name]
        assert texts == [str(number) for number in range(1_300)]
    assert max(len(asked.json["events"]) for asked in server.asked) <= 500  # type: ignore[index]


def test_a_bad_line_is_told_and_the_rest_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: ScriptedServer, timeline: Timeline
) -> None:
    code, out, _ = run(capsys, written(tmp_path / "a.jsonl", "one", "", "three"), "--url", server.url)
    assert code == 4
    assert "created 2, already known 0" in out
    assert f"{tmp_path}/a.jsonl:2: text is empty" in out
    assert {event["text"] for event in timeline.events.values()} == {"one", "three"}


def test_an_event_that_the_server_refuses_is_a_bad_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: ScriptedServer, timeline: Timeline
) -> None:
    texts = ["one", "refuse me", "three", "break", "five", "refuse me too"]
    code, out, _ = run(capsys, written(tmp_path / "a.jsonl", *texts), "--url", server.url, "--json")
    summary = json.loads(out)
    assert code == 4
    assert (summary["read"], summary["created"], summary["bad"]) == (6, 3, 3)
    assert sorted(bad["line"] for bad in summary["bad_lines"]) == [2, 4, 6]
    assert {event["text"] for event in timeline.events.values()} == {"one", "three", "five"}


def test_only_the_first_twenty_bad_lines_are_shown_but_all_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, written(tmp_path / "a.jsonl", "good", *[""] * 30), "--dry-run")
    assert code == 4
    assert "30 bad lines:" in out
    assert "and 10 more" in out
    assert out.count("text is empty") == 20


def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str], server: ScriptedServer) -> None:
    code, out, _ = run(capsys, str(history()), "--dry-run", "--url", server.url)
    assert code == 0
    assert "dry run: nothing was sent" in out
    assert server.asked == []


def test_a_file_that_holds_no_history_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: ScriptedServer, timeline: Timeline
) -> None:
    (tmp_path / "picture.jsonl").write_bytes(b"\x89PNG")
    code, out, _ = run(capsys, str(tmp_path / "picture.jsonl"), str(DATA / "own.jsonl"), "--url", server.url)
    assert code == 4
    assert f"1 file not read:\n  {tmp_path}/picture.jsonl: not a history that can be read" in out
    assert timeline.events


def test_a_file_that_is_not_there_is_an_error_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: ScriptedServer
) -> None:
    code, out, err = run(capsys, str(DATA / "own.jsonl"), str(tmp_path / "none.jsonl"), "--url", server.url)
    assert (code, out) == (1, "")
    error, hint = err.splitlines()
    assert error == f"error: {tmp_path}/none.jsonl cannot be read: No such file or directory"
    assert hint.startswith("  hint: nothing was sent")
    assert server.asked == []


def test_a_file_that_may_not_be_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = written(tmp_path / "a.jsonl", "one")

    opened = Path.open

    def closed(path: Path, *how: Any, **more: Any) -> IO[Any]:  # root may read everything: a mode of 000 would show nothing
        if str(path) == name:
            raise PermissionError(13, "Permission denied", name)
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", closed)
    code, _, err = run(capsys, name, "--dry-run")
    assert code == 1
    assert err.startswith(f"error: {name} cannot be read: Permission denied\n  hint: ")


def test_a_folder_without_a_history_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, str(tmp_path), "--dry-run")
    assert code == 1
    assert f"no *.jsonl in {tmp_path}" in err


def test_a_folder_gives_all_histories_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path / "a.jsonl", "one")
    written(tmp_path / "deep" / "b.jsonl", "two")
    (tmp_path / "notes.txt").write_text("not a history")
    code, out, _ = run(capsys, str(tmp_path), "--dry-run", "--json")
    assert (code, json.loads(out)["read"]) == (0, 2)


def test_many_files_are_told_by_their_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        written(tmp_path / f"{number}.jsonl", "one")
    assert "12 files: 12 Agent Memory JSONL" in run(capsys, str(tmp_path), "--dry-run")[1]


def test_an_export_is_read_out_of_its_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(DATA / "chatgpt.json", "conversations.json")
        archive.writestr("user.json", "{}")
    summary = json.loads(run(capsys, str(tmp_path / "export.zip"), "--dry-run", "--json")[1])
    assert summary["read"] == 7
    assert list(summary["files"].values()) == ["ChatGPT export"]


def test_a_damaged_archive_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(DATA / "chatgpt.json", "conversations.json")
    whole = (tmp_path / "export.zip").read_bytes()
    (tmp_path / "export.zip").write_bytes(whole[:200] + bytes(300) + whole[500:])
    code, out, err = run(capsys, str(tmp_path / "export.zip"), "--dry-run")
    assert code == 1
    assert "the archive is damaged" in out + err


def test_standard_input_is_read_to_its_end(server: ScriptedServer, timeline: Timeline) -> None:
    argv = [sys.executable, "-m", "agent_memory.cli.main", "import", "-", "--url", server.url]
    done = subprocess.run(argv, input=history().read_bytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"created {len(timeline.events)}" in done.stdout.decode()


def test_a_format_can_be_insisted_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, str(DATA / "own.jsonl"), "--format", "claude-code", "--dry-run")
    assert code == 1
    assert "type is missing" in out
    assert run(capsys, str(DATA / "own.jsonl"), "--format", "word", "--dry-run")[0] == 2


def test_a_server_that_goes_away_is_told_with_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(Told(status=401, body={"detail": "Invalid token"})) as server:
        code, out, err = run(capsys, written(tmp_path / "a.jsonl", "one"), "--url", server.url)
    assert code == 1
    assert "created 0" in out
    assert "stopped after 0 events: Invalid token" in err


def test_no_server_is_told_with_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no server to talk to") as caught:
        server_url(None, {"AGENT_MEMORY_HOME": str(tmp_path)})
    assert caught.value.code == 3
    assert "agent-memory up" in caught.value.hint


def test_the_server_is_the_typed_one_then_the_environments_then_the_one_of_this_machine(tmp_path: Path) -> None:
    state = StackState(phase="ready", pid=1, born=birth(1), home=str(tmp_path), started_ms=0, http_urls=["http://127.0.0.1:5"])
    write_state(Home(path=tmp_path), state)
    environment: Mapping[str, str] = {"AGENT_MEMORY_HOME": str(tmp_path)}
    assert server_url(None, environment) == "http://127.0.0.1:5"
    assert server_url(None, {**environment, "AGENT_MEMORY_URL": "http://b:1/"}) == "http://b:1"
    assert server_url("http://a:1", {**environment, "AGENT_MEMORY_URL": "http://b:1"}) == "http://a:1"
