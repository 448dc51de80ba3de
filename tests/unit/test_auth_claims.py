"""Claims: the token shapes of the great issuers, and what every one of them must say."""

from typing import Any

import pytest

from agent_memory.auth.claims import is_machine, parsed, principal_of
from agent_memory.auth.principal import IMPLIED, Principal, bearer
from agent_memory.contracts.errors import Forbidden, Unauthorized
from agent_memory.contracts.records import Scope
from agent_memory.gateway.settings import AuthSettings
from support.token_shapes import (
    AUTH0,
    AUTH0_SETTINGS,
    COGNITO,
    COGNITO_ID,
    COGNITO_SETTINGS,
    ENTRA,
    NOW,
    OKTA,
    SHAPES,
    settings,
)


@pytest.mark.parametrize(("claims", "given", "user_id"), SHAPES)
def test_a_token_of_each_issuer_binds_its_user_and_leaves_machines_free(
    claims: dict[str, Any], given: AuthSettings, user_id: str | None
) -> None:
    found = principal_of(claims, given, NOW)
    assert found == Principal(subject=claims["sub"], user_id=user_id, permissions=IMPLIED["write"])


def refusal(claims: dict[str, Any], given: AuthSettings = AUTH0_SETTINGS) -> str:
    with pytest.raises(Unauthorized) as raised:
        principal_of(claims, given, NOW)
    return raised.value.detail


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in AUTH0.items() if key != name}


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({**AUTH0, "exp": NOW}, "Token has expired"),
        ({**AUTH0, "exp": NOW - 1}, "Token has expired"),
        ({**AUTH0, "iat": NOW + 301}, "Token issued in the future"),
        ({**AUTH0, "nbf": NOW + 60}, "Invalid JWT: The token is not yet valid (nbf)"),
        ({**AUTH0, "aud": "https://other.example"}, "Invalid audience. Expected: https://memory.example"),
        ({**AUTH0, "aud": ["https://other.example"]}, "Invalid audience. Expected: https://memory.example"),
        ({**AUTH0, "aud": []}, "Invalid audience. Expected: https://memory.example"),
        ({**AUTH0, "aud": {"https://memory.example": 1}}, "Invalid audience. Expected: https://memory.example"),
        ({**AUTH0, "aud": "https://memory.example.evil"}, "Invalid audience. Expected: https://memory.example"),
        (without("aud"), "Invalid audience. Expected: https://memory.example"),
        ({**without("aud"), "client_id": "https://memory.example"}, "Invalid audience. Expected: https://memory.example"),
        (without("sub"), "Token missing subject (sub) claim"),
        ({**AUTH0, "sub": ""}, "Token missing subject (sub) claim"),
        ({**AUTH0, "sub": 7}, "Token missing subject (sub) claim"),
        ({**AUTH0, "sub": ["anna"]}, "Token missing subject (sub) claim"),
        (without("iss"), "Invalid JWT: Invalid issuer"),
        ({**AUTH0, "iss": "https://acme.eu.auth0.com"}, "Invalid JWT: Invalid issuer"),
        ({**AUTH0, "iss": ["https://acme.eu.auth0.com/"]}, "Invalid JWT: Invalid issuer"),
        (without("exp"), 'Invalid JWT: Token is missing the "exp" claim'),
        (without("iat"), 'Invalid JWT: Token is missing the "iat" claim'),
        ({**AUTH0, "exp": None}, 'Invalid JWT: Token is missing the "exp" claim'),
        *(({**AUTH0, "exp": odd}, "Invalid JWT: exp must be a number of seconds") for odd in ("9" * 12, True, [1], 1e300, 10**400)),
        *(({**AUTH0, "nbf": odd}, "Invalid JWT: nbf must be a number of seconds") for odd in ("0", False, {})),
        ({**AUTH0, "sub": "a\0b"}, 'Invalid JWT: the claim "sub" is no name'),
        ({**AUTH0, "sub": "\ud800"}, 'Invalid JWT: the claim "sub" is no name'),
        ({**AUTH0, "sub": "s" * 256}, 'Invalid JWT: the claim "sub" is no name'),
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_named(claims: dict[str, Any], detail: str) -> None:
    assert refusal(claims) == detail


@pytest.mark.parametrize(
    "claims", [{**AUTH0, "exp": NOW + 0.5}, {**AUTH0, "iat": NOW + 300}, {**AUTH0, "nbf": NOW + 5}, {**AUTH0, "nbf": NOW}]
)
def test_what_is_just_in_time_counts(claims: dict[str, Any]) -> None:
    assert principal_of(claims, AUTH0_SETTINGS, NOW) == principal_of(AUTH0, AUTH0_SETTINGS, NOW)


def test_an_id_token_of_another_client_does_not_pass_for_an_access_token() -> None:
    assert refusal({**COGNITO_ID, "aud": "another"}, COGNITO_SETTINGS).startswith("Invalid audience")
    assert refusal({**COGNITO, "client_id": "another"}, COGNITO_SETTINGS).startswith("Invalid audience")
    assert refusal({**COGNITO, "token_use": "id"}, COGNITO_SETTINGS).startswith("Invalid audience")


def test_any_audience_is_accepted_where_that_is_asked_for() -> None:
    assert principal_of(without("aud"), settings(AUTH0, "*"), NOW) == principal_of(AUTH0, AUTH0_SETTINGS, NOW)


def test_claims_name_tenant_user_and_namespaces() -> None:
    mapped = settings(
        AUTH0,
        "https://memory.example",
        oauth2_tenant_claim="https://memory.example/tenant",
        oauth2_user_claim="email",
        oauth2_namespaces_claim="areas",
    )
    found = principal_of({**AUTH0, "email": "anna@acme.example", "areas": ["work", "home", "work"]}, mapped, NOW)
    assert (found.tenant, found.user_id, found.namespaces) == ("acme", "anna@acme.example", ("home", "work"))
    assert principal_of({**AUTH0, "email": "a", "areas": "home work"}, mapped, NOW).namespaces == ("home", "work")
    for claims, name in (
        ({**without("https://memory.example/tenant"), "email": "a", "areas": "a"}, "https://memory.example/tenant"),
        ({**AUTH0, "areas": "a"}, "email"),
        ({**AUTH0, "email": "a"}, "areas"),
        ({**AUTH0, "email": "a", "areas": []}, "areas"),
        ({**AUTH0, "email": "a", "areas": [7]}, "areas"),
    ):
        assert refusal(claims, mapped) == f'Invalid JWT: Token is missing the "{name}" claim'
    assert refusal({**AUTH0, "email": ["a"], "areas": "a"}, mapped) == 'Invalid JWT: the claim "email" is no name'
    assert refusal({**AUTH0, "email": "a", "areas": ["a\0"]}, mapped) == 'Invalid JWT: the claim "areas" holds what is no name'


def test_a_token_may_name_any_user_where_that_is_asked_for() -> None:
    assert principal_of(AUTH0, settings(AUTH0, "https://memory.example", oauth2_user_claim=""), NOW).user_id is None


NAMED = {"oauth2_read_scope": "memory:read", "oauth2_write_scope": "memory:write", "oauth2_admin_scope": "Memory.Admin"}


@pytest.mark.parametrize(
    ("claims", "more", "allowed"),
    [
        ({}, {}, "write"),
        ({}, NAMED, None),
        ({"scope": "openid memory:read"}, NAMED, "read"),
        ({"scope": "memory:readers"}, NAMED, None),
        ({"scp": ["memory:write"]}, NAMED, "write"),
        ({"permissions": ["memory:write", 7]}, NAMED, "write"),
        ({"roles": ["Memory.Admin"], "scope": "memory:read"}, NAMED, "admin"),
        ({"roles": ["Memory.Admin"], "scope": "memory:read"}, {**NAMED, "oauth2_scope_claim": "scope"}, "read"),
        ({"scope": {"memory:read": 1}}, NAMED, None),
        ({"scope": ""}, {"oauth2_write_scope": "w"}, None),
    ],
)
def test_scopes_allow_what_the_settings_call_them(claims: dict[str, Any], more: dict[str, str], allowed: str | None) -> None:
    plain = {name: value for name, value in AUTH0.items() if name not in ("scope", "permissions")}
    found = principal_of({**plain, **claims}, settings(AUTH0, "https://memory.example", **more), NOW)
    assert found.permissions == (IMPLIED[allowed] if allowed else frozenset())


def test_a_user_is_not_taken_for_a_machine() -> None:
    for claims in (
        AUTH0,
        COGNITO,
        OKTA,
        ENTRA,
        {**ENTRA, "scp": "memory.read", "sub": ENTRA["oid"]},
        {"sub": None, "azp": None},
        {},
    ):
        assert not is_machine(claims)
    assert is_machine({"sub": "x", "idtyp": "app"})


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b'{"exp":Infinity}', b'{"exp":NaN}', b"\xff", b"[" * 100_000])
def test_claims_that_are_no_json_object_are_refused(payload: bytes) -> None:
    with pytest.raises(Unauthorized, match="Invalid JWT: the claims are not"):
        parsed(payload)


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        (None, "Missing authorization header"),
        (b"", "Missing authorization header"),
        (b"Bearer", "Missing authorization header"),
        (b"Bearer ", "Missing authorization header"),
        (b"Basic dXNlcjpwYXNz", "Missing authorization header"),
        (b"Token abc", "Missing authorization header"),
        (b"Bearerabc", "Missing authorization header"),
        (b"Bearer   ", "Missing bearer token"),
        (b"Bearer \xc3\xa4", "Invalid token"),
        (b"Bearer " + b"x" * 20_000, "Invalid token"),
    ],
)
def test_a_header_without_a_token_is_told_what_is_missing(header: bytes | None, detail: str) -> None:
    with pytest.raises(Unauthorized) as raised:
        bearer({} if header is None else {b"authorization": header})
    assert raised.value.detail == detail


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER  abc "])
def test_a_token_is_taken_from_its_header(header: bytes) -> None:
    assert bearer({b"authorization": header}) == "abc"


def test_a_scope_is_filled_with_what_the_credential_is_for() -> None:
    one = Principal(tenant="t", namespaces=("work",), user_id="anna")
    several = Principal(tenant="t", namespaces=("work", "home"))
    assert (
        one.scope(None, None)
        == one.scope("", "")
        == one.scope("work", "anna")
        == Scope(tenant="t", namespace="work", user_id="anna")
    )
    assert several.scope("home", "ben") == Scope(tenant="t", namespace="home", user_id="ben")
    assert Principal(tenant="t").scope("x", "y") == Scope(tenant="t", namespace="x", user_id="y")
    for principal, asked in ((one, ("home", None)), (one, (None, "ben")), (several, (None, None)), (several, ("other", None))):
        with pytest.raises(Forbidden):
            principal.scope(*asked)
