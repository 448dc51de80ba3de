"""What a log line carries, and what it must never carry."""

import io
import json
import logging
import uuid
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.commands import Tick
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import Scope
from agent_memory.runtime.logging import bound, bound_to, configure, redacted
from agent_memory.runtime.settings import Settings


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    handlers, level, configured = logging.root.handlers[:], logging.root.level, structlog.get_config()
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**configured)


def started(**settings: str) -> io.StringIO:
    out = io.StringIO()
    configure(Settings(**settings), "ingest", stream=out)  # type: ignore[arg-type]
    return out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_service_level_and_utc_time() -> None:
    out = started()
    structlog.get_logger().info("indexed", documents=3)
    (line,) = lines(out)
    assert (line["event"], line["documents"], line["service"], line["level"]) == ("indexed", 3, "ingest", "info")
    assert line["timestamp"].endswith("Z")


def test_what_is_bound_to_a_message_stands_on_every_line_inside_and_on_none_outside() -> None:
    out = started()
    envelope = CommandEnvelope(id="c1", scope=Scope(tenant="t"), issued_ms=0, command=Tick(job="j", due_ms=0), correlation_id="r1")
    log = structlog.get_logger()
    with bound_to(envelope), bound(projection="contents"):
        log.info("inside")
        logging.getLogger("library").warning("also inside")
    log.info("outside")
    inside, library, outside = lines(out)
    for line in (inside, library):
        assert {key: line[key] for key in ("tenant", "correlation_id", "command_id", "projection")} == {
            "tenant": "t",
            "correlation_id": "r1",
            "command_id": "c1",
            "projection": "contents",
        }
    assert "tenant" not in outside


def test_libraries_of_the_standard_logging_come_out_of_the_same_renderer() -> None:
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    out = started()
    logging.getLogger("uvicorn.error").warning("listening on %s", "redis://user:hunter2@host/0")
    (line,) = lines(out)
    assert (line["event"], line["logger"]) == ("listening on redis://***@host/0", "uvicorn.error")


@pytest.mark.parametrize("said", ["connecting to host=db password=hunter2 user=me", "postgresql://db/log?password=hunter2&x=1"])
def test_a_password_in_a_connection_string_is_hidden(said: str) -> None:
    assert redacted(said) == said.replace("hunter2", "***")


def test_lines_below_the_level_are_not_written() -> None:
    out = started(log_level="WARNING")
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert out.getvalue() == ""


def test_the_console_form_is_for_people() -> None:
    out = started(log_format="console")
    structlog.get_logger().info("indexed", password="hunter2")
    assert "indexed" in out.getvalue()
    assert "hunter2" not in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_a_traceback_is_on_the_line_without_the_secrets_in_it() -> None:
    out = started()
    try:
        raise ValueError("cannot reach postgresql://me:hunter2@db/log")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(out)
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_a_lone_surrogate_or_a_huge_number_does_not_stop_a_line() -> None:
    out = started()
    structlog.get_logger().info("odd", text="\ud800", number=10**30, thing=uuid.UUID(int=1))
    assert lines(out)[0]["number"] == 10**30


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "API_KEY", "openai-api-key", "token", "access_token", "Authorization", "client_secret", "key"],
)
def test_values_with_a_secret_name_are_hidden_at_any_depth(name: str) -> None:
    assert redacted({"a": [{name: "hunter2"}]}) == {"a": [{name: "***"}]}


@pytest.mark.parametrize("name", ["tokens", "keys", "keyword", "tokenizer", "monkey"])
def test_names_that_only_look_like_secrets_are_kept(name: str) -> None:
    assert redacted({name: 5}) == {name: 5}


@given(
    password=st.text(st.characters(categories=["L", "N"], include_characters="@:!$%+-_."), min_size=12),
    user=st.from_regex(r"[a-z]{0,8}", fullmatch=True),
)
def test_no_password_survives_in_a_url(password: str, user: str) -> None:
    assert password not in redacted(f"dial postgresql://{user}:{password}@db.example:5432/log failed")
