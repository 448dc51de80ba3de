"""What can go wrong between a caller and the memory, as types that a caller can act on.

MemoryClientError (ClientError)
├── ConnectionFailed       no answer at all, also after the retries        the server's state is unknown: same key again is safe
├── InvalidEndpoint        what was given is not the address of a server   also a ValueError
├── SerializationFailed    what was given cannot be sent, or the reply cannot be read
├── WaitTimeout            a projection did not reach a position in time
└── RequestFailed (RpcFailed)  the server answered, and said no            `status`, `detail`; over gRPC also `code`
    ├── InvalidRequest     can never succeed as it is (400, 413, 422)      `field` names the part at fault
    ├── Unauthorized       no valid credential (401)
    ├── Forbidden          valid credential, outside its scope (403)
    ├── NotFound           there is no such thing (404)
    ├── Conflict           lost a race, or the key stands for another request (409)
    ├── ServerUnavailable  a part is down, also after the retries (503)    `command_id` names what may be sent again
    └── ServerError        any other 5xx, or an answer that cannot be read
"""

from typing import Any

import msgspec

from agent_memory.client.program import Answer


class MemoryClientError(Exception):
    """Root of everything that the client raises on purpose."""


class ConnectionFailed(MemoryClientError):
    """Nobody answered. Whether a write took effect is unknown; `idempotency_key` makes sending it again safe."""

    def __init__(self, detail: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.idempotency_key = idempotency_key


class InvalidEndpoint(MemoryClientError, ValueError):
    """What was given is not the address of a server."""


class SerializationFailed(MemoryClientError):
    """What was given cannot be written as a message (a number too large, half a character), or a reply cannot be read."""


class WaitTimeout(MemoryClientError):
    """`wait_for` gave up; the text says which projection is how far behind."""


class RequestFailed(MemoryClientError):
    """The server answered with an error. `status` is the HTTP status, `detail` the server's own words.

    Over gRPC `code` is the name of the status ("INVALID_ARGUMENT"), and `status` what it would be over HTTP.
    """

    def __init__(
        self, detail: str, *, status: int, field: str | None = None, command_id: str | None = None, code: str = ""
    ) -> None:
        super().__init__(f"{detail} (field {field})" if field else detail)
        self.detail = detail
        self.status = status
        self.field = field
        self.command_id = command_id
        self.code = code


class InvalidRequest(RequestFailed):
    """The request can never succeed as it is; `field` names the part at fault, where the server said so."""


class Unauthorized(RequestFailed):
    """No valid credential came with the request."""


class Forbidden(RequestFailed):
    """The credential is valid but does not reach this far."""


class NotFound(RequestFailed):
    """There is no such thing in the caller's scope."""


class Conflict(RequestFailed):
    """Somebody else was faster, or the idempotency key was used for another request."""


class ServerUnavailable(RequestFailed):
    """A part of the server is down. The command named by `command_id` may or may not have happened; retry with the same key."""


class ServerError(RequestFailed):
    """The server failed, or what it answered cannot be understood."""


_BY_STATUS: dict[int, type[RequestFailed]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
    503: ServerUnavailable,
}

ClientError = MemoryClientError
RpcFailed = RequestFailed

_BY_CODE: dict[str, tuple[int, type[RequestFailed]]] = {
    "INVALID_ARGUMENT": (400, InvalidRequest),
    "OUT_OF_RANGE": (400, InvalidRequest),
    "UNAUTHENTICATED": (401, Unauthorized),
    "PERMISSION_DENIED": (403, Forbidden),
    "NOT_FOUND": (404, NotFound),
    "ABORTED": (409, Conflict),
    "ALREADY_EXISTS": (409, Conflict),
    "FAILED_PRECONDITION": (412, RequestFailed),
    "RESOURCE_EXHAUSTED": (429, RequestFailed),
    "UNIMPLEMENTED": (501, ServerError),
    "UNAVAILABLE": (503, ServerUnavailable),
}


def rpc_error_of(code: str, detail: str, command_id: str | None = None) -> RequestFailed:
    """The exception for a gRPC status other than OK, by the status' name."""
    status, kind = _BY_CODE.get(code, (500, ServerError))
    return kind(detail or code, status=status, command_id=command_id, code=code)


def error_of(answer: Answer) -> RequestFailed:
    """The exception for an answer of 400 and above. Understands `{"detail": str}` and the list that validation answers with."""
    body = _body(answer)
    detail, field = _first_reason(body.get("detail"))
    kind = _BY_STATUS.get(answer.status, ServerError if answer.status >= 500 else RequestFailed)
    return kind(
        detail or f"HTTP {answer.status}",
        status=answer.status,
        field=field or _text(body.get("field")),
        command_id=_text(body.get("command_id")) or answer.headers.get("x-command-id"),
    )


def unreadable(answer: Answer, error: msgspec.MsgspecError) -> ServerError:
    """The exception for a success whose body is not what the API promises."""
    return ServerError(f"the answer cannot be understood: {error}", status=answer.status)


def _body(answer: Answer) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {"detail": answer.body[:200].decode(errors="replace").strip()}
    return body if isinstance(body, dict) else {}


def _first_reason(detail: object) -> tuple[str, str | None]:
    if isinstance(detail, str):
        return detail, None
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = detail[0].get("loc")
        parts = [str(part) for part in place[1:]] if isinstance(place, list) else []
        return str(detail[0].get("msg", "invalid")), ".".join(parts) or None
    return "", None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
