"""Callers with a token that an OAuth2 issuer signed (RFC 6750, RFC 9068)."""

import hashlib
import time
from collections.abc import Callable, Mapping

import msgspec

from agent_memory.auth.claims import expires_at, parsed, principal_of
from agent_memory.auth.jwks import IssuerKeys
from agent_memory.auth.jwt import header_of, verified
from agent_memory.auth.principal import Principal, bearer
from agent_memory.runtime.settings.auth import AuthSettings

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000


class Seen(msgspec.Struct, frozen=True):
    """Who came with a token, until when that counts, and by which generation of keys it was verified."""

    until: float
    generation: int
    principal: Principal


class OAuth2Authentication:
    """Checks signature and claims once, then remembers them for a minute, as long as token and keys last."""

    def __init__(self, settings: AuthSettings, keys: IssuerKeys, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._algorithms = frozenset(settings.oauth2_algorithms)
        self._keys = keys
        self._now = now
        self._seen: dict[bytes, Seen] = {}

    async def __call__(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Raises Unauthorized, or Unavailable when there are no keys to check the token with."""
        token = bearer(headers, malformed="Invalid token header")
        digest = hashlib.sha256(token.encode()).digest()
        seen = self._seen.get(digest)
        if seen is not None and seen.until > self._now() and seen.generation == self._keys.generation:
            return seen.principal
        return await self._checked(token, digest)

    async def _checked(self, token: str, digest: bytes) -> Principal:
        header = header_of(token, self._algorithms)
        keys = await self._keys.find(header.kid)
        generation, now = self._keys.generation, self._now()
        claims = parsed(verified(token, header.alg, keys))
        principal = principal_of(claims, self._settings, now)
        self._seen.pop(digest, None)
        if len(self._seen) >= MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = Seen(min(expires_at(claims), now + REMEMBERED_SECONDS), generation, principal)
        return principal
