"""What the claims of a token say (RFC 7519, RFC 9068): whether it counts, and for whom. Pure."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from agent_memory.auth.principal import IMPLIED, Principal
from agent_memory.contracts.errors import Unauthorized
from agent_memory.contracts.records import MAX_ID_BYTES
from agent_memory.runtime.settings.auth import ANY_AUDIENCE, AuthSettings

MOST_AHEAD_SECONDS = 300
"""How far the issuer's clock may be ahead of ours in `iat`."""
NOT_BEFORE_LEEWAY_SECONDS = 10
SCOPE_CLAIMS = ("scope", "scp", "permissions", "roles")
CLIENT_CLAIMS = ("client_id", "azp", "cid", "appid")

Claims = Mapping[str, Any]


def invalid(why: str) -> Unauthorized:
    """The refusal of a token that is well formed but does not count."""
    return Unauthorized(f"Invalid JWT: {why}")


def parsed(payload: bytes) -> dict[str, Any]:
    """The claims of a payload. Raises Unauthorized for anything but a JSON object."""
    try:
        claims = json.loads(payload.decode(), parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise invalid("the claims are not JSON") from None
    if not isinstance(claims, dict):
        raise invalid("the claims are not a JSON object")
    return claims


def principal_of(claims: Claims, settings: AuthSettings, now: float) -> Principal:
    """Who comes with these claims, of which the signature was verified. Raises Unauthorized. `now`: seconds since 1970."""
    _check_times(claims, now)
    if claims.get("iss") != settings.oauth2_issuer_url:
        raise invalid("Invalid issuer")
    _check_audience(claims, settings.oauth2_audience)
    subject = claims.get("sub")
    if not subject or not isinstance(subject, str):
        raise Unauthorized("Token missing subject (sub) claim")
    return Principal(
        subject=subject,
        tenant=_named(claims, settings.oauth2_tenant_claim) if settings.oauth2_tenant_claim else "default",
        namespaces=_namespaces(claims, settings.oauth2_namespaces_claim),
        user_id=_named(claims, settings.oauth2_user_claim) if settings.oauth2_user_claim and not is_machine(claims) else None,
        permissions=_permissions(claims, settings),
    )


def is_machine(claims: Claims) -> bool:
    """Whether a program asks for itself (client credentials) and not for a user: then the subject is the client.

    Issuers keep the two apart (RFC 9068, section 5): Cognito and Okta repeat the client's id, Auth0 adds `@clients` to it, Entra
    ID says `idtyp`, or gives the subject of a program, and of nobody else, its object id.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str):
        return False
    clients = {claims.get(name) for name in CLIENT_CLAIMS if isinstance(claims.get(name), str)}
    entra = "tid" in claims and "scp" not in claims and claims.get("oid") == subject
    return subject.removesuffix("@clients") in clients or subject in clients or claims.get("idtyp") == "app" or entra


def expires_at(claims: Claims) -> float:
    """Seconds since 1970."""
    return float(claims["exp"])


def _check_times(claims: Claims, now: float) -> None:
    exp, iat, nbf = _moment(claims, "exp"), _moment(claims, "iat"), claims.get("nbf")
    if exp <= now:
        raise Unauthorized("Token has expired")
    if iat > now + MOST_AHEAD_SECONDS:
        raise Unauthorized("Token issued in the future")
    if nbf is not None and _moment(claims, "nbf") > now + NOT_BEFORE_LEEWAY_SECONDS:
        raise invalid("The token is not yet valid (nbf)")


def _moment(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if value is None:
        raise invalid(f'Token is missing the "{name}" claim')
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 2**53 or not math.isfinite(value):
        raise invalid(f"{name} must be a number of seconds")
    return float(value)


def _check_audience(claims: Claims, wanted: str) -> None:
    if wanted == ANY_AUDIENCE:
        return
    given = claims.get("aud")
    if given is None and claims.get("token_use") == "access":
        given = claims.get("client_id")  # Cognito's access tokens name the client that they were made for, and nobody else
    if wanted not in (given if isinstance(given, list) else [given]):
        raise Unauthorized(f"Invalid audience. Expected: {wanted}")


def _named(claims: Claims, claim: str) -> str:
    value = claims.get(claim)
    if value is None or value == "":
        raise invalid(f'Token is missing the "{claim}" claim')
    if not is_name(value):
        raise invalid(f'the claim "{claim}" is no name')
    return str(value)


def is_name(value: object) -> bool:
    """Whether it can be the name of a tenant, namespace or user."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return 1 <= len(value.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def _namespaces(claims: Claims, claim: str) -> tuple[str, ...] | None:
    if not claim:
        return None
    found = tuple(sorted(set(_words(claims.get(claim)))))
    if not found:
        raise invalid(f'Token is missing the "{claim}" claim')
    if not all(map(is_name, found)):
        raise invalid(f'the claim "{claim}" holds what is no name')
    return found


def _permissions(claims: Claims, settings: AuthSettings) -> frozenset[str]:
    wanted = {"read": settings.oauth2_read_scope, "write": settings.oauth2_write_scope, "admin": settings.oauth2_admin_scope}
    if not any(wanted.values()):
        return IMPLIED["write"]
    names = (settings.oauth2_scope_claim,) if settings.oauth2_scope_claim else SCOPE_CLAIMS
    given = {word for name in names for word in _words(claims.get(name))}
    return frozenset().union(*(IMPLIED[permission] for permission, scope in wanted.items() if scope and scope in given))


def _words(value: object) -> Iterable[str]:
    """A claim that lists something: an array, or words with spaces between."""
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _not_json(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
