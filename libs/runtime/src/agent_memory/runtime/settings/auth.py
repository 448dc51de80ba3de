"""Who may come in: the mode of authentication, and what OAuth2 needs; where one may listen without any."""

import ipaddress
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from agent_memory.runtime.settings.parsing import SettingsError, parsed

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"},
)
"""Signatures that only a holder of a private key can make. With a shared secret, whoever checks could also sign."""
ANY_AUDIENCE = "*"

AuthMode = Literal["disabled", "token", "oauth2"]


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in. Each field is the environment variable of the same name in upper case."""

    auth_mode: AuthMode = "disabled"
    """`disabled`: everybody is the tenant `default`, and only this machine may connect; `token`: tokens of `agent-memory token`;
    `oauth2`: tokens of OAUTH2_ISSUER_URL."""
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
    """What reading is called among a token's scopes. This and the next two empty: every token reads and writes."""
    oauth2_write_scope: str = ""
    """What writing is called."""
    oauth2_admin_scope: str = ""
    """What administering is called."""

    @property
    def jwks_url(self) -> str:
        """Where the issuer's public keys are."""
        return self.oauth2_jwks_url or f"{self.oauth2_issuer_url.rstrip('/')}/.well-known/jwks.json"


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """Older ways to say the mode, and the one to say that no mode is needed."""

    disable_auth: bool | None = None
    """`true`: AUTH_MODE=disabled. `false` needs a mode. Contradicting AUTH_MODE stops the start."""
    token_auth_enabled: bool | None = None
    """`true`: AUTH_MODE=token. Contradicting AUTH_MODE stops the start."""
    allow_open: bool = False
    """Listen beyond this machine without authentication, because something in front keeps strangers out."""


def open_allowed(environment: Mapping[str, str]) -> bool:
    """ALLOW_OPEN: whether a server without authentication may listen beyond this machine."""
    return parsed(Switches, environment).allow_open


def check_hosts(hosts: Mapping[str, str], *, allowed: bool) -> None:
    """Raises SettingsError when everybody on the network could read and write without a credential, unless that is wanted.

    `hosts`: where a server listens, by the setting that says so.
    """
    for name, host in hosts.items():
        if not allowed and not is_loopback(host):
            raise SettingsError(
                f"{name}={host!r} cannot be used: authentication is disabled, so only this machine may connect. "
                f"Use {name}=127.0.0.1, or set AUTH_MODE, or set ALLOW_OPEN=true if something in front of it keeps strangers out"
            )


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load_auth(environment: Mapping[str, str]) -> AuthSettings:
    """The settings of authentication. Raises SettingsError for what contradicts itself or would leave the door open."""
    found = parsed(AuthSettings, environment)
    return _checked(msgspec.structs.replace(found, auth_mode=_mode(environment)))


def _mode(environment: Mapping[str, str]) -> AuthMode:
    """AUTH_MODE, or what the older switches say. No two of them may contradict each other."""
    switches = parsed(Switches, environment)
    without, token = switches.disable_auth, switches.token_auth_enabled
    said = environment.get("AUTH_MODE", "").strip()
    found = parsed(AuthSettings, {"AUTH_MODE": said}).auth_mode if said else None
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
