"""Which web pages may call. Browsers say who asks; whoever is no browser says nothing, and is asked for a credential instead."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from agent_memory.runtime.settings.auth import is_loopback


def page_may_call(origin: str | None, host: str, allowed: Sequence[str]) -> bool:
    """Whether a request with this Origin header is let in. Without one no page sent it.

    A page of this machine (an inspector) may call what it reaches on this machine; any other must be named.
    """
    if origin is None:
        return True
    if origin.rstrip("/").lower() in {one.rstrip("/").lower() for one in allowed}:
        return True
    return on_this_machine(origin) and on_this_machine(f"//{host}")


def on_this_machine(url: str) -> bool:
    """Whether a URL leads to this machine and nowhere else, whatever a name server says."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
