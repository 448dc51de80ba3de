"""Who may come in over HTTP: an OAuth 2.1 resource server, as the MCP authorization specification says.

This gateway and the HTTP gateway are two doors of one resource, with one audience. A token is verified here before anything of
it goes on, and what is passed on was meant for both; there the same token is verified again and decides what it reaches.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec

from agent_memory import client
from agent_memory.auth.principal import Authenticate, Principal, bearer, disabled
from agent_memory.client import MemoryClient
from agent_memory.contracts.errors import Forbidden, Unauthorized, Unavailable
from agent_memory.mcp.calls import AT_ONCE, Caller
from agent_memory.mcp.domain import Address, Place

REMEMBERED_SECONDS = 2.0
"""How long the answer of the memory server about a token counts: as long as in the server itself."""
MOST_REMEMBERED = 10_000
ASKING_SECONDS = 5.0
LONGEST_TRACEPARENT = 64

Headers = Mapping[bytes, bytes]


class AskingAuthentication:
    """Callers with a token of `agent-memory token`: the memory server, which keeps them, is asked whose it is."""

    def __init__(self, memory: MemoryClient, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._elapsed = elapsed
        self._seen: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def __call__(self, headers: Headers) -> Principal:
        """Raises Unauthorized, or Unavailable when the memory server cannot be asked."""
        token = bearer(headers)
        digest = hashlib.sha256(token.encode()).digest()
        until, principal = self._seen.get(digest, (0.0, None))
        if principal is None or until <= self._elapsed():
            principal = await self._asked(token)
            self._seen[digest] = (self._elapsed() + REMEMBERED_SECONDS, principal)
            self._seen.move_to_end(digest)
            if len(self._seen) > MOST_REMEMBERED:
                self._seen.popitem(last=False)
        return principal

    async def _asked(self, token: str) -> Principal:
        try:
            found = await self._memory.acting(token, retry=AT_ONCE).whoami(timeout=ASKING_SECONDS)
        except client.Unauthorized as error:
            raise Unauthorized(error.detail) from None
        except client.MemoryClientError as error:
            raise Unavailable(f"the memory server cannot say whose token that is: {error}") from None
        return Principal(
            subject=found.subject,
            tenant=found.tenant,
            namespaces=None if found.namespaces is None else tuple(found.namespaces),
            user_id=found.user_id,
            permissions=frozenset(found.permissions),
        )


class Agreement:
    """That the memory server asks for credentials exactly when this gateway does. Until that is known nobody comes in with one."""

    def __init__(self, memory: MemoryClient, authenticate: Authenticate) -> None:
        self._memory = memory
        self._asks_here = authenticate is not disabled
        self._known = False

    async def disagreement(self) -> str | None:
        """What is wrong, for an operator; None when both agree. Raises Unavailable when the memory server does not answer."""
        if self._known:
            return None
        try:
            await self._memory.acting(retry=AT_ONCE).whoami(timeout=ASKING_SECONDS)
            asks_there = False
        except client.Unauthorized:
            asks_there = True
        except client.MemoryClientError as error:
            raise Unavailable(f"the memory server does not answer: {error}") from None
        if asks_there and not self._asks_here:
            return "the memory server asks for credentials, and AUTH_MODE=disabled here asks for none: set AUTH_MODE as it is there"
        if self._asks_here and not asks_there:
            return "the memory server asks nobody for a credential, so what a token is bound to would not hold: set AUTH_MODE there"
        self._known = True
        return None

    async def require(self) -> None:
        """Raises Unavailable where credentials are asked for here and it is not known that they are there."""
        if self._asks_here and (wrong := await self.disagreement()):
            raise Unavailable(wrong)


class Admission:
    """From a request to its caller."""

    def __init__(self, authenticate: Authenticate, agreement: Agreement, usual: Mapping[str, str]) -> None:
        self._authenticate = authenticate
        self._agreement = agreement
        self._usual = usual

    async def admitted(self, headers: Headers, address: Address) -> tuple[Caller, Principal]:
        """Who calls, about whose memory. Raises Unauthorized, Unavailable, and Forbidden for a place out of its reach."""
        principal = await self._authenticate(headers)
        await self._agreement.require()
        _check_reach(principal, address)
        caller = Caller(
            identity=msgspec.json.encode((principal.tenant, principal.subject, principal.user_id, address.prefix)).decode(),
            token=None if self._authenticate is disabled else bearer(headers),
            traceparent=headers.get(b"traceparent", b"").decode("latin-1")[:LONGEST_TRACEPARENT],
            place=Place(fixed=address.fixed, usual=_usual(principal, self._usual)),
        )
        return caller, principal


def _check_reach(principal: Principal, address: Address) -> None:
    namespace, user_id = address.fixed.get("namespace"), address.fixed.get("user_id")
    if namespace is not None and principal.namespaces is not None and namespace not in principal.namespaces:
        raise Forbidden("this credential does not reach that namespace")
    if user_id is not None and principal.user_id not in (None, user_id):
        raise Forbidden("this credential does not reach that user")


def _usual(principal: Principal, usual: Mapping[str, str]) -> dict[str, str]:
    """Whose memory it is where nobody says: the credential's, then what the settings say, if the credential reaches that."""
    found = dict(usual)
    if principal.namespaces is not None and found.get("namespace") not in principal.namespaces:
        found.pop("namespace", None)
        if len(principal.namespaces) == 1:
            found["namespace"] = principal.namespaces[0]
    if principal.user_id is not None:
        found["user_id"] = principal.user_id
    return found
