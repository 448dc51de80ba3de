"""Modes of authentication: what contradicts itself, or would leave the door open, stops the start and is named."""

import pytest

from agent_memory.gateway.settings import AuthSettings, check_open, load_auth, warnings_of
from agent_memory.runtime.settings import Settings, SettingsError

ISSUER = {"OAUTH2_ISSUER_URL": "https://issuer.example/", "OAUTH2_AUDIENCE": "api"}


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "disabled"),
        ({"AUTH_MODE": ""}, "disabled"),
        ({"AUTH_MODE": "disabled"}, "disabled"),
        ({"AUTH_MODE": "disabled", "DISABLE_AUTH": "true"}, "disabled"),
        ({"DISABLE_AUTH": "true"}, "disabled"),
        ({"DISABLE_AUTH": "true", **ISSUER}, "disabled"),
        ({"AUTH_MODE": "disabled", **ISSUER}, "disabled"),
        ({"AUTH_MODE": "token"}, "token"),
        ({"AUTH_MODE": "TOKEN", "DISABLE_AUTH": "false"}, "token"),
        ({"TOKEN_AUTH_ENABLED": "true"}, "token"),
        ({"TOKEN_AUTH_ENABLED": "1", "DISABLE_AUTH": "False"}, "token"),
        ({"AUTH_MODE": "oauth2", **ISSUER}, "oauth2"),
        ({"AUTH_MODE": "oauth2", "DISABLE_AUTH": "false", **ISSUER}, "oauth2"),
        ({"DISABLE_AUTH": "false", **ISSUER}, "oauth2"),
        (ISSUER, "oauth2"),
        ({"AUTH_MODE": "token", **ISSUER}, "token"),
    ],
)
def test_the_mode_is_what_the_switches_say(environment: dict[str, str], mode: str) -> None:
    assert load_auth(environment).auth_mode == mode


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AUTH_MODE": "on"}, "AUTH_MODE"),
        ({"DISABLE_AUTH": "maybe"}, "DISABLE_AUTH"),
        ({"TOKEN_AUTH_ENABLED": "si"}, "TOKEN_AUTH_ENABLED"),
        ({"DISABLE_AUTH": "true", "AUTH_MODE": "token"}, "DISABLE_AUTH"),
        ({"DISABLE_AUTH": "true", "AUTH_MODE": "oauth2", **ISSUER}, "DISABLE_AUTH"),
        ({"DISABLE_AUTH": "true", "TOKEN_AUTH_ENABLED": "true"}, "DISABLE_AUTH"),
        ({"DISABLE_AUTH": "false"}, "DISABLE_AUTH"),
        ({"DISABLE_AUTH": "false", "AUTH_MODE": "disabled"}, "DISABLE_AUTH"),
        ({"TOKEN_AUTH_ENABLED": "true", "AUTH_MODE": "disabled"}, "TOKEN_AUTH_ENABLED"),
        ({"TOKEN_AUTH_ENABLED": "true", "AUTH_MODE": "oauth2", **ISSUER}, "TOKEN_AUTH_ENABLED"),
        ({"AUTH_MODE": "oauth2"}, "OAuth2 issuer URL not configured"),
        ({"AUTH_MODE": "oauth2", "OAUTH2_ISSUER_URL": "https://issuer.example"}, "OAUTH2_AUDIENCE"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_ISSUER_URL": "issuer.example"}, "OAUTH2_ISSUER_URL"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_JWKS_URL": "file:///etc/keys"}, "OAUTH2_JWKS_URL"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_ALGORITHMS": "RS256"}, "OAUTH2_ALGORITHMS"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_ALGORITHMS": "[]"}, "OAUTH2_ALGORITHMS"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_ALGORITHMS": '["RS256","none"]'}, "OAUTH2_ALGORITHMS"),
        ({"AUTH_MODE": "oauth2", **ISSUER, "OAUTH2_ALGORITHMS": '["HS256"]'}, "OAUTH2_ALGORITHMS"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load_auth(environment)


def test_keys_are_looked_for_at_the_issuer_unless_told_otherwise() -> None:
    assert load_auth(ISSUER).jwks_url == "https://issuer.example/.well-known/jwks.json"
    assert load_auth({**ISSUER, "OAUTH2_JWKS_URL": "https://keys.example/v1/keys"}).jwks_url == "https://keys.example/v1/keys"


def test_an_empty_claim_is_told_apart_from_one_that_is_not_given() -> None:
    assert (load_auth(ISSUER).oauth2_user_claim, load_auth({**ISSUER, "OAUTH2_USER_CLAIM": ""}).oauth2_user_claim) == ("sub", "")


def test_a_server_without_authentication_listens_to_this_machine_alone_unless_told_otherwise() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        check_open(Settings(host=host), allowed=False)
    for host in ("0.0.0.0", "::", "10.0.0.1", "memory.example"):
        check_open(Settings(host=host), allowed=True)
        with pytest.raises(SettingsError, match=r"HOST=.*AUTH_MODE"):
            check_open(Settings(host=host), allowed=False)


@pytest.mark.parametrize(
    ("settings", "auth", "words"),
    [
        (Settings(), AuthSettings(), ["from this machine"]),
        (Settings(host="0.0.0.0"), AuthSettings(), ["FROM ANYWHERE"]),
        (Settings(host="0.0.0.0"), AuthSettings(auth_mode="token"), []),
        (Settings(), load_auth(ISSUER), []),
        (Settings(), load_auth({**ISSUER, "OAUTH2_JWKS_URL": "http://127.0.0.1:1/keys"}), []),
        (Settings(), load_auth({**ISSUER, "OAUTH2_JWKS_URL": "http://keys.example/"}), ["OAUTH2_JWKS_URL"]),
        (
            Settings(),
            load_auth({**ISSUER, "OAUTH2_AUDIENCE": "*", "OAUTH2_USER_CLAIM": ""}),
            ["OAUTH2_AUDIENCE", "OAUTH2_USER_CLAIM"],
        ),
    ],
)
def test_an_operator_is_warned_of_what_is_open(settings: Settings, auth: AuthSettings, words: list[str]) -> None:
    found = warnings_of(settings, auth)
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
