"""What access tokens of the great issuers look like, as they document them, and the settings that accept them."""

from typing import Any

from agent_memory.gateway.settings import AuthSettings

NOW = 1_800_000_000
TIMES = {"iat": NOW - 60, "exp": NOW + 3_600}

AUTH0 = {
    "iss": "https://acme.eu.auth0.com/",
    "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
    "aud": ["https://memory.example", "https://acme.eu.auth0.com/userinfo"],
    "azp": "my_client_id",
    "scope": "openid profile memory:read",
    "permissions": ["memory:write"],
    "https://memory.example/tenant": "acme",
    **TIMES,
}
AUTH0_MACHINE = {**AUTH0, "sub": "my_client_id@clients", "gty": "client-credentials", "aud": "https://memory.example"}
COGNITO = {
    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example",
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "client_id": "1example23456789",
    "token_use": "access",
    "scope": "memory/read",
    "username": "my-test-user",
    "cognito:groups": ["acme"],
    "auth_time": NOW - 60,
    "version": 2,
    "jti": "x",
    **TIMES,
}
COGNITO_ID = {**COGNITO, "token_use": "id", "aud": "1example23456789"}
OKTA = {
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": "https://acme.okta.com/oauth2/default",
    "aud": "api://default",
    "sub": "anna@acme.example",
    "cid": "nmdP1fcyvdVO11AL7ECm",
    "uid": "00ulg55ljaGRkX0xb0h7",
    "scp": ["memory:read", "memory:write"],
    **TIMES,
}
OKTA_MACHINE = {**OKTA, "sub": "nmdP1fcyvdVO11AL7ECm"}
ENTRA = {
    "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "iss": "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
    "nbf": NOW - 60,
    "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47",
    "scp": "memory.read",
    "roles": ["Memory.Admin"],
    "ver": "2.0",
    **TIMES,
}
ENTRA_MACHINE = {**{name: value for name, value in ENTRA.items() if name != "scp"}, "sub": ENTRA["oid"]}


def settings(claims: dict[str, Any], audience: str, **more: str) -> AuthSettings:
    """Settings for the issuer of these claims."""
    return AuthSettings(auth_mode="oauth2", oauth2_issuer_url=claims["iss"], oauth2_audience=audience, **more)  # type: ignore[arg-type]


AUTH0_SETTINGS = settings(AUTH0, "https://memory.example")
COGNITO_SETTINGS = settings(COGNITO, "1example23456789")
OKTA_SETTINGS = settings(OKTA, "api://default")
ENTRA_SETTINGS = settings(ENTRA, "6e74172b-be56-4843-9ff4-e66a39bb12e3")
SHAPES = [
    (AUTH0, AUTH0_SETTINGS, "auth0|5f7c8ec7c33c6c004bbafe82"),
    (AUTH0_MACHINE, AUTH0_SETTINGS, None),
    (COGNITO, COGNITO_SETTINGS, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    (COGNITO_ID, COGNITO_SETTINGS, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    ({**COGNITO, "sub": "1example23456789"}, COGNITO_SETTINGS, None),
    (OKTA, OKTA_SETTINGS, "anna@acme.example"),
    (OKTA_MACHINE, OKTA_SETTINGS, None),
    (ENTRA, ENTRA_SETTINGS, "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ"),
    (ENTRA_MACHINE, ENTRA_SETTINGS, None),
]
