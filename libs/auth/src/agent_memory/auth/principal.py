"""Who is asking, and how far that reaches. The tenant comes from the credential and from nothing else."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from agent_memory.contracts.errors import Forbidden, Unauthorized
from agent_memory.contracts.records import Reach, Scope

Permission = Literal["read", "write", "admin"]
IMPLIED: dict[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
"""What a permission includes: whoever writes is answered with what is stored, so writing includes reading."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A caller. When the credential is bound to namespaces or to a user, nothing else can be reached with it."""

    subject: str = "anybody"
    tenant: str = "default"
    namespaces: tuple[str, ...] | None = None
    user_id: str | None = None
    permissions: frozenset[str] = IMPLIED["admin"]

    @property
    def bound(self) -> bool:
        """Whether it reaches less than its whole tenant."""
        return self.namespaces is not None or self.user_id is not None

    @property
    def reach(self) -> Reach | None:
        """What it reaches, as commands carry it; None for the whole tenant."""
        if not self.bound:
            return None
        return Reach(namespaces=None if self.namespaces is None else list(self.namespaces), user_id=self.user_id)

    def require(self, permission: Permission) -> None:
        """Raises Forbidden when the credential does not allow this much."""
        if permission not in self.permissions:
            raise Forbidden(f"Insufficient permissions. Required scope: {permission}")

    def scope(self, namespace: str | None, user_id: str | None) -> Scope:
        """The scope of one request. What is not named is what the credential is for.

        Raises Forbidden for a namespace or user that it is not for, and when it is for several namespaces and none is named.
        """
        return Scope(tenant=self.tenant, namespace=self._namespace(namespace), user_id=self._user(user_id))

    def holds(self, scope: Scope) -> bool:
        """Whether a scope lies within what the credential is for."""
        if scope.tenant != self.tenant:
            return False
        return (self.namespaces is None or scope.namespace in self.namespaces) and self.user_id in (None, scope.user_id)

    def _namespace(self, asked: str | None) -> str:
        if self.namespaces is None:
            return asked or ""
        if asked:
            if asked not in self.namespaces:
                raise Forbidden("this credential does not reach that namespace", field="namespace")
            return asked
        if len(self.namespaces) != 1:
            raise Forbidden("this credential reaches several namespaces: name one of them", field="namespace")
        return self.namespaces[0]

    def _user(self, asked: str | None) -> str:
        if self.user_id is None:
            return asked or ""
        if asked and asked != self.user_id:
            raise Forbidden("this credential does not reach that user_id", field="user_id")
        return self.user_id


class Authenticate(Protocol):
    """Turns a request's headers (lower case names) into a principal, or raises Unauthorized."""

    async def __call__(self, headers: Mapping[bytes, bytes]) -> Principal: ...


ANYBODY = Principal()
NOBODY = Principal(subject="nobody", tenant="", namespaces=(), permissions=frozenset())
"""Who asks for what is open: it reaches nothing."""
MOST_TOKEN_BYTES = 16_384


async def disabled(headers: Mapping[bytes, bytes]) -> Principal:
    """No authentication: one tenant. `settings.check_open` keeps such a server to this machine."""
    return ANYBODY


def bearer(headers: Mapping[bytes, bytes], *, malformed: str = "Invalid token") -> str:
    """The token of an Authorization header (RFC 6750). Raises Unauthorized when there is none, or none that can be one."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Unauthorized("Missing authorization header")
    token = token.strip()
    if not token:
        raise Unauthorized("Missing bearer token")
    if len(token) > MOST_TOKEN_BYTES or not token.isascii():
        raise Unauthorized(malformed)
    return token.decode("ascii")
