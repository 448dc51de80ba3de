"""Which server a command talks to."""

from collections.abc import Mapping

from agent_memory.cli.output import CommandError
from agent_memory.embedded.home import Home, home_path
from agent_memory.embedded.state import read_state

NOT_RUNNING = 3


def server_url(given: str | None, environment: Mapping[str, str]) -> str:
    """The address that was typed, or AGENT_MEMORY_URL, or that of the stack on this machine. Raises CommandError: none of them."""
    if url := given or environment.get("AGENT_MEMORY_URL", "").strip():
        return url.rstrip("/")
    home = Home(path=home_path(environment))
    state = read_state(home)
    if state and state.alive and state.http_urls:
        return state.http_urls[0]
    raise CommandError(
        f"no server to talk to: nothing runs in {home.path}",
        hint="start one with `agent-memory up`, or name one with --url or AGENT_MEMORY_URL",
        code=NOT_RUNNING,
    )


def token(environment: Mapping[str, str]) -> str | None:
    """The credential, AGENT_MEMORY_TOKEN; None without one."""
    return environment.get("AGENT_MEMORY_TOKEN") or None
