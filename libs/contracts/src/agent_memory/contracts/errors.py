"""Errors that a caller can act on; each edge translates them by one table.

MemoryFault
├── Invalid        the request can never succeed as it is         HTTP 422  INVALID_ARGUMENT
├── Refused        understood, but not allowed to succeed         HTTP 400  FAILED_PRECONDITION
├── Unauthorized   no valid credential                            HTTP 401  UNAUTHENTICATED
├── Forbidden      valid credential, outside its scope            HTTP 403  PERMISSION_DENIED
├── NotFound       there is no such thing                         HTTP 404  NOT_FOUND
├── Conflict       lost a race, or a key was used for something else  HTTP 409  ABORTED
├── TooLarge       more than one request may carry                HTTP 413  RESOURCE_EXHAUSTED
└── Unavailable    a part is down; retry with the same id is safe HTTP 503  UNAVAILABLE
    └── NeedsUpgrade   written by a newer version than this       HTTP 503  UNAVAILABLE
"""

import msgspec


class MemoryFault(Exception):
    """Root of every error that crosses a border; `detail` is written for the caller and says what to do."""

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Invalid(MemoryFault):
    """The request can never succeed as it is; `field` names the part at fault."""


class Refused(MemoryFault):
    """The request is well formed but asks for something that is not allowed."""


class Unauthorized(MemoryFault):
    """No valid credential came with the request."""


class Forbidden(MemoryFault):
    """The credential is valid but does not reach this far."""


class NotFound(MemoryFault):
    """There is no such thing in the caller's scope."""


class Conflict(MemoryFault):
    """Somebody else was faster, or an idempotency key was used for another request."""


class TooLarge(MemoryFault):
    """More than one request may carry."""


class Unavailable(MemoryFault):
    """A part of the system is down. Nothing was refused for good: the same command id may be sent again."""

    def __init__(self, detail: str, *, command_id: str | None = None) -> None:
        super().__init__(detail)
        self.command_id = command_id


class NeedsUpgrade(Unavailable):
    """What a newer version wrote and this one does not know. While versions run side by side, a newer replica may answer."""


FAULTS: dict[str, type[MemoryFault]] = {
    fault.__name__: fault
    for fault in (Invalid, Refused, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable, NeedsUpgrade)
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it travels in a reply."""

    name: str
    detail: str
    field: str | None = None

    def error(self, command_id: str) -> MemoryFault:
        """The exception that the sender of the command raises."""
        kind = FAULTS.get(self.name, Unavailable)
        if issubclass(kind, Unavailable):
            return kind(self.detail, command_id=command_id)
        return kind(self.detail, field=self.field)


def as_fault(error: MemoryFault) -> Fault:
    """The travelling form of an error."""
    return Fault(name=type(error).__name__, detail=error.detail, field=error.field)
