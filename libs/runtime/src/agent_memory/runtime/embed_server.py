"""The local embedding model as a process of its own: `python -m agent_memory.runtime.embed_server --socket PATH`.

Speaks the OpenAI way: POST /v1/embeddings, and GET /health. Requests that say `X-Memory-Priority: interactive`, or that
carry four texts or fewer, go before batches.
"""

import argparse
import asyncio
import binascii
import ctypes
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from aiohttp import web

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed_graph import DIMENSIONS, ModelMissing
from agent_memory.runtime.embed_local import MODEL, LocalEmbedder
from agent_memory.runtime.embed_vectors import unpacked

log = structlog.get_logger(__name__)

PRIORITY = "X-Memory-Priority"
MOST_INPUTS = 2048
MOST_BYTES = 64_000_000
NAMES = frozenset({"", "local", MODEL, f"sentence-transformers/{MODEL}"})


class AddressTaken(Exception):
    """Somebody serves there already, or the place cannot hold a socket."""


class EmbeddingRequest(msgspec.Struct):
    """Body of POST /v1/embeddings."""

    input: str | list[str]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


_decode = msgspec.json.Decoder(EmbeddingRequest).decode


def _complaint(status: int, message: str) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = msgspec.json.encode({"error": {"message": message, "type": kind}})
    return web.Response(status=status, body=body, content_type="application/json")


def answer(vectors: Sequence[bytes], encoding: Literal["float", "base64"]) -> bytes:
    """The response body. Written by hand: base64 needs no escaping, and this is the path of every query."""
    if encoding == "base64":
        shown = [b'"' + binascii.b2a_base64(vector, newline=False) + b'"' for vector in vectors]
    else:
        shown = [msgspec.json.encode(row) for row in unpacked(vectors).astype(float).tolist()]
    items = [b'{"object":"embedding","index":%d,"embedding":%s}' % (at, text) for at, text in enumerate(shown)]
    return b'{"object":"list","model":"%s","data":[%s]}' % (MODEL.encode(), b",".join(items))


async def _embeddings(request: web.Request, embedder: LocalEmbedder) -> web.Response:
    try:
        asked = _decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _complaint(400, f"the body is not an embedding request: {error}")
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 0 < len(texts) <= MOST_INPUTS:
        return _complaint(400, f"input: 1 to {MOST_INPUTS} texts, not {len(texts)}")
    if asked.model not in NAMES:
        return _complaint(404, f"model: this server has {MODEL}, not {asked.model}")
    if asked.dimensions not in (None, DIMENSIONS):
        return _complaint(400, f"dimensions: {MODEL} has {DIMENSIONS}, not {asked.dimensions}")
    try:
        vectors = await embedder.embed(texts, interactive=request.headers.get(PRIORITY) == "interactive")
    except Unavailable as error:
        return _complaint(503, error.detail)
    return web.Response(body=answer(vectors, asked.encoding_format), content_type="application/json")


def create_app(embedder: LocalEmbedder) -> web.Application:
    """The routes over an embedder, which the app closes when it ends."""
    app = web.Application(client_max_size=MOST_BYTES)

    async def embeddings(request: web.Request) -> web.Response:
        return await _embeddings(request, embedder)

    async def health(_: web.Request) -> web.Response:
        state = {"status": "ok", "model": MODEL, "dimensions": DIMENSIONS, "waiting": embedder.waiting}
        return web.Response(body=msgspec.json.encode(state), content_type="application/json")

    async def closed(_: web.Application) -> None:
        await embedder.close()

    app.add_routes([web.post("/v1/embeddings", embeddings), web.get("/health", health)])
    app.on_cleanup.append(closed)
    return app


def private_socket(path: Path) -> socket.socket:
    """A listening unix socket that only this user may open. A dead one in its place is replaced. Raises AddressTaken."""
    if path.exists() or path.is_symlink():
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise AddressTaken(f"{path} is in the way and is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise AddressTaken(f"another embedding server listens on {path}")
        path.unlink()
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
        # Listening before the model is loaded: early callers wait in the queue, and a second server sees that it is one too many.
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise AddressTaken(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    return listening


async def serve(listening: socket.socket, embedder: LocalEmbedder, stop: asyncio.Event) -> None:
    """Load the model, then answer on the socket until `stop`; requests in hand are finished."""
    await embedder.load()
    give_back_memory()
    # Who hangs up is not computed for: after a time-out the same texts come again.
    runner = web.AppRunner(create_app(embedder), access_log=None, shutdown_timeout=10.0, handler_cancellation=True)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        log.info("embedding server ready", model=MODEL, address=str(listening.getsockname()))
        await stop.wait()
    finally:
        await runner.cleanup()


def give_back_memory() -> None:
    """Loading copies every weight more than once; glibc keeps what was freed unless it is asked (17 MB)."""
    with suppress(AttributeError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)


async def _until_signalled(listening: socket.socket, threads: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(listening, LocalEmbedder(threads=threads), stop)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="embed_server", description="Serve all-MiniLM-L6-v2 the OpenAI way.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", type=Path, help="unix socket to listen on")
    where.add_argument("--port", type=int, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address for --port")
    parser.add_argument("--threads", type=int, default=2, help="runs of the model at once")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code; 1 with a line on stderr when it cannot start."""
    # The tokenizer would otherwise start a thread per processor.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    given = _arguments(words)
    try:
        listening = private_socket(given.socket) if given.socket else socket.create_server((given.host, given.port))
    except (AddressTaken, OSError) as error:
        print(f"embed_server: {error}", file=sys.stderr)
        return 1
    try:
        asyncio.run(_until_signalled(listening, given.threads))
    except ModelMissing as error:
        print(f"embed_server: {error}", file=sys.stderr)
        return 1
    finally:
        listening.close()
        if given.socket:
            given.socket.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
