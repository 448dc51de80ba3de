"""Settings: as lax as applications are used to, and no further; every one documented and read by somebody."""

import json
import runpy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from agent_memory.cli.config import lines_of
from agent_memory.runtime.llm import Unconfigured, create_completer
from agent_memory.runtime.llm_credentials import credentials
from agent_memory.runtime.settings import Settings, SettingsError, load
from agent_memory.runtime.settings.accepted import Accepted
from agent_memory.runtime.settings.auth import AuthSettings, Switches
from agent_memory.runtime.settings.dotenv import adopt_dotenv, read_dotenv
from support.known_settings import SETTINGS

ROOT = Path(__file__).parents[2]
PROGRAM: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))
DECIDED_BY_CONTAINERS = {
    *("HOST", "PORT", "GRPC_ENABLED", "GRPC_HOST", "GRPC_PORT", "MCP_HOST", "MCP_PORT", "METRICS_PORT"),
    *("SERVICE_REPLICA", "OTEL_SERVICE_NAME"),
    *("GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE", "GRPC_TLS_CLIENT_CA_FILE"),  # files that somebody has to mount
    *("WORKING_MEMORY_REDIS_URL", "TOKEN_AUTH_ENABLED"),
    *("TOPIC_MODEL_SOURCE", "TOPIC_MODEL", "NER_MODEL_SOURCE", "NER_MODEL"),  # need models that no image has
}
EVERYTHING = {
    field.name.upper() for struct in (Settings, AuthSettings, Switches, Accepted) for field in msgspec.structs.fields(struct)
}
SECRET = "sk-of-nobody-at-all"


def test_the_table_of_settings_is_current() -> None:
    assert PROGRAM["PAGE"].read_text() == PROGRAM["page"](), "python docs/make_settings.py"
    assert "| `TIMELINE_TIMEZONES` | object | `{}` |" in PROGRAM["page"]()


def test_every_setting_can_be_given_to_containers_or_is_decided_by_them() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    passed = {name for service in compose["services"].values() for name in service.get("environment") or ()}
    assert SETTINGS - passed == DECIDED_BY_CONTAINERS, "compose.yaml: put it beside those that the same services read"
    chart = json.loads((ROOT / "deploy" / "k8s" / "chart" / "values.schema.json").read_text())
    assert runpy.run_path(str(ROOT / "deploy" / "k8s" / "schema.py"))["schema"]() == chart, "run ./run docs"


def test_every_setting_is_read_by_somebody() -> None:
    read = PROGRAM["readers"]()
    kept = {field.name for struct in (Settings, AuthSettings, Switches) for field in msgspec.structs.fields(struct)}
    assert kept - set(read) == set()


def test_every_variable_of_the_server_that_was_there_before_is_known() -> None:
    assert set(PROGRAM["CONTRACT"].split()) - EVERYTHING == set()


@pytest.mark.parametrize("word", ["1", "true", "True", "YES", "on", "y", "t", " true "])
def test_words_for_yes(word: str) -> None:
    assert load({"FORGETTING_ENABLED": word}).forgetting_enabled is True


@pytest.mark.parametrize("word", ["0", "false", "No", "off", "n", "F"])
def test_words_for_no(word: str) -> None:
    assert load({"LONG_TERM_MEMORY": word}).long_term_memory is False


def test_an_empty_variable_is_as_if_it_were_not_there() -> None:
    empty = {name: "" for name in ("PORT", "REDIS_URL", "FORGETTING_MAX_AGE_DAYS", "LONG_TERM_MEMORY", "DISABLE_AUTH")}
    assert load(empty) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("LONG_TERM_MEMORY", "maybe"),
        ("FORGETTING_MAX_AGE_DAYS", "nan"),
        ("FORGETTING_EVERY_MINUTES", "0"),
        ("TOPIC_MODEL_SOURCE", "oracle"),
        ("SUMMARIZATION_THRESHOLD", "1.5"),
        ("DEDUPLICATION_DISTANCE_THRESHOLD", "-0.1"),
        ("QUERY_OPTIMIZATION_PROMPT_TEMPLATE", "nothing to fill in"),
        ("REDIS_URL", "redis+cluster://a:b@host"),
        ("WORKING_MEMORY_REDIS_URL", "memcached://host"),
        ("DATABASE_URL", "mysql://host/db"),
        ("LOG_LEVEL", "LOUD"),
        ("AUTH_MODE", "maybe"),
        ("OAUTH2_ALGORITHMS", "RS256"),
        ("ALLOW_OPEN", "perhaps"),
        ("USE_DOCKET", "perhaps"),
        ("REDISVL_DISTANCE_METRIC", "L2"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}=.* cannot be used"):
        load({variable: value})


@pytest.mark.parametrize(
    ("url", "seen"), [("redis+cluster://me:hush@host", "***@host"), ("memcached://:hush@host", "***@host"), ("x://[hush@h", "***")]
)
def test_a_wrong_address_is_told_without_its_password(url: str, seen: str) -> None:
    with pytest.raises(SettingsError) as told:
        load({"REDIS_URL": url})
    assert seen in str(told.value)
    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://host/db?password=hush&sslmode=require", "postgresql://host/db?password=***&sslmode=require"),
        ("postgresql://me:hush@host/db?sslpassword=hush", "postgresql://***@host/db?sslpassword=***"),
        ("host=h password='hu\\' hush@' dbname=d", "host=h password=*** dbname=d"),
        ("host=h user=me passfile=/run/pass", "host=h user=me passfile=/run/pass"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_a_password_is_hidden_wherever_it_stands_in_an_address(url: str, seen: str) -> None:
    assert {line.name: line.value for line in lines_of({"DATABASE_URL": url})}["DATABASE_URL"] == seen


def test_neither_a_log_nor_the_command_line_shows_a_secret() -> None:
    given = {name: SECRET for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
    given |= {"DATABASE_URL": f"postgresql://me:{SECRET}@host/db", "WORKING_MEMORY_REDIS_URL": f"redis://:{SECRET}@host"}
    shown = {line.name: line.value for line in lines_of(given) if line.given}
    assert shown["WORKING_MEMORY_REDIS_URL"] == "redis://***@host"
    assert SECRET not in f"{load(given)} {load(given)!r} {shown}"


def test_each_provider_is_given_its_own_keys_only() -> None:
    settings = Settings(anthropic_api_key="a", anthropic_api_base="http://127.0.0.1:1", aws_access_key_id="i", region_name="r")
    assert credentials("claude-opus", settings) == {"api_key": "a", "api_base": "http://127.0.0.1:1"}
    assert credentials("bedrock/some", settings) == {"aws_access_key_id": "i", "aws_region_name": "r"}
    assert credentials("ollama/some", settings) == {}


def test_a_model_of_anthropic_without_a_key_is_none() -> None:
    assert isinstance(create_completer(Settings(generation_model="claude-opus")), Unconfigured)


def test_dotenv_is_read_as_people_write_it() -> None:
    text = """\ufeff# a comment
PLAIN=one
export SPACED = two words   # and a comment
HASH=a#b
QUOTED="x # y\\n\\"z\\"" # c
SINGLE='${PLAIN}'
FILLED=${PLAIN}-${ABSENT:-else}-${GIVEN}
EMPTY=
LINES="first
second"
no variable at all
BROKEN="never closed
LAST=9"""
    assert read_dotenv(text.removeprefix("\ufeff"), {"GIVEN": "g"}) == {
        "PLAIN": "one",
        "SPACED": "two words",
        "HASH": "a#b",
        "QUOTED": 'x # y\n"z"',
        "SINGLE": "${PLAIN}",
        "FILLED": "one-else-g",
        "EMPTY": "",
        "LINES": "first\nsecond",
        "LAST": "9",
    }


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeffPORT=1\r\nHOST=there\r\n", encoding="utf-8")
    environment = {"PORT": "2"}
    adopt_dotenv(environment, tmp_path)
    assert environment == {"PORT": "2", "HOST": "there"}


def test_no_dotenv_is_no_mistake(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    adopt_dotenv(environment, tmp_path)
    (tmp_path / ".env").mkdir()
    adopt_dotenv(environment, tmp_path)
    assert environment == {}


def test_working_memory_lies_with_the_rest_unless_told_otherwise() -> None:
    assert Settings(redis_url="redis://a").views_redis_url == "redis://a"
    assert Settings(redis_url="redis://a", working_memory_redis_url="redis://b").views_redis_url == "redis://b"
