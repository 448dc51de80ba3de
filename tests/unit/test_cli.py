"""The command line as such: its list, its names, its errors, its start, and the page that is made of it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_memory.cli.config import lines_of, unknown
from agent_memory.cli.daemon.main import main as memory_daemon
from agent_memory.cli.main import main
from agent_memory.cli.old_tasks import known_paths, task_of, value_of
from agent_memory.cli.registry import COMMANDS
from agent_memory.embedded.processes import until
from agent_memory.runtime.settings.dotenv import adopt_dotenv
from support.typed import Typed

ROOT = Path(__file__).parents[2]
PROGRAM: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "make_cli.py"))
HEAVY = ("redis", "psycopg", "sqlalchemy", "litestar", "httpx", "grpc", "numpy", "faststream", "asyncio")
RELOADING = """
import sys, os
from pathlib import Path
from agent_memory.cli.reloading import run_reloading
folder = Path(sys.argv[1])
started = "import os, time; open('started', 'a').write(f'{os.getpid()} '); time.sleep(60)"
os.chdir(folder)
run_reloading([sys.executable, "-c", started], os.environ, [folder], lambda line: print(line, flush=True))
"""


def test_the_page_of_commands_is_current() -> None:
    assert PROGRAM["PAGE"].read_text() == PROGRAM["page"](), "python docs/make_cli.py"


@pytest.mark.parametrize("completed", [None, "agent-memory sched"])
def test_the_list_of_commands_loads_none_of_them_nor_does_its_completion(completed: str | None) -> None:
    code = "import sys; from agent_memory.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    asked = asking(completed) if completed else {}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert {name for name in HEAVY if name in loaded} == set()
    own = {name.removeprefix("agent_memory.cli.") for name in loaded if name.startswith("agent_memory.cli.")}
    assert own == {"main", "assembling", "registry", "output"}


@pytest.mark.parametrize("name", [spec.name for spec in COMMANDS])
def test_every_command_tells_what_it_is_for(typed: Typed, name: str) -> None:
    told = typed(name, "--help")
    assert (told.code, told.err) == (0, "")
    assert f"Usage: agent-memory {name}" in told.out


def test_names_with_underscores_are_understood(typed: Typed) -> None:
    for name in ("rebuild_index", "schedule_task", "task_worker", "dead_letters"):
        assert typed(name, "--help").code == 0


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "soon", "20260101x", "2026-1-1T00:00"])
@pytest.mark.parametrize(("program", "command"), [(main, ["rebuild-toc"]), (memory_daemon, ["admin", "rebuild-toc"])])
def test_a_day_that_is_none_is_wrong_usage_also_where_nothing_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: Any, command: list[str], day: str
) -> None:
    monkeypatch.setenv("AGENT_MEMORY_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        program([*command, "--from-date", day])
    assert (ended.value.code, capsys.readouterr()) == (
        2,
        ("", f"error: --from-date {day!r} is no date\n  hint: --from-date takes YYYY-MM-DD, such as 2026-01-31\n"),
    )


@pytest.mark.parametrize(
    ("words", "wrong", "of"),
    [
        ("serch", "No such command 'serch'. Did you mean 'search'?", "agent-memory"),
        ("search --no-such-option", "No such option: --no-such-option", "agent-memory search"),
        ("search --limit 0", "Invalid value for '--limit' / '-l': ", "agent-memory search"),
        ("--debug token show", "Missing argument 'HASH'.", "agent-memory token show"),
        ("token add -d", "Option '-d' requires an argument.", "agent-memory"),
    ],
)
def test_wrong_usage_is_one_line_and_where_to_look(typed: Typed, words: str, wrong: str, of: str) -> None:
    told = typed(*words.split())
    said, hint = told.err.splitlines()
    assert (told.code, told.out) == (2, "")
    assert said.startswith(f"error: {wrong}")
    assert hint == f"  hint: `{of} --help` shows what can be said"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (main, ["import", "--dry-run"]),
        (main, ["backup"]),
        (main, ["restore"]),
        (memory_daemon, ["start", "--db-path"]),
        (memory_daemon, ["admin", "--db-path"]),
    ],
)
def test_a_place_that_is_empty_is_not_taken_for_the_current_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: Any, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENT_MEMORY_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("MEMORY_GRPC_PORT", "none, so that nothing is ever started here")
    with pytest.raises(SystemExit) as ended:
        program([*words, "", *(["stats"] if words[0] == "admin" else [])])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, list(tmp_path.iterdir())) == (2, "", [])
    assert "the current folder is ." in err


def test_an_error_says_nothing_to_a_terminal(typed: Typed) -> None:
    assert typed("schedule-task", "x\x1b[31m").err.startswith("error: there is no task x [31m\n")
    assert "\x1b" not in typed("config", "--changed").out


def test_a_group_that_needs_a_command_shows_which_there_are(typed: Typed) -> None:
    told = typed("token")
    assert (told.code, told.out) == (2, "")
    assert "add" in told.err


def asking(words: str, shell: str = "bash") -> dict[str, str]:
    """The variables in which a shell hands over what it asks to complete."""
    asked = {"_AGENT_MEMORY_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        return {**asked, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return {**asked, "_TYPER_COMPLETE_ARGS": words}


def test_the_shell_completes_commands_options_and_jobs() -> None:
    def completed(words: str, shell: str = "bash", **more: str) -> str:
        asked = {**asking(words, shell), **more}
        argv = [sys.executable, "-c", "import sys; sys.argv[0] = 'agent-memory'; from agent_memory.cli.main import main; main([])"]
        return subprocess.run(argv, env={**os.environ, **asked}, capture_output=True, text=True, check=False).stdout

    assert set(completed("agent-memory sched").split()) == {"schedule-task", "scheduler"}
    assert completed("agent-memory scheduler pause comp").split() == ["compaction"]
    assert "--search-mode" in completed("agent-memory search --sea")
    assert completed("agent-memory scheduler pause comp", "zsh") == "_arguments '*: :((\"compaction\"))'\n"
    assert completed("agent-memory scheduler pause comp", "fish", _TYPER_COMPLETE_FISH_ACTION="get-args") == "compaction\n"


def test_version_is_told_to_people_and_to_programs(typed: Typed) -> None:
    number = typed("version", "--json").json["version"]
    assert typed("version").out == typed("--version").out == f"agent-memory-server version {number}\n"


def test_every_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nLOG_LEVEL=DEBUG\nUSE_DOCKET=true\n")
    environment = {"LOG_LEVEL": "INFO", "AGENT_MEMORY_TOKEN": "hush"}
    adopted = adopt_dotenv(environment, tmp_path)
    lines = {line.name: line for line in lines_of(environment, adopted)}
    assert (lines["PORT"].value, lines["PORT"].source) == (8001, ".env")
    assert (lines["LOG_LEVEL"].value, lines["LOG_LEVEL"].source) == ("INFO", "environment")
    assert (lines["HOST"].source, lines["USE_DOCKET"].effect) == ("default", False)
    assert lines["AGENT_MEMORY_TOKEN"].value == "***"


def test_what_looks_like_a_setting_and_is_none_is_named_with_what_may_be_meant() -> None:
    environment = {
        "AGENT_MEMORY_HOEM": "/",
        "EMBEDING_MODEL": "x",
        "TO_COME": "y",
        "PATH": "/bin",
        "MEMORY_ENDPOINT": "z",
        "PORT": "1",
    }
    found = {one.name: (one.source, one.meant) for one in unknown(environment, {"TO_COME"})}
    assert found["AGENT_MEMORY_HOEM"] == ("environment", "AGENT_MEMORY_HOME")
    assert found["EMBEDING_MODEL"] == ("environment", "EMBEDDING_MODEL")
    assert found["TO_COME"][0] == ".env"
    assert len(found) == 3


def test_values_of_arguments_are_what_they_look_like() -> None:
    texts = ("true", "False", "5", "-3", "0.5", "1e3", "five", "", "5 apples")
    assert [value_of(text) for text in texts] == [True, False, 5, -3, 0.5, 1000.0, "five", "", "5 apples"]


def test_every_task_in_the_list_of_known_ones_is_known() -> None:
    assert all(task_of(path) for path in known_paths())
    assert task_of("agent_memory_server") is task_of("agent_memory_server.long_term_memory.format_disk") is task_of("") is None


def test_a_program_is_started_again_when_its_code_changes(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("one = 1\n")
    running = subprocess.Popen([sys.executable, "-c", RELOADING, str(tmp_path)], stdout=subprocess.PIPE, text=True)

    def started() -> list[str]:
        file = tmp_path / "started"
        return file.read_text().split() if file.exists() else []

    try:
        assert until(lambda: len(started()) == 1, 20)
        (tmp_path / "code.py").write_text("two = 2\n")
        assert until(lambda: len(started()) == 2, 20)
    finally:
        running.terminate()
        told, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert told == "the code has changed: starting again\n"
    assert not any(Path(f"/proc/{pid}").exists() for pid in started())
