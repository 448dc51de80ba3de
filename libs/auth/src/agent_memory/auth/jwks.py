"""The issuer's public keys: fetched when needed, by one for all, and kept while the issuer cannot be reached."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from agent_memory.auth.jwt import Keys, PublicKey, read_keys
from agent_memory.contracts.errors import MemoryFault, Unauthorized, Unavailable
from agent_memory.runtime import telemetry

FETCH_SECONDS = 5.0
FRESH_SECONDS = 3_600.0
"""How old keys may be before newer ones are asked for, beside the requests that go on with the old ones."""
KEPT_SECONDS = 86_400.0
"""How old keys may become while the issuer is away; a key that it withdrew must not count for ever."""
COOL_DOWN_SECONDS = 10.0
"""Between two fetches for the sake of a key that nobody knows: strangers name as many as they like."""
AGAIN_SECONDS = 1.0
"""Between two tries while there are no keys at all."""
MOST_BYTES = 512_000

Fetch = Callable[[str], Awaitable[bytes]]
log = structlog.get_logger(__name__)


async def fetched(url: str, *, seconds: float = FETCH_SECONDS) -> bytes:
    """The document at a URL. Raises OSError, TimeoutError or aiohttp's error; redirections are not followed."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    headers = {"accept": "application/json"}
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}")
        body = b""
        async for chunk in answer.content.iter_chunked(65_536):
            body += chunk
            if len(body) > MOST_BYTES:
                raise OSError(f"more than {MOST_BYTES} bytes")
        return body


class IssuerKeys:
    """The keys at one URL. `elapsed`: seconds of a clock that nobody sets; `generation` grows with every change of keys."""

    def __init__(self, url: str, *, fetch: Fetch = fetched, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0
        self._url = url
        self._fetch = fetch
        self._elapsed = elapsed
        self._keys: Keys = {}
        self._document = b""
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._failure: MemoryFault | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> list[PublicKey]:
        """The keys of that id. Raises Unauthorized when the issuer has none, Unavailable when it cannot be asked."""
        await self._current()
        found = self._keys.get(kid)
        if found is None and (self._fetching is not None or self._since(self._tried_at) >= COOL_DOWN_SECONDS):
            await self._refresh()
            found = self._keys.get(kid)
        if found is None:
            raise Unauthorized(f"Unable to find matching public key for kid: {kid}")
        return found

    async def close(self) -> None:
        """Ends a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _current(self) -> None:
        """Keys that are not too old; those that are merely old are renewed beside."""
        age = self._since(self._fetched_at)
        if age < FRESH_SECONDS:
            return
        if age < KEPT_SECONDS:
            if self._since(self._tried_at) >= COOL_DOWN_SECONDS:
                self._start()
            return
        if self._fetching is None and self._failure is not None and self._since(self._tried_at) < AGAIN_SECONDS:
            raise self._failure
        await self._refresh()

    async def _refresh(self) -> None:
        """One fetch for all who wait. Raises what it failed with; the keys are kept then."""
        await asyncio.shield(self._start())
        if self._failure is not None:
            raise self._failure

    def _start(self) -> "asyncio.Task[None]":
        if self._fetching is None:
            self._tried_at = self._elapsed()
            self._fetching = asyncio.ensure_future(self._renew())
        return self._fetching

    async def _renew(self) -> None:
        try:
            document = await self._fetch(self._url)
            keys = read_keys(document)
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
            self._failed(Unavailable(f"Unable to fetch JWKS from {self._url}: {str(error) or type(error).__name__}"), error)
        except Exception as error:
            log.error("keys of the issuer cannot be read", exc_info=error)
            self._failed(MemoryFault("Internal server error while fetching JWKS"), error)
        else:
            self._failure, self._fetched_at = None, self._elapsed()
            if document != self._document:
                self._keys, self._document = keys, document
                self.generation += 1
        finally:
            self._fetching = None

    def _failed(self, failure: MemoryFault, error: Exception) -> None:
        self._failure = failure
        telemetry.ERRORS.labels("authentication.jwks", type(error).__name__).inc()
        log.warning("keys of the issuer not fetched", url=self._url, error=f"{type(error).__name__}: {error}", kept=len(self._keys))

    def _since(self, moment: float) -> float:
        return self._elapsed() - moment
