"""A model provider on this machine: answers the OpenAI way, deterministically, and misbehaves on request.

`python -m support.stub_model --port 0 --dimensions 1536` prints the port it listens on. Texts that share words get
vectors that are near each other. POST /control switches the trouble (body: a JSON `Trouble`), GET /control counts.
"""

import argparse
import asyncio
import binascii
import signal
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from aiohttp import web

from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_vectors import unpacked

REMEMBERED = 20_000
"""Vectors kept in base64: 160 MB at 1,536 floats."""


class Trouble(msgspec.Struct, kw_only=True):
    """How to misbehave, for the next `times` requests. `refuse_text`: 400 for any request that carries this text. Embeddings are
    waited for `request_ms`, and `text_ms` for each text, however many requests there are at a time.
    """

    mode: Literal["none", "500", "429", "401", "400", "hang", "garbage", "drop", "short", "nan", "fewer", "shuffled"] = "none"
    times: int = 1_000_000_000
    retry_after: str = "0"
    refuse_text: str = ""
    request_ms: float = 0.0
    text_ms: float = 0.0


class _Embed(msgspec.Struct):
    input: str | list[str]
    model: str = ""
    encoding_format: str = "float"
    dimensions: int | None = None


class _Chat(msgspec.Struct):
    messages: list[dict[str, Any]]
    model: str = ""
    response_format: dict[str, Any] | None = None


class StubModel:
    """The provider. `counts` and `requests` tell what it was asked; `trouble` and `replies` may be set at any time."""

    def __init__(self, dimensions: int = 1536) -> None:
        self.dimensions = dimensions
        self.trouble = Trouble()
        self.counts: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.replies: list[str] = []
        """What the next completions say; then, `reply`, or without one the last message is repeated."""
        self.reply = ""
        self.charged: dict[str, str] = {}
        """Completions that were paid for, by idempotency key: asked again with the same key, an answer costs nothing."""
        self.refuse_completions_with = ""
        """400 for any completion that is asked about this text."""
        self.before_answering: Callable[[], object] | None = None
        """Called once, when the next completion is paid for and not yet on its way."""
        self.finish_reason = "stop"
        self.base_url = ""
        self._hash = {dimensions: HashEmbedder(dimensions)}
        self._known: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._release = asyncio.Event()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64_000_000)
        app.add_routes(
            [
                web.post("/v1/embeddings", self._embeddings),
                web.post("/v1/chat/completions", self._chat),
                web.get("/health", self._health),
                web.get("/control", self._counts),
                web.post("/control", self._control),
            ]
        )
        return app

    def release(self) -> None:
        """Let go of requests that hang; they get a 500."""
        self._release.set()

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(dict(self.counts))

    async def _control(self, request: web.Request) -> web.Response:
        self.trouble = msgspec.json.decode(await request.read(), type=Trouble)
        self._release.set()
        return web.json_response({})

    def _note(self, request: web.Request, kind: str, body: bytes) -> None:
        self.counts[kind] += 1
        if len(self.requests) < 1000:
            self.requests.append(msgspec.json.decode(body))
            self.headers.append(dict(request.headers))

    async def _misbehave(self, request: web.Request) -> web.Response | None:
        """The answer of the trouble in force, or None for a proper one."""
        mode = self.trouble.mode
        if mode in ("none", "short", "nan", "fewer", "shuffled") or self.trouble.times <= 0:
            return None
        self.trouble.times -= 1
        self.counts["misbehaved"] += 1
        if mode == "hang":
            self._release.clear()
            await self._release.wait()
        if mode == "drop":
            assert request.transport is not None
            request.transport.abort()
        if mode == "garbage":
            return web.Response(text='{"data": [{"embedding": 7}], "choices": 7', content_type="application/json")
        status = int(mode) if mode.isdigit() else 500
        headers = {"Retry-After": self.trouble.retry_after} if status == 429 else {}
        key = request.headers.get("Authorization", "")
        return web.json_response({"error": {"message": f"stub says {mode} to {key}"}}, status=status, headers=headers)

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._note(request, "embedding_requests", body)
        if (bad := await self._misbehave(request)) is not None:
            return bad
        asked = msgspec.json.decode(body, type=_Embed)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        if self.trouble.refuse_text and self.trouble.refuse_text in texts:
            return web.json_response({"error": {"message": "stub cannot embed that text"}}, status=400)
        self.counts["embeddings"] += len(texts)
        if delay_ms := self.trouble.request_ms + self.trouble.text_ms * len(texts):
            await asyncio.sleep(delay_ms / 1000)
        vectors = self._vectors(texts, asked.dimensions or self.dimensions)
        shown = [b'"' + vector + b'"' for vector in vectors]
        if asked.encoding_format != "base64":
            shown = [msgspec.json.encode(unpacked([binascii.a2b_base64(vector)])[0].tolist()) for vector in vectors]
        return web.Response(body=self._listed(shown, len(texts)), content_type="application/json")

    def _listed(self, shown: list[bytes], count: int) -> bytes:
        mode = self.trouble.mode
        if mode == "short":
            shown = [msgspec.json.encode([0.5] * 7)] * count
        if mode == "nan":
            shown = [msgspec.json.encode([None] * self.dimensions)] * count
        if mode == "fewer":
            shown = shown[:-1]
        items = [b'{"object":"embedding","index":%d,"embedding":%s}' % (at, vector) for at, vector in enumerate(shown)]
        if mode == "shuffled":
            items.reverse()
        usage = b'"usage":{"prompt_tokens":%d,"total_tokens":%d}' % (count, count)
        return b'{"object":"list","model":"stub","data":[%s],%s}' % (b",".join(items), usage)

    def _vectors(self, texts: list[str], dimensions: int) -> list[bytes]:
        if dimensions not in self._hash:
            self._hash[dimensions] = HashEmbedder(dimensions)
        embedder = self._hash[dimensions]
        missing = [text for text in dict.fromkeys(texts) if (dimensions, text) not in self._known]
        for text, vector in zip(missing, embedder.vectors(missing), strict=True):
            self._known[dimensions, text] = binascii.b2a_base64(vector, newline=False)
        found = [self._known[dimensions, text] for text in texts]
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._note(request, "completions", body)
        if (bad := await self._misbehave(request)) is not None:
            return bad
        asked = msgspec.json.decode(body, type=_Chat)
        if self.refuse_completions_with and self.refuse_completions_with in str(asked.messages):
            return web.json_response({"error": {"message": "stub does not speak of that"}}, status=400)
        key = request.headers.get("Idempotency-Key") or f"without a key: {len(self.charged)}"
        if key not in self.charged:
            self.charged[key] = self.replies.pop(0) if self.replies else self.reply or str(asked.messages[-1]["content"])
        text = self.charged[key]
        if self.before_answering is not None:
            hurt, self.before_answering = self.before_answering, None
            hurt()
        prompt = sum(len(str(message["content"])) for message in asked.messages) // 4
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": self.finish_reason}
        used = {"prompt_tokens": prompt, "completion_tokens": len(text) // 4, "total_tokens": prompt + len(text) // 4}
        answer = {"id": "stub", "object": "chat.completion", "created": 0, "model": asked.model, "choices": [choice], "usage": used}
        return web.json_response(answer)


@asynccontextmanager
async def stub_model(dimensions: int = 1536, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[StubModel]:
    """A stub that listens while the block runs; `base_url` ends in /v1."""
    stub = StubModel(dimensions)
    runner = web.AppRunner(stub.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        stub.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield stub
    finally:
        stub.release()
        await runner.cleanup()


async def _serve(host: str, port: int, dimensions: int, reply: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stub_model(dimensions, host=host, port=port) as stub:
        stub.reply = reply
        print(stub.base_url.rsplit(":", 1)[1].removesuffix("/v1"), flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=1536)
    parser.add_argument("--reply", default="", help="what every completion says")
    given = parser.parse_args()
    asyncio.run(_serve(given.host, given.port, given.dimensions, given.reply))
