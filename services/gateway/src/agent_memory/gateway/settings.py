"""Where the gateway may listen, beside the settings that every service shares."""

from urllib.parse import urlsplit

from agent_memory.runtime.settings import Settings
from agent_memory.runtime.settings.auth import ANY_AUDIENCE, AuthSettings, check_hosts, is_loopback, load_auth, open_allowed

__all__ = ["ANY_AUDIENCE", "AuthSettings", "check_open", "is_loopback", "load_auth", "open_allowed"]


def check_open(settings: Settings, *, allowed: bool) -> None:
    """Raises SettingsError when everybody on the network could read and write without a credential, unless that is wanted."""
    check_hosts(hosts(settings), allowed=allowed)


def hosts(settings: Settings) -> dict[str, str]:
    """Where it listens, by the setting that says so."""
    return {"HOST": settings.host, **({"GRPC_HOST": settings.grpc_host} if settings.grpc_enabled else {})}


def warnings_of(settings: Settings, auth: AuthSettings) -> list[str]:
    """What an operator should know about who can come in."""
    if auth.auth_mode == "disabled":
        where = "from this machine" if all(map(is_loopback, hosts(settings).values())) else "FROM ANYWHERE"
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
