"""What a model is told when a call fails: what is wrong, and what to do about it."""

from agent_memory.client import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    MemoryClientError,
    NotFound,
    ServerUnavailable,
    Unauthorized,
)


def advice(error: MemoryClientError, server: str) -> str:
    """One or two sentences. `server`: the address of the memory server."""
    match error:
        case ConnectionFailed():
            return (
                f"The memory server at {server} does not answer. If nothing runs there, `agent-memory up --detach` starts it; "
                "then call again."
            )
        case InvalidRequest():
            return f"{error}. Correct that and call again."
        case NotFound():
            return f"{error.detail}. Look for the right id with a search, or with browse_timeline."
        case Unauthorized():
            return (
                f"The memory server does not accept the credential of this connection: {error.detail}. Whoever set it up must give "
                "it a token (AGENT_MEMORY_TOKEN, or a bearer token over HTTP); calling again does not help."
            )
        case Forbidden():
            return f"{error.detail}. This connection's credential does not reach that; ask for what it reaches."
        case Conflict():
            return f"{error.detail}. Somebody else was faster: read it again, then repeat the change."
        case ServerUnavailable():
            return f"{error.detail}. A part of the memory server is down: wait a little, look whether it happened, call again."
        case _:
            return f"The memory server failed: {error}. Call again; or let `agent-memory doctor` say what is wrong."
