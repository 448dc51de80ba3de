"""`agent-memory token` over a real store."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent_memory.cli.output import CommandError
from agent_memory.cli.tokens import app
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.secrets import lookup_id, matches
from agent_memory.eventlog.tokens import StoredToken, TokenStore


class Tokens:
    """The command line over one store."""

    def __init__(self, database_url: str) -> None:
        self._environment = {"DATABASE_URL": database_url, "REDIS_URL": ""}

    def run(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, arguments, env=self._environment, input=answer)

    def output(self, *arguments: str) -> str:
        result = self.run(*arguments)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.output(*arguments, "--format", "json"))


@pytest.fixture
def tokens(database_url: str) -> Tokens:
    return Tokens(database_url)


def test_a_new_token_is_shown_once_and_kept_as_a_hash(tokens: Tokens) -> None:
    made = tokens.json("add", "-d", "for tests")
    assert {"token", "description", "created_at", "expires_at", "hash"} <= made.keys()
    assert (made["description"], made["expires_at"]) == ("for tests", None)
    assert matches(made["token"], made["hash"])
    listed = tokens.output("list") + tokens.output("list", "--format", "json") + tokens.output("show", made["hash"])
    assert made["token"] not in listed


def test_a_new_token_in_words(tokens: Tokens) -> None:
    lines = tokens.output("add", "-d", "for tests").splitlines()
    assert lines[0] == "Token created successfully!"
    assert lines[1].startswith("Token: amt_")
    assert lines[2:4] == ["Description: for tests", "Expires: Never"]
    assert lines[-1] == "WARNING: Save this token securely. It will not be shown again."


def test_an_empty_list_says_so(tokens: Tokens) -> None:
    assert tokens.output("list") == "No tokens found.\n"
    assert tokens.json("list") == []


def test_a_list_hides_most_of_each_hash(tokens: Tokens) -> None:
    made = tokens.json("add", "-d", "first", "-e", "30")
    text = tokens.output("list")
    assert text.startswith("Authentication Tokens:\n" + "=" * 50 + "\n")
    assert f"Token: {made['hash'][:8]}...{made['hash'][-8:]}" in text
    assert made["hash"] not in text
    (one,) = tokens.json("list")
    assert (one["hash"], one["status"], one["expires_at"][-6:]) == (made["hash"], "Active", "+00:00")


def test_a_description_says_nothing_to_a_terminal(tokens: Tokens) -> None:
    told = tokens.output("add", "-d", "red \x1b[31m\rhidden") + tokens.output("list")
    assert told.count("Description: red  [31m hidden\n") == 2


def test_a_token_that_never_ends_is_told_apart(tokens: Tokens) -> None:
    tokens.json("add", "-d", "endless")
    assert [one["status"] for one in tokens.json("list")] == ["Never Expires"]


def test_a_token_is_bound_to_what_was_said(tokens: Tokens) -> None:
    bound = ("--tenant", "acme", "--namespace", "work", "--namespace", "home", "--user", "anna", "--scope", "read")
    made = tokens.json("add", "-d", "bound", *bound)
    found = tokens.json("show", made["id"])
    assert {name: found[name] for name in ("tenant", "namespaces", "user_id", "scopes", "status")} == {
        "tenant": "acme",
        "namespaces": ["work", "home"],
        "user_id": "anna",
        "scopes": ["read"],
        "status": "Active",
    }
    assert "read in tenant acme; namespaces work, home; user anna" in tokens.output("show", made["id"])


def test_a_token_of_somebody_elses_making_is_kept_as_well(tokens: Tokens) -> None:
    foreign = "terraform-made-this-one-0123456789"
    made = tokens.json("add", "-d", "foreign", "--token", foreign)
    assert (made["token"], made["id"]) == (foreign, lookup_id(foreign))
    assert matches(foreign, made["hash"])
    with pytest.raises(CommandError, match="this token is there already"):
        tokens.output("add", "-d", "again", "--token", foreign)


@pytest.mark.parametrize("token", ["", "two words", "umläute", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(CommandError, match="without spaces"):
        tokens.output("add", "-d", "odd", "--token", token)


@pytest.mark.parametrize("option", [("--tenant", ""), ("--user", "u" * 256), ("--namespace", "")])
def test_a_name_that_cannot_be_one_is_refused(tokens: Tokens, option: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=option[0]):
        tokens.output("add", "-d", "odd", *option)


@pytest.mark.parametrize("days", ["0", "36501", "99999999999"])
def test_a_token_ends_within_a_hundred_years_or_never(tokens: Tokens, days: str) -> None:
    assert tokens.run("add", "-d", "for ages", "-e", days).exit_code == 2
    assert tokens.json("list") == []
    assert tokens.json("add", "-d", "for a century", "-e", "36500")["expires_at"] > "2120"


async def test_one_token_with_an_end_beyond_all_calendars_hides_no_other(tokens: Tokens, database_url: str) -> None:
    forever = StoredToken(id="far", hash="$2b$far", description="far", scopes=["read"], created_ms=0, expires_ms=10**16)
    connections = Connections(database_url, size=1)
    await TokenStore(connections).add(forever)
    await connections.close()
    listed = await asyncio.to_thread(tokens.json, "list")
    assert [(one["id"], one["expires_at"], one["status"]) for one in listed] == [
        ("far", "9999-12-31T23:59:59.000000+00:00", "Active")
    ]


def test_a_token_is_found_by_hash_by_id_and_by_part_of_either(tokens: Tokens) -> None:
    made = tokens.json("add", "-d", "wanted")
    tokens.json("add", "-d", "other")
    for wanted in (made["hash"], made["id"], made["hash"][-12:], made["id"][:8]):
        assert tokens.json("show", wanted)["description"] == "wanted"


def test_a_hash_that_is_nobodys_or_more_than_ones_is_an_error(tokens: Tokens) -> None:
    made = [tokens.json("add", "-d", str(number)) for number in range(2)]
    result = tokens.run("show", "nobody", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"error": "No token found matching 'nobody'"})
    with pytest.raises(CommandError, match="matches 2 tokens"):
        tokens.output("show", made[0]["hash"][:4])
    with pytest.raises(CommandError, match="No token found"):
        tokens.output("show", made[0]["hash"][:30])


def test_no_hash_at_all_is_that_of_no_token_not_of_the_only_one(tokens: Tokens) -> None:
    tokens.json("add", "-d", "only")
    for what in (("show", ""), ("remove", "", "--force")):
        with pytest.raises(CommandError, match="No token found matching ''"):
            tokens.output(*what)
    assert len(tokens.json("list")) == 1


def test_a_token_is_removed_after_a_question_or_without_one(tokens: Tokens) -> None:
    made = [tokens.json("add", "-d", str(number)) for number in range(2)]
    refused = tokens.run("remove", made[0]["id"], answer="n\n")
    assert (refused.exit_code, len(tokens.json("list"))) == (1, 2)
    assert "Token removed successfully." in tokens.run("remove", made[0]["id"], answer="y\n").stdout
    assert tokens.output("remove", made[1]["hash"], "-f").splitlines()[-1] == "Token removed successfully."
    assert tokens.json("list") == []
