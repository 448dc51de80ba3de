"""What only the gateway reads from the environment, beside the settings that every service shares."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from agent_memory.runtime.settings import Settings, SettingsError

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"},
)
"""Signatures that only a holder of a private key can make. With a shared secret, whoever checks could also sign."""
ANY_AUDIENCE = "*"

AuthMode = Literal["disabled", "token", "oauth2"]


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in. Each field is the environment variable of the same name in upper case."""

    auth_mode: AuthMode = "disabled"
    oauth2_issuer_url: str = ""
    """The `iss` of every token, to the letter."""
    oauth2_audience: str = ""
    """The `aud` that a token must have (Cognito's access tokens have none: their `client_id`). `*`: any."""
    oauth2_jwks_url: str = ""
    """Where the issuer's public keys are; empty: `<issuer>/.well-known/jwks.json`."""
    oauth2_algorithms: tuple[str, ...] = ("RS256",)
    """JSON list of the signatures that are accepted."""
    oauth2_tenant_claim: str = ""
    """The claim that names the tenant; empty: everybody belongs to the tenant `default`."""
    oauth2_user_claim: str = "sub"
    """The claim that names the user a token is bound to; empty: a token may name any user. Tokens of machines are not bound."""
    oauth2_namespaces_claim: str = ""
    """The claim that lists the namespaces a token is bound to; empty: any."""
    oauth2_scope_claim: str = ""
    """The claim that lists what a token allows; empty: all of `scope`, `scp`, `permissions` and `roles`."""
    oauth2_read_scope: str = ""
    oauth2_write_scope: str = ""
    oauth2_admin_scope: str = ""
    """What reading, writing and administering are called among a token's scopes. All three empty: every token reads and writes."""

    @property
    def jwks_url(self) -> str:
        """Where the issuer's public keys are."""
        return self.oauth2_jwks_url or f"{self.oauth2_issuer_url.rstrip('/')}/.well-known/jwks.json"


def load_auth(environment: Mapping[str, str]) -> AuthSettings:
    """The settings of authentication. Raises SettingsError for what contradicts itself or would leave the door open."""
    given: dict[str, Any] = {"auth_mode": _mode(environment)}
    for field in msgspec.structs.fields(AuthSettings):
        raw = environment.get(field.name.upper())
        if raw is None or field.name == "auth_mode":
            continue
        if field.type is str:
            given[field.name] = raw.strip()
        elif raw.strip():
            given[field.name] = _json_list(field.name.upper(), raw)
    return _checked(AuthSettings(**given))


def _mode(environment: Mapping[str, str]) -> AuthMode:
    """AUTH_MODE, or what the older switches say. No two of them may contradict each other."""
    mode = environment.get("AUTH_MODE", "").strip().lower()
    without, token = _switch(environment, "DISABLE_AUTH"), _switch(environment, "TOKEN_AUTH_ENABLED")
    if mode not in ("", "disabled", "token", "oauth2"):
        raise SettingsError(f"AUTH_MODE={mode!r} cannot be used: disabled, token or oauth2")
    found: AuthMode | None = {"disabled": "disabled", "token": "token", "oauth2": "oauth2"}.get(mode)  # type: ignore[assignment]
    if token and found not in (None, "token"):
        raise SettingsError(f"TOKEN_AUTH_ENABLED=true contradicts AUTH_MODE={found}: set one of them")
    if found is None and token:
        found = "token"
    if without and found in ("token", "oauth2"):
        raise SettingsError(f"DISABLE_AUTH=true contradicts the mode {found!r}: whoever set that does not want an open server")
    if found is None and not without and environment.get("OAUTH2_ISSUER_URL", "").strip():
        found = "oauth2"
    if without is False and found in (None, "disabled"):
        raise SettingsError("DISABLE_AUTH=false needs AUTH_MODE=token or AUTH_MODE=oauth2: nothing says how to authenticate")
    return found or "disabled"


def _switch(environment: Mapping[str, str], name: str) -> bool | None:
    raw = environment.get(name, "").strip().lower()
    if raw in YES or raw in NO:
        return raw in YES
    if raw:
        raise SettingsError(f"{name}={raw!r} cannot be used: true or false")
    return None


def _json_list(name: str, raw: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(raw, type=tuple[str, ...])
    except msgspec.MsgspecError as error:
        raise SettingsError(f'{name}={raw!r} cannot be used: a JSON list such as ["RS256"] ({error})') from None


def _checked(settings: AuthSettings) -> AuthSettings:
    if settings.auth_mode != "oauth2":
        return settings
    if not settings.oauth2_issuer_url:
        raise SettingsError("OAUTH2_ISSUER_URL must be set with AUTH_MODE=oauth2: OAuth2 issuer URL not configured")
    if not settings.oauth2_audience:
        raise SettingsError(
            "OAUTH2_AUDIENCE must be set with AUTH_MODE=oauth2: otherwise a token for any other service of this issuer opens this "
            f"one. If that is wanted, say OAUTH2_AUDIENCE={ANY_AUDIENCE}"
        )
    unknown = [name for name in settings.oauth2_algorithms if name not in ALGORITHMS]
    if unknown or not settings.oauth2_algorithms:
        raise SettingsError(
            f"OAUTH2_ALGORITHMS={list(settings.oauth2_algorithms)} cannot be used: signatures with public keys only, that is "
            f"{', '.join(sorted(ALGORITHMS))}"
        )
    for name, url in (("OAUTH2_ISSUER_URL", settings.oauth2_issuer_url), ("OAUTH2_JWKS_URL", settings.jwks_url)):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise SettingsError(f"{name}={url!r} cannot be used: a URL such as https://issuer.example")
    return settings


def open_allowed(environment: Mapping[str, str]) -> bool:
    """ALLOW_OPEN: whether a server without authentication may listen beyond this machine."""
    return environment.get("ALLOW_OPEN", "").strip().lower() in YES


def check_open(settings: Settings, *, allowed: bool) -> None:
    """Raises SettingsError when everybody on the network could read and write without a credential, unless that is wanted."""
    if allowed or is_loopback(settings.host):
        return
    raise SettingsError(
        f"HOST={settings.host!r} cannot be used: authentication is disabled, so only this machine may connect. "
        "Use HOST=127.0.0.1, or set AUTH_MODE, or set ALLOW_OPEN=true if something in front of it keeps strangers out"
    )


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def warnings_of(settings: Settings, auth: AuthSettings) -> list[str]:
    """What an operator should know about who can come in."""
    if auth.auth_mode == "disabled":
        where = "from this machine" if is_loopback(settings.host) else "FROM ANYWHERE"
        return [f"authentication is disabled: whoever connects {where} reads and writes everything; AUTH_MODE says otherwise"]
    if auth.auth_mode == "token":
        return []
    found = []
    if urlsplit(auth.jwks_url).scheme == "http" and not is_loopback(urlsplit(auth.jwks_url).hostname or ""):
        found.append("OAUTH2_JWKS_URL is plain http: whoever is on the way can put in keys of their own")
    if auth.oauth2_audience == ANY_AUDIENCE:
        found.append("OAUTH2_AUDIENCE=*: tokens that the issuer made for any other service are accepted")
    if not auth.oauth2_user_claim and not auth.oauth2_tenant_claim:
        found.append("OAUTH2_USER_CLAIM is empty: every token may name every user")
    return found
