"""A config.toml of the timeline daemon: who writes its summaries goes on to hold, and what has no effect is named."""

from pathlib import Path

import pytest

from agent_memory.cli.daemon.context import Context
from agent_memory.cli.daemon.lifecycle import stack_environment
from agent_memory.cli.daemon.old_keys import variables, without_effect
from agent_memory.cli.daemon.settings import BadConfig, DaemonSettings
from agent_memory.cli.output import CommandError

OPENAI = {"model": "gpt-4o-mini", "api_key": "in-file", "api_base_url": "http://models:1/v1"}


def test_the_summarizer_of_the_file_is_the_model_that_is_asked() -> None:
    assert variables({"summarizer": OPENAI}, {}) == {
        "GENERATION_MODEL": "gpt-4o-mini",
        "OPENAI_API_KEY": "in-file",
        "OPENAI_API_BASE": "http://models:1/v1",
        "EMBEDDING_MODEL": "local",
    }
    of_anthropic = {"provider": "Anthropic", "model": "claude-x", "api_key_env": "MY_KEY"}
    assert variables({"summarizer": of_anthropic}, {"MY_KEY": "k"}) == {"GENERATION_MODEL": "claude-x", "ANTHROPIC_API_KEY": "k"}
    assert variables({"summarizer": {"provider": "anthropic", "model": "x"}}, {}) == {"GENERATION_MODEL": "anthropic/x"}
    assert variables({"summarizer": {}}, {}) == variables({"grpc_port": 1}, {}) == {}


def test_the_environment_holds_over_the_file() -> None:
    said = {"GENERATION_MODEL": "none", "OPENAI_API_KEY": "mine", "OPENAI_API_BASE": " "}
    assert variables({"summarizer": OPENAI}, said) == {"OPENAI_API_BASE": "http://models:1/v1"}
    assert variables({"summarizer": OPENAI}, {**said, "OPENAI_API_BASE": "http://else:1"}) == {}
    assert "EMBEDDING_MODEL" not in variables({"summarizer": OPENAI}, {"EMBEDDING_MODEL": "hash"})


@pytest.mark.parametrize(
    ("told", "idle"),
    [
        ({"grpc_port": 1, "summarizer": OPENAI}, []),
        ({"agent_id": "a", "dedup": {"enabled": True}, "token": "t"}, ["agent_id", "dedup"]),
        ({"summarizer": {**OPENAI, "temperature": 1}}, ["summarizer.temperature"]),
        ({"summarizer": {"provider": "ours"}}, ["summarizer (its provider is 'ours'; set GENERATION_MODEL to provider/name)"]),
        ({"summarizer": {"provider": "anthropic"}}, ["summarizer (it names no model; set GENERATION_MODEL)"]),
    ],
)
def test_what_has_no_effect_is_told(told: dict[str, object], idle: list[str]) -> None:
    assert without_effect(told) == idle
    if told.get("summarizer") != OPENAI and idle and "(" in idle[0]:
        assert variables(told, {}) == {}


@pytest.mark.parametrize("table", [{"model": 3}, "gpt-4o-mini"])
def test_what_is_none_of_its_values_is_refused(table: object) -> None:
    with pytest.raises(BadConfig, match="summarizer: Expected"):
        variables({"summarizer": table}, {})


def test_a_start_takes_the_file_and_says_what_it_does_not_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[summarizer]\nmodel = "gpt-4o-mini"\napi_key_env = "MY_KEY"\n[dedup]\nenabled = true\n')
    here = Context(environment={"MY_KEY": "k"}, file=file)
    given = stack_environment(DaemonSettings(), {"PORT": "1", **here.models()})
    assert (given["GENERATION_MODEL"], given["OPENAI_API_KEY"], given["EMBEDDING_MODEL"]) == ("gpt-4o-mini", "k", "local")
    assert capsys.readouterr().err == f"{file}: without effect here: dedup\n"
    file.write_text("[summarizer]\nmodel = 3\n")
    with pytest.raises(CommandError, match=r"config\.toml: summarizer: Expected `str`, got `int`"):
        here.models()
