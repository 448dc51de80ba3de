"""Tokens that an operator gave out: one read finds one, bcrypt proves it, and both are remembered for a little while."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import msgspec

from agent_memory.auth.principal import IMPLIED, Principal, bearer
from agent_memory.contracts.errors import Unauthorized, Unavailable
from agent_memory.eventlog.secrets import lookup_id, matches
from agent_memory.eventlog.tokens import StoredToken

FRESH_SECONDS = 2.0
"""How long an answer counts: after this time a token that was taken away is refused by every gateway."""
MOST_REMEMBERED = 10_000
PROVING_AT_ONCE = 2
"""Threads that may be busy with bcrypt; more would take the processors from everybody else."""
MOST_PROVING = 200


Value = TypeVar("Value")


class Tokens(Protocol):
    """Where tokens are kept."""

    async def find(self, token_id: str) -> StoredToken | None: ...


class Seen(msgspec.Struct, frozen=True):
    """What a token was worth, and until when that counts. Without a principal, `refusal` says why."""

    until: float
    principal: Principal | None
    refusal: str = ""


class TokenAuthentication:
    """Callers with a token of the store. `now`: seconds since 1970, for what expires; `elapsed`: a clock that nobody sets."""

    def __init__(
        self, tokens: Tokens, *, now: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self._tokens = tokens
        self._now = now
        self._elapsed = elapsed
        self._seen: dict[bytes, Seen] = {}
        self._proven: dict[bytes, str] = {}
        self._looking: dict[bytes, asyncio.Task[Seen]] = {}
        self._turns = asyncio.Semaphore(PROVING_AT_ONCE)
        self._proving = 0

    async def __call__(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Raises Unauthorized, or Unavailable when the store cannot be asked: nobody comes in unseen."""
        token = bearer(headers)
        digest = hashlib.sha256(token.encode()).digest()
        seen = self._seen.get(digest)
        if seen is None or seen.until <= self._elapsed():
            seen = await self._look_together(token, digest)
        if seen.principal is None:
            raise Unauthorized(seen.refusal)
        return seen.principal

    async def _look_together(self, token: str, digest: bytes) -> Seen:
        """However many ask for one token at once, it is looked up once. One that gives up waiting does not end it for others."""
        task = self._looking.get(digest)
        if task is None:
            task = self._looking[digest] = asyncio.ensure_future(self._look(token, digest))
            task.add_done_callback(lambda ended: self._looked(digest, ended))
        return await asyncio.shield(task)

    def _looked(self, digest: bytes, ended: "asyncio.Task[Seen]") -> None:
        self._looking.pop(digest, None)
        if not ended.cancelled():
            ended.exception()  # whoever waits is told; nobody may be left to wait

    async def _look(self, token: str, digest: bytes) -> Seen:
        until = self._elapsed() + FRESH_SECONDS
        stored = await self._tokens.find(lookup_id(token))
        seen = await self._judged(token, digest, stored, until)
        _remember(self._seen, digest, seen)
        return seen

    async def _judged(self, token: str, digest: bytes, stored: StoredToken | None, until: float) -> Seen:
        if stored is None or not await self._proves(token, digest, stored.hash):
            return Seen(until, None, "Invalid token")
        if stored.expires_ms is not None:
            left = stored.expires_ms / 1_000 - self._now()
            if left <= 0:
                return Seen(until, None, "Token has expired")
            until = min(until, self._elapsed() + left)
        return Seen(until, principal_of(stored))

    async def _proves(self, token: str, digest: bytes, hash_: str) -> bool:
        """Whether the hash is that of the token. What was proven once is true for ever, so it is not computed again."""
        if self._proven.get(digest) == hash_:
            return True
        if self._proving >= MOST_PROVING:
            raise Unavailable("too many unknown tokens are being checked; try again")
        self._proving += 1
        try:
            async with self._turns:
                proven = await asyncio.to_thread(matches, token, hash_)
        finally:
            self._proving -= 1
        if proven:
            _remember(self._proven, digest, hash_)
        return proven


def _remember(memory: dict[bytes, Value], digest: bytes, value: Value) -> None:
    memory.pop(digest, None)
    if len(memory) >= MOST_REMEMBERED:
        del memory[next(iter(memory))]
    memory[digest] = value


def principal_of(stored: StoredToken) -> Principal:
    """Who comes with this token."""
    permissions: frozenset[str] = frozenset().union(*(IMPLIED.get(scope, frozenset()) for scope in stored.scopes))
    return Principal(
        subject=f"token:{stored.id}",
        tenant=stored.tenant,
        namespaces=None if stored.namespaces is None else tuple(stored.namespaces),
        user_id=stored.user_id,
        permissions=permissions,
    )
