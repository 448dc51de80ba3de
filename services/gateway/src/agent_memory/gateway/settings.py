"""What only the gateway reads from the environment, beside the settings that every service shares."""

import ipaddress
from collections.abc import Mapping

from agent_memory.runtime.settings import Settings, SettingsError

YES = frozenset({"1", "true", "yes", "on"})


def open_allowed(environment: Mapping[str, str]) -> bool:
    """ALLOW_OPEN: whether a server without authentication may listen beyond this machine."""
    return environment.get("ALLOW_OPEN", "").strip().lower() in YES


def check_open(settings: Settings, *, allowed: bool) -> None:
    """Raises SettingsError when everybody on the network could read and write without a credential, unless that is wanted."""
    if allowed or is_loopback(settings.host):
        return
    raise SettingsError(
        f"HOST={settings.host!r} cannot be used: authentication is disabled, so only this machine may connect. "
        "Use HOST=127.0.0.1, or set ALLOW_OPEN=true if something in front of it keeps strangers out"
    )


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
