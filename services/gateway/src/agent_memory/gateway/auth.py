"""Who is asking. The tenant comes from the credential and from nothing else; the rest of the scope is the caller's."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agent_memory.contracts.errors import Forbidden
from agent_memory.contracts.records import Scope


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A caller. When the credential is bound to a namespace or a user, nothing else can be reached with it."""

    tenant: str = "default"
    namespace: str | None = None
    user_id: str | None = None

    def scope(self, namespace: str | None, user_id: str | None) -> Scope:
        """The scope of one request. Raises Forbidden for a namespace or user that the credential is not for."""
        return Scope(
            tenant=self.tenant,
            namespace=_within(self.namespace, namespace, "namespace"),
            user_id=_within(self.user_id, user_id, "user_id"),
        )


def _within(bound: str | None, asked: str | None, field: str) -> str:
    if bound is None:
        return asked or ""
    if asked and asked != bound:
        raise Forbidden(f"this credential reaches one {field} only", field=field)
    return bound


class Authenticate(Protocol):
    """Turns a request's headers (lower case names) into a principal, or raises Unauthorized."""

    async def __call__(self, headers: Mapping[bytes, bytes]) -> Principal: ...


ANYBODY = Principal()


async def disabled(headers: Mapping[bytes, bytes]) -> Principal:
    """No authentication: one tenant. `settings.check_open` keeps such a server to this machine."""
    return ANYBODY
