"""What scripts read that were written for the Redis agent memory server: the same lines, in the same order."""

import json
import re
from collections.abc import Callable

import pytest

from support.typed import Typed

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"
SHORT = r"\S{8}\.\.\.\S{8}"
LIST = f"""\
Authentication Tokens:
{"=" * 50}
Token: {SHORT}
Description: API access token
Created: {TIME}
Expires: {TIME}
{"-" * 30}
Token: {SHORT}
Description: Service account token
Created: {TIME}
Expires: Never
{"-" * 30}
"""
ADDED = f"""\
Token created successfully!
Token: \\S+
Description: API access token
Expires: {TIME}

WARNING: Save this token securely\\. It will not be shown again\\.
"""
SHOWN = f"""\
Token: {SHORT}
Description: API access token
Created: {TIME}
Expires: {TIME}
Status: Active
"""
REMOVED = f"""\
Token to remove:
Token: {SHORT}
Description: Service account token
Created: {TIME}
Expires: Never
Token removed successfully\\.
"""


@pytest.fixture(autouse=True)
def log(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def reads_as(output: str, documented: str) -> bool:
    """Whether each documented line is there, in that order; more may be said in between."""
    rest = iter(output.splitlines())
    return all(any(re.fullmatch(line, found) for found in rest) for line in documented.splitlines())


def filled(typed: Typed) -> None:
    assert reads_as(typed("token", "add", "--description", "API access token", "--expires-days", "30").out, ADDED)
    assert typed("token", "add", "-d", "Service account token").code == 0


def test_tokens_are_added_and_listed_as_documented(typed: Typed) -> None:
    assert typed("token", "list").out == "No tokens found.\n"
    filled(typed)
    assert reads_as(typed("token", "list").out, LIST)


def test_programs_get_the_documented_fields(typed: Typed) -> None:
    filled(typed)
    listed = typed("token", "list", "--format", "json").json
    first, second = listed
    fields = {"hash", "description", "created_at", "expires_at", "status"}
    assert fields <= first.keys() & second.keys()
    assert (first["status"], second["status"], second["expires_at"]) == ("Active", "Never Expires", None)
    assert re.fullmatch(TIME, first["created_at"])
    assert re.fullmatch(TIME, first["expires_at"])
    assert typed("token", "list", "--json").json == listed
    added = typed("token", "add", "-d", "CI token", "-e", "30", "--format", "json").json
    assert {"token", "description", "created_at", "expires_at", "hash"} <= added.keys()
    given = typed("token", "add", "-d", "bootstrap", "--token", "made-by-terraform-0123456789", "--json").json
    assert given["token"] == "made-by-terraform-0123456789"


@pytest.mark.parametrize("part", [lambda whole: whole, lambda whole: whole[-12:]], ids=["the whole hash", "a part of it"])
def test_a_token_is_shown_by_its_hash(typed: Typed, part: Callable[[str], str]) -> None:
    filled(typed)
    whole = typed("token", "list", "--json").json[0]["hash"]
    assert reads_as(typed("token", "show", part(whole)).out, SHOWN)
    shown = typed("token", "show", part(whole), "--format", "json").json
    assert (shown["hash"], shown["description"], shown["status"]) == (whole, "API access token", "Active")


def test_a_token_that_is_not_there_is_an_error_for_people_and_for_programs(typed: Typed) -> None:
    told, programs = typed("token", "show", "nothing"), typed("token", "show", "nothing", "--format", "json")
    assert (told.code, programs.code, json.loads(programs.out)) == (1, 1, {"error": "No token found matching 'nothing'"})
    assert told.err.startswith("error: No token found matching 'nothing'\n")


def test_a_token_is_removed_as_documented(typed: Typed) -> None:
    filled(typed)
    of_service = typed("token", "list", "--json").json[1]["hash"]
    assert reads_as(typed("token", "remove", of_service, "--force").out, REMOVED)
    assert [one["description"] for one in typed("token", "list", "--json").json] == ["API access token"]


@pytest.mark.parametrize(
    "command", [["token", "list"], ["events", "tail"], ["doctor"], ["dead-letters", "list"], ["rebuild-index"], ["rebuild-toc"]]
)
def test_servers_that_do_not_answer_are_told_in_one_line_with_a_hint(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    ran = typed(*command)
    assert (ran.code, ran.out) == (3, "")
    error, hint = ran.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("  hint: ")
