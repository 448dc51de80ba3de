"""Where things stand on a server, by ids that anybody may have thought of."""

from urllib.parse import quote

from agent_memory.client.errors import InvalidRequest

_STEPS = {".": "%2E", "..": "%2E%2E"}
"""What whoever carries a URL would take for a step to another place, written so that nobody does."""


def path(*parts: str) -> str:
    """A URL path whose parts may hold any character. Raises InvalidRequest for a part that is empty: it names another place."""
    if "" in parts:
        raise InvalidRequest(f"an id is empty: there is nothing at {'/'.join(('', *parts))}", status=422)
    return "/" + "/".join(_STEPS.get(part) or quote(part, safe="") for part in parts)
