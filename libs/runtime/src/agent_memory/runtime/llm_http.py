"""An OpenAI-compatible provider over HTTP, on a TCP address or a unix socket. The key never leaves in a message or a log line."""

import re
from collections.abc import Mapping

import aiohttp
import msgspec
from yarl import URL

from agent_memory.runtime.llm_retry import Persistence, ProviderRefused, Transient, hinted_wait

IDEMPOTENCY_KEY = "Idempotency-Key"
RETRIED = (408, 425, 429)
LONGEST_REASON = 500
_KEY_LIKE = re.compile(r"\b(sk|key|pk|Bearer)[-_ ][\w*.\-]{6,}")


class _Said(msgspec.Struct):
    message: str = ""


class _Complaint(msgspec.Struct):
    error: _Said | str = ""
    message: str = ""


def without_key(text: str, key: str) -> str:
    """The text with the key, and whatever looks like one, blotted out."""
    if key:
        text = text.replace(key, "***")
    return _KEY_LIKE.sub(r"\1-***", text)


def _reason(body: bytes, key: str) -> str:
    try:
        complaint = msgspec.json.decode(body, type=_Complaint)
        said = complaint.error if isinstance(complaint.error, str) else complaint.error.message
        said = said or complaint.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = ""
    return without_key(said or body.decode("utf-8", "replace"), key)[:LONGEST_REASON].strip() or "no reason given"


def _what(trouble: aiohttp.ClientError | OSError) -> str:
    return getattr(trouble, "strerror", None) or str(trouble) or type(trouble).__name__


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider listens: `base` is the URL that paths are put after; `socket` the unix socket, or empty."""

    base: str
    socket: str = ""

    @property
    def name(self) -> str:
        """How messages and logs call it: host and port, or the socket; never user info."""
        if self.socket:
            return f"unix:{self.socket}"
        url = URL(self.base)
        return f"{url.host}:{url.port}"

    @property
    def local(self) -> bool:
        """Whether it is on this machine, where no proxy belongs in between."""
        return bool(self.socket) or URL(self.base).host in ("localhost", "127.0.0.1", "::1")


def endpoint(url: str) -> Endpoint:
    """The endpoint of `http(s)://host[:port]/v1` or `unix:/path`. Raises ValueError for anything else."""
    if url.startswith("unix:"):
        path = "/" + url.removeprefix("unix:").lstrip("/") if url.startswith("unix:/") else url.removeprefix("unix:")
        if not path:
            raise ValueError("unix: needs the path of a socket after it")
        return Endpoint(base="http://local/v1", socket=path)
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("an address starts with http://, https:// or unix:")
    return Endpoint(base=url.rstrip("/"))


class ProviderHttp:
    """POSTs JSON to one provider and insists as its `persistence` says. `timeout` is seconds for one attempt."""

    def __init__(
        self,
        where: Endpoint,
        *,
        key: str = "",
        timeout: float = 30.0,
        persistence: Persistence | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.where = where
        self.persistence = persistence or Persistence(where.name)
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 5.0))
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, *, refused: type[ProviderRefused] = ProviderRefused, key: str = "") -> bytes:
        """The body of a 200 answer. Every attempt carries the `key`, if there is one.

        Raises `refused` for other 4xx, Unavailable when the provider cannot be had.
        """
        return await self.persistence.call(lambda: self._attempt(path, body, refused, key))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _connected(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the event loop that it is made in.
        if self._session is None or self._session.closed:
            connector = aiohttp.UnixConnector(self.where.socket, limit=0) if self.where.socket else aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                headers=self._headers,
                trust_env=not self.where.local,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _attempt(self, path: str, body: bytes, refused: type[ProviderRefused], key: str) -> bytes:
        headers = {IDEMPOTENCY_KEY: key} if key else None
        try:
            async with self._connected().post(self.where.base + path, data=body, headers=headers, allow_redirects=False) as answer:
                content = await answer.read()
                status, answered = answer.status, answer.headers
        except TimeoutError:
            raise Transient("no answer in time") from None
        except (aiohttp.ClientError, OSError) as trouble:
            raise Transient(f"connection failed: {without_key(_what(trouble), self._key)}") from None
        if status == 200:
            return content
        reason = _reason(content, self._key)
        if status in RETRIED or status >= 500:
            raise Transient(f"answered {status}: {reason}", hint=hinted_wait(answered.get("Retry-After")))
        raise refused(f"{self.where.name} answered {status}: {reason}", status=status)
