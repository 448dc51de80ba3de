"""Hooks in Claude Code's settings: ours come and go, everything else stays."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent_memory.cli.hooks.claude_settings import HOOKS, BadSettings, installed, with_hooks, without_hooks
from agent_memory.cli.hooks.commands import app
from agent_memory.cli.output import CommandError

OURS = "/opt/venv/bin/memory-ingest --agent claude-code"
THEIRS = {"type": "command", "command": "notify-send 'done'"}


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception
    return result.stdout


entries = st.lists(
    st.fixed_dictionaries(
        {"hooks": st.lists(st.sampled_from([THEIRS, {"type": "command", "command": "x 'y"}, {"type": "prompt"}]), min_size=1)},
        optional={"matcher": st.sampled_from(["*", "Bash"])},
    ),
    min_size=1,
)
some_settings = st.fixed_dictionaries(
    {"model": st.text()}, optional={"hooks": st.dictionaries(st.sampled_from([*HOOKS, "Notification"]), entries, min_size=1)}
)


@given(some_settings)
def test_ours_come_and_go_and_nothing_else_changes(settings: dict[str, Any]) -> None:
    there = with_hooks(settings, OURS)
    assert set(installed(there)) == set(HOOKS)
    assert with_hooks(there, OURS) == there
    assert without_hooks(there) == settings
    assert without_hooks(settings) == settings


def test_a_program_that_moved_is_run_where_it_is_now() -> None:
    moved = with_hooks(with_hooks({}, "/old/bin/memory-ingest"), OURS)
    commands = [hook["command"] for list_ in moved["hooks"].values() for entry in list_ for hook in entry["hooks"]]
    assert commands == [OURS] * len(HOOKS)


@pytest.mark.parametrize("hooks", [[], {"Stop": {}}, {"Stop": ["x"]}, {"Stop": [{"hooks": {}}]}])
def test_settings_of_an_unknown_shape_are_left_alone(hooks: object) -> None:
    with pytest.raises(BadSettings):
        with_hooks({"hooks": hooks}, OURS)


def test_installing_writes_the_settings_and_keeps_the_old_ones(tmp_path: Path) -> None:
    file = tmp_path / "claude" / "settings.json"
    file.parent.mkdir()
    file.write_text('{"model": "opus", "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "say done"}]}]}}')
    before = file.read_text()
    preview = run("install", "claude-code", "--dry-run", "--settings", str(file))
    assert file.read_text() == before
    assert '+            "command": "' in preview
    assert not any(line.startswith("-") and not line.startswith("---") and line.strip("- ,]}") for line in preview.splitlines())
    assert run("install", "claude-code", "--settings", str(file)).startswith("changed")
    assert "as it should be" in run("install", "claude-code", "--settings", str(file))
    told = json.loads(file.read_text())
    assert told["model"] == "opus"
    assert [entry["hooks"][0]["command"].split()[0].rsplit("/")[-1] for entry in told["hooks"]["Stop"]] == ["say", "memory-ingest"]
    (backup,) = tmp_path.glob("claude/*.bak")
    assert backup.read_text() == before
    assert json.loads(run("status", "--json", "--settings", str(file)))["hooks"] == list(dict.fromkeys(["Stop", *HOOKS]))
    run("uninstall", "claude-code", "--settings", str(file))
    assert json.loads(file.read_text()) == json.loads(before)
    # Within one second, too.
    assert before in [one.read_text() for one in tmp_path.glob("claude/*.bak")]
    assert len(list(tmp_path.glob("claude/*.bak"))) == 2


def test_settings_that_do_not_exist_are_made(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    run("install", "claude-code", "--settings", str(file))
    assert set(json.loads(file.read_text())["hooks"]) == set(HOOKS)
    told = json.loads(run("uninstall", "claude-code", "--settings", str(file), "--json"))
    assert told == {"settings": str(file), "changed": True, "dry_run": False, "after": {}}
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"hooks": 3}'])
def test_settings_that_cannot_be_understood_are_not_touched(tmp_path: Path, content: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(CommandError):
        run("install", "claude-code", "--settings", str(file))
    assert file.read_text() == content
