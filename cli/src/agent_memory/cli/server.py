"""What commands share that ask a server over HTTP: which one, on whose behalf, and what is said when it does not answer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from agent_memory.cli.loading.reach import NOT_RUNNING, server_url, token
from agent_memory.cli.output import CommandError

if TYPE_CHECKING:
    from agent_memory.client import MemoryClientError, SyncMemoryClient

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The server; default AGENT_MEMORY_URL, or the stack on this machine."),
]
ANSWER_SECONDS = 30.0
_ATTEMPTS = 3
_HINTS = {
    401: "AGENT_MEMORY_TOKEN is the credential; `agent-memory token add` makes one",
    403: "AGENT_MEMORY_TOKEN is valid, but does not reach this far: `agent-memory token add --scope admin`",
    503: "`agent-memory status` shows what runs",
}


@contextmanager
def server_at(
    url: str | None, *, namespace: str | None = None, user_id: str | None = None, timeout: float = ANSWER_SECONDS
) -> Iterator["SyncMemoryClient"]:
    """A client of the server that was named, or of the one that is there; `timeout` in seconds.

    What it raises comes out as CommandError: code 3 when nobody answers, 1 for what the server refuses, 2 for an address that is
    none.
    """
    # Loaded when somebody is to be asked: --help need not wait for it.
    from agent_memory.client import MemoryClientError, Retry, SyncMemoryClient  # noqa: PLC0415

    address = server_url(url, os.environ)
    try:
        retry = Retry(attempts=_ATTEMPTS)
        with SyncMemoryClient(address, token(os.environ), namespace, user_id, retry=retry, timeout=timeout) as client:
            yield client
    except MemoryClientError as error:
        raise told(error) from None


def told(error: "MemoryClientError", what: str = "") -> CommandError:
    """A failure of the client as a command tells it: code 3 when nobody answers, 2 for an address that is none, else 1.

    `what` stands in front: which of several things it is about.
    """
    from agent_memory.client import ConnectionFailed, InvalidEndpoint, RequestFailed  # noqa: PLC0415 (as above)

    said = f"{what}{error}"
    match error:
        case InvalidEndpoint():
            return CommandError(said, hint="--url http://host:port, or AGENT_MEMORY_URL", code=2)
        case ConnectionFailed():
            hint = "`agent-memory up` starts a server here; --url or AGENT_MEMORY_URL name another"
            return CommandError(said, hint=hint, code=NOT_RUNNING)
        case RequestFailed():
            return CommandError(said, hint=_HINTS.get(error.status, ""))
        case _:
            return CommandError(said)


def body_of(client: "SyncMemoryClient", method: str, place: str, content: object = None, **query: str | None) -> bytes:
    """What the server answers to a request, byte for byte. Sent again it takes effect once. Raises MemoryClientError."""
    from agent_memory.client.exchange import exchange, new_key  # noqa: PLC0415 (as above)
    from agent_memory.client.program import Request, params  # noqa: PLC0415

    request = Request(
        method=method,
        path=place,
        params=params(**query),
        body=b"" if content is None else msgspec.json.encode(content),
        idempotency_key=new_key(None),
    )
    return client.run(exchange(request, client.caller.retry)).body
